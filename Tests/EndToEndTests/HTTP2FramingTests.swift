// Attacks on what becomes of an HTTP/2 request on its way to a service that is spoken to in HTTP/1.1: line ends in values, framing of the other
// protocol, lengths that are none, pseudo-fields where they don't belong. Nothing of them may reach the service (RFC 9113 sections 8.2, 8.3 and 10.3).

import Testing

extension EndToEnd {
  @Suite(.serialized, .inHTTP2) struct HTTP2Framing {
    typealias Field = (name: String, value: String)

    private static let smuggled = "GET /smuggled HTTP/1.1\r\nHost: legacy.test\r\n\(People.alice.authorization)\r\n\r\n"

    /// A request that is well, but for what is changed of it.
    private static func fields(_ changed: [Field] = [], without dropped: Set<String> = [], _ more: [Field] = []) -> [Field] {
      let usual: [Field] = [(":method", "POST"), (":scheme", "https"), (":authority", "legacy.test"), (":path", "/victim")]
      let kept = usual.filter { !dropped.contains($0.name) }.map { field in changed.first { $0.name == field.name } ?? field }
      return kept + [("authorization", Secrets.basic(People.alice.name, People.alice.password))] + more
    }

    struct Attack {
      var name: String
      var fields: [Field]
      var body: [UInt8]?

      init(_ name: String, _ fields: [Field], _ body: String? = "") {
        (self.name, self.fields, self.body) = (name, fields, body.map { [UInt8]($0.utf8) })
      }
    }

    /// Sends each on a connection of its own: a refusal, a reset or the end of the connection has to come of it, and no whole request.
    private func expectRefusals(_ attacks: [Attack]) throws {
      let tolerant: Script = { conversation in
        do { while try conversation.request() != nil { try conversation.send(Answer.text("hello")) } } catch is Truncated {}
      }
      try House.with(Setup(), tolerant) { house throws in
        for attack in attacks {
          let client = try HTTP2Client(to: house.port)
          let outcome = Result { try client.response(try client.send(attack.fields, body: attack.body)) }
          switch outcome {
          case .success(let answer):
            #expect((400...431).contains(answer.status) || answer.status == 501, "\(attack.name): \(answer.status)")
          case .failure(let error):
            #expect(error is HTTP2Client.Reset || error is HTTP2Client.Ended || error is Socket.Trouble, "\(attack.name): \(error)")
            #expect(error as? Socket.Trouble != .timedOut, "\(attack.name)")
          }
          #expect(house.upstream.requests.isEmpty, "\(attack.name) reached the service:\n\(house.upstream.requests.map(\.headText))")
        }
        #expect(!house.upstream.bytes.holds("smuggled"), "a smuggled request stands in what the service was sent")
        // And the proxy still works, with the very request that was spoilt.
        let client = try HTTP2Client(to: house.port)
        #expect(try client.response(try client.send(Self.fields(), body: [])).status == 200)
        #expect(house.upstream.requests.count == 1)
      }
    }

    @Test func lineEndsInValuesAreRefused() throws {
      let ends = ["\r\n", "\n", "\r", "\0"]
      try expectRefusals(
        ends.flatMap { end in
          [
            Attack("value", Self.fields([], [("x", "a\(end)X-Forwarded-User: root")])),
            Attack("request behind a value", Self.fields([], [("x", "a\(end)\(end)\(Self.smuggled)")])),
            Attack("end of a value", Self.fields([], [("x", "a\(end)")])),
            Attack("path", Self.fields([(":path", "/ HTTP/1.1\(end)X: y\(end)\(end)\(Self.smuggled)")])),
            Attack("method", Self.fields([(":method", "GET / HTTP/1.1\(end)X: y\(end)\(end)\(Self.smuggled)")])),
            Attack("authority", Self.fields([(":authority", "legacy.test\(end)X-Forwarded-User: root")])),
            Attack("scheme", Self.fields([(":scheme", "https\(end)x")])),
            Attack("name", Self.fields([], [("x: y\(end)x-forwarded-user", "root")])),
          ]
        })
    }

    @Test func framingOfTheOtherProtocolIsRefused() throws {
      try expectRefusals([
        Attack("chunked", Self.fields([], [("transfer-encoding", "chunked")]), "0\r\n\r\n" + Self.smuggled),
        Attack("chunked and a length", Self.fields([], [("content-length", "5"), ("transfer-encoding", "chunked")]), "0\r\n\r\n"),
        Attack("identity", Self.fields([], [("transfer-encoding", "identity")])),
        Attack("connection", Self.fields([], [("connection", "keep-alive")])),
        Attack("connection names a field", Self.fields([], [("connection", "x-forwarded-user"), ("x-forwarded-user", "root")])),
        Attack("keep-alive", Self.fields([], [("keep-alive", "timeout=5")])),
        Attack("proxy-connection", Self.fields([], [("proxy-connection", "close")])),
        Attack("upgrade", Self.fields([], [("upgrade", "websocket")])),
        Attack("te", Self.fields([], [("te", "gzip")])),
      ])
    }

    @Test func lengthsThatAreNotThatOfTheBodyAreRefused() throws {
      try expectRefusals([
        Attack("too short", Self.fields([], [("content-length", "5")]), "hello" + Self.smuggled),
        Attack("nothing announced", Self.fields([], [("content-length", "0")]), Self.smuggled),
        Attack("too long", Self.fields([], [("content-length", "500")]), "hello"),
        Attack("without a body", Self.fields([], [("content-length", "5")]), nil),
        Attack("two", Self.fields([], [("content-length", "5"), ("content-length", "6")]), "hello"),
        Attack("two alike", Self.fields([], [("content-length", "5"), ("content-length", "5")]), "hello"),
        Attack("a list", Self.fields([], [("content-length", "5, 5")]), "hello"),
        Attack("a sign", Self.fields([], [("content-length", "+5")]), "hello"),
        Attack("hexadecimal", Self.fields([], [("content-length", "0x5")]), "hello"),
        Attack("a space", Self.fields([], [("content-length", "5 ")]), "hello"),
        Attack("empty", Self.fields([], [("content-length", "")]), "hello"),
        Attack("beyond 64 bits", Self.fields([], [("content-length", "18446744073709551621")]), "hello"),
      ])
    }

    @Test func pseudoFieldsAreThoseOfARequestOnceAndFirst() throws {
      let pseudo = [":method", ":scheme", ":path"]
      try expectRefusals(
        pseudo.map { Attack("no \($0)", Self.fields([], without: [$0])) } + [
          Attack("neither authority nor Host", Self.fields([], without: [":authority"])),
          Attack("twice", [(":path", "/other")] + Self.fields()),
          Attack("twice, authority", [(":authority", "other.test")] + Self.fields()),
          Attack("behind a field", Self.fields([], without: [":path"], [(":path", "/victim")])),
          Attack("of a response", [(":status", "200")] + Self.fields()),
          Attack("unknown", [(":protocol-of-mine", "x")] + Self.fields()),
          Attack("empty path", Self.fields([(":path", "")])),
          Attack("empty method", Self.fields([(":method", "")])),
          Attack("path without a slash", Self.fields([(":path", "victim")])),
          Attack("path with a space", Self.fields([(":path", "/victim HTTP/1.1")])),
          Attack("path with a tab", Self.fields([(":path", "/victim\tx")])),
          Attack("a fragment", Self.fields([(":path", "/victim#x")])),
          Attack("a whole URL", Self.fields([(":path", "https://other.test/victim")])),
          Attack("method with a space", Self.fields([(":method", "POST /other")])),
          Attack("another scheme", Self.fields([(":scheme", "ftp")])),
          Attack("user in the authority", Self.fields([(":authority", "root@legacy.test")])),
          Attack("Host says another", Self.fields([], [("host", "other.test")])),
          Attack("two Hosts", Self.fields([], without: [":authority"], [("host", "legacy.test"), ("host", "other.test")])),
          Attack("CONNECT", [(":method", "CONNECT"), (":authority", "legacy.test:443")], nil),
        ])
    }

    @Test func namesAreTokensInLowerCase() throws {
      let names = ["X-Upper", "x y", "x\ty", "", "x:", "x(y", "x\u{7f}", "ä", " x", "x "]
      try expectRefusals(names.map { Attack("name “\($0)”", Self.fields([], [($0, "v")])) })
    }

    @Test func valuesHaveNoSpaceAroundThem() throws {
      try expectRefusals([" v", "v ", "\tv", "v\t", "a\u{1}b", "a\u{7f}b"].map { Attack("value “\($0)”", Self.fields([], [("x", $0)])) })
    }

    @Test func crumbsOfACookieAreRejoined() throws {
      try House.with { house throws in
        let client = try HTTP2Client(to: house.port)
        let crumbs: [Field] = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]
        #expect(try client.response(try client.send(Self.fields([], crumbs), body: [])).status == 200)
        #expect(try house.upstream.requests(1)[0].values("cookie") == ["a=1; b=2; c=3"])
      }
    }

    @Test func whatIsForgedIsTakenAway() throws {
      try House.with { house throws in
        let client = try HTTP2Client(to: house.port)
        let forged: [Field] = [
          ("x-forwarded-user", "root"), ("x_forwarded_user", "root"), ("x-forwarded-proto", "http"), ("x-forwarded-for", "10.1.2.3"),
        ]
        #expect(try client.response(try client.send(Self.fields([], forged), body: [])).status == 200)
        let request = try house.upstream.requests(1)[0]
        #expect(request["X-Forwarded-User"] == "alice" && request["X-Forwarded-Proto"] == "https")
        #expect(request["X-Forwarded-For"] == "127.0.0.1" && request["Host"] == "legacy.test")
        #expect(!request.headText.contains("root") && request.values("authorization").isEmpty)
      }
    }
  }
}
