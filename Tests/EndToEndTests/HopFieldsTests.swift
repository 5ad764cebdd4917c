// What is said to a neighbour alone ends there, in whichever part of a message it stands; and what an answer has no sense without does not.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct HopFields {
    private let alice = People.alice.authorization

    /// RFC 9110 section 7.6.1: what Connection names is the connection's, behind a body too.
    @Test func whatConnectionNamesGoesNoFurtherAsATrailer() throws {
      let chunks = "3\r\nabc\r\n0\r\nx-hop: evil\r\nX-Other: evil\r\nX-Sum: 5\r\n\r\n"
      let fields = ["Connection: X-HOP , keep-alive", "connection: x-OTHER", "X-Hop: head", "Transfer-Encoding: chunked"]
      let answer = (["HTTP/1.1 200 OK"] + fields).joined(separator: "\r\n") + "\r\n\r\n" + chunks
      try House.with(Setup(), Answer.always(answer)) { house throws in
        let client = try house.client()
        for _ in 0..<2 {
          let message = try client.exchange(request("POST", "/", [alice] + fields) + chunks)
          #expect(message.text == "abc" && message["x-hop"] == nil && message.trailers.map(\.name) == ["X-Sum"], "\(message.trailers)")
        }
        for sent in house.upstream.requests {
          #expect(sent.text == "abc" && sent["x-hop"] == nil && sent.trailers.map(\.name) == ["X-Sum"], "\(sent.trailers)")
        }
        #expect(house.upstream.requests.count == 2)
      }
    }

    /// RFC 9110 section 15.5.22.
    @Test func a426SaysWhatItAsksFor() throws {
      let asks = ["Upgrade: websocket, foo/2", "Connection: upgrade, X-Hop", "X-Hop: 1", "Upgrade:"]
      let script: Script = { conversation in
        while let request = try conversation.request() {
          try conversation.send(Answer.text("no", status: request.target == "/426" ? "426 Upgrade Required" : "400 Bad Request", fields: asks))
        }
      }
      try House.with(Setup(), script) { house throws in
        let client = try house.client()
        let told = try client.exchange(request("GET", "/426", [alice]))
        #expect(told.status == 426 && told.values("upgrade") == ["websocket, foo/2"] && told.values("connection") == ["upgrade"] && told["x-hop"] == nil)
        // It is an answer like others: what follows is judged.
        #expect(try client.exchange(request("GET", "/426")).status == 401)
        let last = try client.exchange(request("GET", "/426", [alice, "Connection: close"]))
        #expect(Set(last.values("connection")) == ["upgrade", "close"])
        // HTTP/1.0 knows of no Upgrade, and of no other answer is it said.
        let old = try house.client().exchange(request("GET", "/426", [alice], version: "HTTP/1.0"))
        #expect(old.status == 426 && old["upgrade"] == nil)
        let other = try house.client().exchange(request("GET", "/", [alice]))
        #expect(other.status == 400 && other["upgrade"] == nil && other["connection"] == nil)
      }
    }

    /// RFC 9113 section 8.2.2: HTTP/2 has neither field.
    @Test(.byEachFrontOfHTTP2) func a426AsksNothingOfStreams() throws {
      try HTTP2.house(Setup(), Answer.always(Answer.text("no", status: "426 Upgrade Required", fields: ["Upgrade: foo", "Connection: upgrade"]))) {
        _, port throws in
        let answer = try FrameClient(to: port).exchange(FrameClient.fields("/", "GET", [FrameClient.authorized(People.alice)]))
        #expect(answer.status == 426 && answer.body == [UInt8]("no".utf8))
      }
    }
  }
}
