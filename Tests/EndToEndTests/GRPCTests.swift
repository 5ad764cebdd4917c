// gRPC from end to end, with its own client and server: every kind of call, how calls fail, and what the service is told of the user.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct GRPC {
    /// The page docs/recipes/grpc.md, before `service`.
    private func house(_ service: GRPCService, secure: Bool = false, _ body: (House, UInt16) throws -> Void) throws {
      var text = try Recipe("grpc").text(replacing: ["10.0.0.5:50051": "127.0.0.1:\(service.port)"])
      if secure { text = text.replacingOccurrences(of: "server http://", with: "tls { ca ca.pem }\nserver https://") }
      try HTTP2.house(Setup(path: "/unused/", more: text)) { try body($0, $1) }
      try service.stop()
    }

    /// With TLS on both sides, and in clear text on both.
    @Test(.byEachFrontOfHTTP2) func callsOfEveryKindAreAnswered() throws {
      let secure = Front.current.isSecure
      try house(try GRPCService(secure: secure), secure: secure) { house, port throws in
        let lines = try GRPCService.client(
          """
          print(call("unary_unary", "Reverse")(b"abc", **told).decode(), len(call("unary_unary", "Reverse")(b"a" * 3000000, **told)))
          print(call("stream_unary", "Gather")((b"a" * 5000 for _ in range(200)), **told).decode())
          print(len(list(call("unary_stream", "Scatter")(b"500", **told))))
          # One message at a time, and the next when that is answered: nothing on the way may wait for more.
          todo = queue.Queue()
          answers = call("stream_stream", "Both")(iter(todo.get, None), **told)
          for i in range(50):
              todo.put(b"%d" % i)
              assert next(answers) == b"%d!" % i
          todo.put(None)
          print(list(answers), answers.code().name)
          calls = [call("unary_unary", "Reverse").future(b"%d" % i, **told) for i in range(100)]
          print(sum(c.result() == (b"%d" % i)[::-1] for i, c in enumerate(calls)))
          """, to: port, in: house)
        #expect(lines == ["cba 3000000", "1000000", "500", "[] OK", "100"])
      }
    }

    @Test func whyACallFailsComesThrough() throws {
      try house(try GRPCService()) { house, port throws in
        let lines = try GRPCService.client(
          """
          print(fate(lambda: call("unary_unary", "Fail")(b"", **told)))
          print(fate(lambda: list(call("unary_stream", "Half")(b"", **told))))
          # Without a message: the head is the end as well.
          print(fate(lambda: call("unary_unary", "Nothing")(b"", **told)))
          """, to: port, in: house)
        #expect(
          lines == [
            "('NOT_FOUND', 'no such th\u{ef}ng', [('why', 'because'), ('why-bin', '00ff')])", "('DATA_LOSS', 'half', [])",
            "('UNIMPLEMENTED', 'Method not found!', [])",
          ])
      }
    }

    /// What the operator takes out of answers does not come in behind them.
    @Test func whatTheRouteTakesOutStandsInNoTrailer() throws {
      let service = try GRPCService()
      let setup = Setup(upstream: "protocol http2", route: "response_header remove Why", server: "http://127.0.0.1:\(service.port)")
      try HTTP2.house(setup) { house, port throws in
        let lines = try GRPCService.client(#"print(fate(lambda: call("unary_unary", "Fail")(b"", **told))[2])"#, to: port, in: house)
        #expect(lines == ["[('why-bin', '00ff')]"])
      }
      try service.stop()
    }

    @Test func whoCallsIsCheckedAndToldToTheService() throws {
      try house(try GRPCService()) { house, port throws in
        let lines = try GRPCService.client(
          """
          print(call("unary_unary", "Who")(b"", **told).decode())
          print(call("unary_unary", "Who")(b"", metadata=login + (("x-forwarded-user", "bob"),), timeout=60).decode())
          print(fate(lambda: call("unary_unary", "Who")(b"", timeout=60))[0])
          print(fate(lambda: call("unary_unary", "Who")(b"", metadata=(("authorization", "Basic bm9ib2R5Om5vdGhpbmc="),), timeout=60))[0])
          """, to: port, in: house)
        // The deadline (grpc-timeout) as well; the password is not.
        #expect(lines == ["alice None True", "alice None True", "UNAUTHENTICATED", "UNAUTHENTICATED"])
      }
    }

    @Test func whatTheClientGivesUpEndsAtTheService() throws {
      let service = try GRPCService()
      try house(service) { house, port throws in
        let lines = try GRPCService.client(
          """
          waiting = [call("unary_stream", "Wait")(b"", **told) for _ in range(4)]
          print([next(w).decode() for w in waiting])
          for w in waiting: w.cancel()
          print(call("unary_unary", "Reverse")(b"ab", **told).decode())
          # Whether the service has begun by then is its own affair.
          print(fate(lambda: list(call("unary_stream", "Wait")(b"", metadata=login, timeout=0.1)))[0])
          """, to: port, in: house)
        #expect(lines == ["['begun', 'begun', 'begun', 'begun']", "ba", "DEADLINE_EXCEEDED"])
        try service.says("gone", times: 4)
      }
    }

    /// RFC 9112 section 7.1.2: what stands behind the body in HTTP/2 stands behind its last chunk.
    @Test(.inClearText) func trailersReachClientsOfHTTP11() throws {
      try house(try GRPCService()) { house, _ throws in
        let client = try house.client()
        let fields = [People.alice.authorization, "Content-Type: application/grpc", "TE: trailers", "Connection: TE, close", "Content-Length: 8"]
        try client.send(request("POST", "/test.Echo/Reverse", fields, body: "\0\0\0\0\u{3}abc"))
        let answer = String(decoding: try client.rest(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains("\0\0\0\0\u{3}cba\r\n0\r\n") && answer.contains("\r\ngrpc-status: 0\r\n"), "\(answer)")
      }
    }
  }
}
