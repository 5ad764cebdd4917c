// NTLM towards the service behind, which ties a login to a connection: who has asked is who has logged in there, whatever anybody tries.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .inClearText) struct NTLMUpstream {
    private static let files = [
      "svc.password": NTLMService.svc + "\n",
      "accounts": "alice \"CORP\\\\a.there\" \(NTLMService.alice)\nbob b.there \(NTLMService.bob)\n",
    ]

    private static let each = "domain CORP; accounts accounts"
    private static let one = "username svc; password_file svc.password; domain CORP; workstation GATE1"

    private func setup(_ service: NTLMService, _ block: String = each, workers: Int = 1, upstream: String = "", more: String = "") -> Setup {
      Setup(
        upstream: "authenticate ntlm { \(block) }\n\(upstream)", more: more, files: Self.files, workers: workers,
        server: "http://127.0.0.1:\(service.port)")
    }

    /// A house before a service of that kind, which must have seen nothing that it should not.
    private func with(
      _ kind: NTLMService.Kind = .usual, _ block: String = each, workers: Int = 1, upstream: String = "", _ body: (House, NTLMService) throws -> Void
    ) throws {
      let service = try NTLMService(kind)
      try House.with(setup(service, block, workers: workers, upstream: upstream)) { house throws in try body(house, service) }
      #expect(service.troubles == [])
      try service.stop()
    }

    /// Of `NTLMService`'s answer: who has asked there, and who here.
    private func who(_ answer: Message) -> String { answer.text.split(separator: " ").prefix(2).joined(separator: " ") }

    /// The page docs/recipes/ntlm.md.
    @Test func theServiceTakesTheAccountsOfTheRecipe() throws {
      let service = try NTLMService(.both)
      let blocks = try (0..<2).map { try Recipe("ntlm").text($0, replacing: ["10.0.0.5:8080": "127.0.0.1:\(service.port)"]) }
      let files = [
        "svc.password": NTLMService.svc + "\n", "corp.accounts": "alice a.there \(NTLMService.alice)\nbob \"CORP\\\\b.there\" \(NTLMService.bob)\n",
      ]
      for (block, names) in zip(blocks, [["CORP\\svc", "CORP\\svc"], ["CORP\\a.there", "CORP\\b.there"]]) {
        try House.with(Setup(path: "/unused/", more: block, files: files)) { house throws in
          for _ in 0..<3 {
            #expect(who(try house.ask("GET", "/", [People.alice.authorization])) == "\(names[0]) alice")
            #expect(who(try house.ask("GET", "/", [People.bob.authorization])) == "\(names[1]) bob")
          }
          let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
          #expect(check.code == 0 && check.text.contains("logged in by ntlm in CORP, "), "\(check.text)")
          #expect(Secrets.found(in: check.text + check.errors).isEmpty)
        }
      }
      #expect(service.troubles == [] && service.proofs.count == 3, "\(service.lines)")
      try service.stop()
    }

    /// Thousands of requests over a few connections, each of which is one user's for as long as it lives.
    @Test func twoUsersNeverMeet() throws {
      try with(workers: 2) { house, service throws in
        let owners = Monitor<[String: Set<String>]>([:])
        let port = house.port
        let clients = (0..<6).map { i in
          Worker {
            let (person, name) = i % 2 == 0 ? (People.alice, "CORP\\a.there alice ") : (People.bob, "CORP\\b.there bob ")
            let client = try Client(to: port)
            for n in 0..<500 {
              let answer = try client.exchange(request("GET", "/\(n)", [person.authorization]))
              guard answer.status == 200, answer.text.hasPrefix(name) else { throw Failure("\(name) got: \(answer.status) \(answer.text)") }
              owners.with { _ = $0[answer["X-Connection"] ?? "", default: []].insert(name) }
            }
          }
        }
        for client in clients { try client.join(within: .seconds(120)) }
        let found = owners.with { $0 }
        #expect(found.values.allSatisfy { $0.count == 1 } && found.count >= 2, "\(found)")
        // Handshakes are what is saved: there may be one more where a client was held up for seconds.
        #expect(service.proofs.count < 300 && service.proofs.allSatisfy { $0.hasPrefix("proves ok ") }, "\(service.proofs.count)")
      }
    }

    @Test func aConnectionIsLoggedInOnce() throws {
      try with { house, service throws in
        let client = try house.client()
        var connections = Set<String>()
        for n in 0..<10 {
          let answer = try client.exchange(request(n % 2 == 0 ? "GET" : "HEAD", "/\(n)", [People.alice.authorization]))
          #expect(answer.status == 200 && answer["X-Who"] == "CORP\\a.there")
          for field in ["WWW-Authenticate", "Persistent-Auth", "Authorization"] { #expect(answer.values(field).isEmpty) }
          connections.insert(answer["X-Connection"] ?? "")
        }
        #expect(connections.count == service.proofs.count && service.proofs.count <= 2, "\(service.lines)")
        #expect(service.lines.first == "begins GET /0 0" && service.proofs.first == "proves ok CORP\\a.there GET /0")
      }
    }

    /// HTTP/2 clients' requests are no different.
    @Test(.byEachFrontOfHTTP2) func soItIsForClientsOfHTTP2() throws {
      try with { house, service throws in
        for _ in 0..<4 {
          #expect(who(try house.ask("GET", "/", [People.alice.authorization])) == "CORP\\a.there alice")
          #expect(who(try house.ask("POST", "/", [People.bob.authorization, "Content-Length: 4"], body: "some")) == "CORP\\b.there bob")
        }
        #expect(service.lines.filter { $0.hasPrefix("begins") }.allSatisfy { $0.hasSuffix(" 0") })
      }
    }

    /// The first message has none; what follows has all of it, whatever its length and framing.
    @Test func bodiesGoWithTheLoginAlone() throws {
      try with { house, service throws in
        for size in [65_536, 65_537, 1 << 20] {
          for framing in [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let answer = try Curl.run(
              ["-u", People.alice.pair, "-X", "POST", "--data-binary", "@-"] + framing + ["\(house.url)/\(size)"], input: body, in: house.scratch)
            #expect(answer.status == 200 && answer.text == "CORP\\a.there alice \(size) \(Adler.hex(body))", "\(size) \(framing): \(answer.status) \(answer.text)")
          }
        }
        let begun = service.lines.filter { $0.hasPrefix("begins") }
        #expect(!begun.isEmpty && begun.allSatisfy { $0.hasSuffix(" 0") }, "\(begun)")
        // A small one goes over the connection that stands there.
        let before = service.proofs.count
        #expect(try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 4"], body: "some").status == 200)
        #expect(service.proofs.count - before <= 1)
        #expect(try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 0"]).status == 200)
      }
    }

    /// Windows locks an account after some wrong passwords: what a hundred requests ask for at once is tried by one user, then by another, then by nobody.
    @Test func aWrongPasswordIsNotTriedAgainAndAgain() throws {
      let wrong = Secrets.keep("Wrong-there-64")
      let service = try NTLMService()
      var setup = setup(service, Self.one, workers: 2)
      setup.files["svc.password"] = wrong
      try House.with(setup) { house throws in
        let port = house.port
        func rush(_ who: People.Person) throws {
          let clients = (0..<10).map { _ in
            Worker {
              let client = try Client(to: port)
              for _ in 0..<5 {
                let refused = try client.exchange(request("GET", "/", [who.authorization]))
                guard refused.status == 502, refused.values("WWW-Authenticate").isEmpty,
                  refused.text.hasPrefix("The service behind this gateway does not let the gateway in")
                else { throw Failure("\(refused.headText)\(refused.text)") }
              }
            }
          }
          for client in clients { try client.join() }
        }
        try rush(People.alice)
        #expect(service.proofs == ["proves wrong CORP\\svc GET /"])
        try rush(People.bob)
        #expect(service.proofs.count == 2)
        try rush(People.carol)
        #expect(service.proofs.count == 2 && service.lines.count == 4, "\(service.lines)")
        let errors = house.gate.child.errors.text
        #expect(errors.contains("it does not take the account that Gatehouse logs in with"), "\(errors)")
        // A reload is the operator's word that it is right now.
        try house.scratch.write(NTLMService.svc, to: "svc.password")
        try house.reload("workers 2", becomes: "workers 2\nkeepalive_requests 9999")
        try eventually("the new password") { try house.ask("GET", "/", [People.carol.authorization]).status == 200 }
      }
      #expect(service.troubles == [])
      try service.stop()
    }

    /// IIS says 401 to who is logged in and may not see a file, too. Who asks for such ones shuts out himself, and not those who share the account.
    @Test func whatTheAccountMayNotSeeShutsOutWhoAskedAlone() throws {
      try with(.usual, Self.one) { house, service throws in
        #expect(try house.ask("GET", "/", [People.bob.authorization]).status == 200)
        #expect(try house.ask("GET", "/forbidden", [People.alice.authorization]).status == 502)
        for _ in 0..<5 { #expect(try house.ask("GET", "/forbidden", [People.alice.authorization]).status == 502) }
        #expect(service.proofs.filter { $0.hasSuffix("/forbidden") }.count == 1, "\(service.proofs)")
        #expect(who(try house.ask("GET", "/", [People.bob.authorization])) == "CORP\\svc bob")
        #expect(who(try house.ask("GET", "/", [People.alice.authorization])) == "CORP\\svc alice")
      }
    }

    /// Several users may have one account: what is tried is one password, and one account is locked by it. And what is refused before anybody has looked at
    /// the login proves nothing: it must not have the wrong password tried once more.
    @Test func whoeverItIsForAndWhateverComesBetweenAWrongPasswordIsTriedTwice() throws {
      let service = try NTLMService()
      var setup = setup(service, Self.each)
      let wrong = Secrets.keep("Wrong-there-65")
      setup.files["accounts"] = "alice svc \(wrong)\nbob CORP\\SVC \(wrong)\ncarol svc \(wrong)\n"
      try House.with(setup) { house throws in
        for (person, isLarge) in [(People.alice, false), (People.bob, true), (People.carol, false), (People.alice, false), (People.bob, false)] {
          let answer = try house.ask(
            isLarge ? "POST" : "GET", isLarge ? "/large" : "/", [person.authorization] + (isLarge ? ["Content-Length: 4"] : []), body: isLarge ? "some" : "")
          #expect(answer.status == (isLarge ? 413 : 502))
        }
        #expect(service.proofs.count == 2 && service.proofs.allSatisfy { $0.hasPrefix("proves wrong ") }, "\(service.lines)")
      }
      #expect(service.troubles == [])
      try service.stop()
    }

    @Test func whatIsNoHandshakeIsSaidSo() throws {
      let kinds: [(NTLMService.Kind, String)] = [
        (.closing, "it closes the connection in the middle of the NTLM handshake"), (.bare, "and gave no challenge"),
        (.lying, "its NTLM challenge can't be used: a part of it is said to be where it is not"), (.basic, "asks for no NTLM (authenticate ntlm)"),
      ]
      for (kind, words) in kinds {
        try with(kind) { house, service throws in
          #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 502)
          #expect(try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 4"], body: "some").status == 502)
          #expect(house.gate.child.errors.text.contains(words), "\(kind): \(house.gate.child.errors.text)")
          #expect(service.proofs.isEmpty)
        }
      }
      try with(.timeless) { house, _ throws in #expect(who(try house.ask("GET", "/", [People.alice.authorization])) == "CORP\\a.there alice") }
    }

    /// The whole of the answer that brings the challenge is read, and nothing else: what is left over would be the answer to the request.
    @Test func aChallengeComesInOneWholeAnswer() throws {
      let message = Array("NTLMSSP\0".utf8) + [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
      let field = "WWW-Authenticate: NTLM \(Data(message).base64EncodedString())\r\n"
      let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
      let forms: [(text: String, isTaken: Bool)] = [
        ("HTTP/1.1 401 No\r\nContent-Length: 4\r\n\(field)\r\nbody", true),
        ("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\(field)\r\n4\r\nbody\r\n0\r\nX-Trailer: x\r\n\r\n", true),
        ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 0\r\n\(field)\r\n", true),
        ("HTTP/1.1 401 No\r\nContent-Length: 4\r\n\(field)\r\nbody\(forged)", false),
        ("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\(field)\r\n0\r\n\r\n\(forged)", false),
        ("HTTP/1.1 401 No\r\nContent-Length: 4\r\nContent-Length: 5\r\n\(field)\r\nbody", false),
        ("HTTP/1.1 401 No\r\n\(field)\r\nbody", false),
        ("HTTP/1.0 401 No\r\nContent-Length: 4\r\n\(field)\r\nbody", false),
        ("HTTP/1.1 401 No\r\nContent-Length: 400000\r\n\(field)\r\n" + String(repeating: "x", count: 400_000), false),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false),
      ]
      let script: Script = { conversation in
        do {
          while let message = try conversation.request() {
            let form = forms[Int(message.startLine.split(separator: " ")[1].dropFirst()) ?? 0]
            if message["Authorization"]?.hasPrefix("NTLM TlRMTVNTUAAD") == true {
              return try conversation.send(Answer.text("taken", fields: ["Connection: close"]))
            }
            // Those that are taken come byte by byte, the others in one go: what comes later than the request is an answer to it.
            for piece in form.isTaken ? form.text.utf8.map({ [$0] }) : [[UInt8](form.text.utf8)] { try conversation.send(piece) }
          }
        } catch is Socket.Trouble {}
      }
      try House.with(Setup(upstream: "authenticate ntlm { \(Self.each) }", files: Self.files), script) { house throws in
        for (i, form) in forms.enumerated() {
          let answer = try house.ask("GET", "/\(i)", [People.alice.authorization])
          #expect(answer.status == (form.isTaken ? 200 : 502) && !answer.text.contains("forged"), "\(i): \(answer.status) \(answer.text)")
          #expect(answer.text == "taken" || !form.isTaken)
        }
      }
    }

    /// It asks anew on a connection that was logged in: one more login, and the request, with its body, once more.
    @Test func aLoginThatTheServiceForgetsIsMadeAnew() throws {
      for kind in [NTLMService.Kind.forgetful, .once] {
        try with(kind) { house, service throws in
          let client = try house.client()
          for n in 0..<12 {
            let body = n % 2 == 0 ? "" : "body\n"
            let fields = [People.alice.authorization] + (body.isEmpty ? [] : ["Content-Length: 5"])
            let answer = try client.exchange(request(body.isEmpty ? "GET" : "POST", "/\(n)", fields, body: body))
            #expect(answer.status == 200 && answer.text.hasPrefix("CORP\\a.there alice \(body.utf8.count) "), "\(kind) \(n): \(answer.status)")
          }
          #expect(service.proofs.count >= 4 && service.proofs.allSatisfy { $0.hasPrefix("proves ok ") })
        }
      }
    }

    /// Whoever is A sends what he likes: no connection of B's carries it, and B's requests are answered as B's.
    @Test func noRequestOfOneUserGetsAnothersConnection() throws {
      try with { house, service throws in
        let port = house.port
        func bobIsHimself() throws {
          let answer = try house.ask("GET", "/bob", [People.bob.authorization])
          #expect(who(answer) == "CORP\\b.there bob" && answer["X-Who"] == "CORP\\b.there", "\(answer.headText)")
        }
        try bobIsHimself()
        let forged = ["NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAKADk4AAAADw==", "Negotiate YIIB"]
        for word in forged {
          // Two of them are refused by ourselves; in other fields they say nothing.
          _ = try house.ask("GET", "/a", [People.alice.authorization, "Authorization: \(word)"])
          #expect(
            who(try house.ask("GET", "/a", [People.alice.authorization, "Proxy-Authorization: \(word)", "X-Forwarded-User: bob", "Connection: X-Forwarded-User"]))
              == "CORP\\a.there alice")
          try bobIsHimself()
        }
        // A request inside a body, and one that is read in two ways.
        let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(who(try house.ask("POST", "/a", [People.alice.authorization, "Content-Length: \(inner.utf8.count)"], body: inner)) == "CORP\\a.there alice")
        _ = try house.ask("POST", "/a", [People.alice.authorization, "Content-Length: 4", "Transfer-Encoding: chunked"], body: "0\r\n\r\n" + inner)
        try bobIsHimself()
        // Uploads that break off, before and after the connection is logged in.
        for size in [100, 60_000, 200_000] {
          let client = try Client(to: port)
          try client.send(request("POST", "/a", [People.alice.authorization, "Content-Length: \(size * 2)"], body: String(repeating: "x", count: size)))
          client.abort()
          try bobIsHimself()
        }
        // One after the other on one connection of a client's, by turns.
        let client = try house.client()
        for _ in 0..<20 {
          #expect(who(try client.exchange(request("GET", "/a", [People.alice.authorization]))) == "CORP\\a.there alice")
          #expect(who(try client.exchange(request("GET", "/b", [People.bob.authorization]))) == "CORP\\b.there bob")
        }
        let refused = try house.ask("GET", "/", [People.carol.authorization])
        #expect(refused.status == 403)
        #expect(!service.lines.contains { $0.contains("/inner") })
      }
    }

    /// More requests whose answers wait for each other than there may be logins at once.
    @Test func longAnswersHoldUpNoLogins() throws {
      try with(.usual, Self.one) { house, service throws in
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 200)
        let (port, authorization) = (house.port, People.alice.authorization)
        let clients = (0..<7).map { _ in Worker { try Client(to: port).exchange(request("GET", "/together", [authorization])).status } }
        for client in clients { #expect(try client.join() == 200) }
      }
    }

    /// Of an account that nobody has proved yet one login is made at a time: it must come to an end whatever becomes of it.
    @Test func aLoginThatIsLeftHoldsUpNobody() throws {
      // Its client goes away.
      try with(.slow, Self.one) { house, service throws in
        let client = try house.client()
        try client.send(request("GET", "/left", [People.alice.authorization]))
        try eventually("the login has begun") { !service.lines.isEmpty }
        let (port, authorization) = (house.port, People.bob.authorization)
        let other = Worker { try Client(to: port).exchange(request("GET", "/", [authorization])) }
        client.abort()
        #expect(who(try other.join()) == "CORP\\svc bob")
      }
      // Or the service is silent for too long.
      try with(.slow, Self.one, upstream: "response_timeout 300ms") { house, service throws in
        #expect(try house.ask("POST", "/", [People.alice.authorization, "Content-Length: 4"], body: "some").status == 504)
        // On a busy machine the next one may be too slow for it, too.
        try eventually("a login") { who(try house.ask("GET", "/", [People.alice.authorization])) == "CORP\\svc alice" }
      }
    }

    @Test func aReloadTakesOldConnectionsOutOfUse() throws {
      try with { house, service throws in
        let client = try house.client()
        let first = try client.exchange(request("GET", "/", [People.alice.authorization]))
        #expect(who(first) == "CORP\\a.there alice")
        try house.scratch.write("alice b.there \(NTLMService.bob)\n", to: "accounts")
        try house.reload("workers 1", becomes: "workers 1\nkeepalive_requests 9999")
        try eventually("the new account") { who(try client.exchange(request("GET", "/", [People.alice.authorization]))) == "CORP\\b.there alice" }
        for _ in 0..<5 {
          let answer = try client.exchange(request("GET", "/", [People.alice.authorization]))
          #expect(who(answer) == "CORP\\b.there alice" && answer["X-Connection"] != first["X-Connection"])
        }
        #expect(try house.ask("GET", "/", [People.bob.authorization]).status == 403)
      }
    }

    @Test func whatAsksForNoLoginIsAnsweredWithoutOne() throws {
      try with { house, service throws in
        for _ in 0..<2 { #expect(try house.ask("GET", "/open", [People.alice.authorization]).text == "nobody 0") }
        // What became of a request without its body nobody knows.
        #expect(try house.ask("POST", "/open", [People.alice.authorization, "Content-Length: 4"], body: "some").status == 502)
        #expect(house.gate.child.errors.text.contains("instead of asking for the login"))
        #expect(who(try house.ask("GET", "/", [People.alice.authorization])) == "CORP\\a.there alice")
      }
    }

    @Test func tunnelsPassAfterTheLogin() throws {
      try with { house, service throws in
        for (person, name) in [(People.alice, "CORP\\a.there"), (People.bob, "CORP\\b.there")] {
          let client = try house.client()
          try client.send(
            request(
              "GET", "/chat",
              [person.authorization, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]))
          let answer = try #require(try client.head())
          #expect(answer.status == 101 && answer["X-Who"] == name, "\(answer.headText)\(house.gate.child.errors.text)")
          try client.send("there and back")
          var back = [UInt8]()
          while back.count < 14 { back += try client.wire.some(atMost: 14, .usual) }
          #expect(String(decoding: back, as: UTF8.self) == "there and back")
        }
      }
    }

    @Test func severalServersAndAQueueAreLoggedInTo() throws {
      let services = try (0..<2).map { _ in try NTLMService() }
      let setup = Setup(
        upstream: """
          server http://127.0.0.1:\(services[1].port) max_connections 2
          queue 100 30s
          authenticate ntlm { \(Self.each) }
          """, files: Self.files, server: "http://127.0.0.1:\(services[0].port) max_connections 2")
      try House.with(setup) { house throws in
        let port = house.port
        let clients = (0..<8).map { i in
          Worker {
            let (person, name) = i % 2 == 0 ? (People.alice, "CORP\\a.there alice ") : (People.bob, "CORP\\b.there bob ")
            let client = try Client(to: port)
            for n in 0..<20 {
              let body = n % 3 == 0 ? "some" : ""
              let fields = [person.authorization] + (body.isEmpty ? [] : ["Content-Length: 4"])
              let answer = try client.exchange(request(body.isEmpty ? "GET" : "POST", "/\(n)", fields, body: body))
              guard answer.status == 200, answer.text.hasPrefix(name) else { throw Failure("\(name) got: \(answer.status) \(answer.text)") }
            }
          }
        }
        for client in clients { try client.join(within: .seconds(60)) }
      }
      for service in services {
        #expect(service.troubles == [] && !service.proofs.isEmpty)
        try service.stop()
      }
    }

    @Test func behindTLSItIsTheSame() throws {
      let authority = try Authority()
      try authority.sign("there", for: "IP:127.0.0.1")
      let service = try NTLMService(tls: (authority.scratch["there.pem"], authority.scratch["there.key"]))
      var setup = setup(service, Self.each, upstream: "tls { ca \(authority.scratch["ca.pem"]) }")
      setup.server = "https://127.0.0.1:\(service.port)"
      try House.with(setup) { house throws in
        for n in 0..<6 {
          let body = String(repeating: "x", count: n % 2 == 0 ? 9 : 150_000)
          #expect(who(try house.ask("GET", "/", [People.alice.authorization])) == "CORP\\a.there alice")
          let answer = try house.ask("POST", "/", [People.bob.authorization, "Content-Length: \(body.utf8.count)"], body: body)
          #expect(answer.text == "CORP\\b.there bob \(body.utf8.count) \(Adler.hex([UInt8](body.utf8)))")
        }
        #expect(service.proofs.allSatisfy { $0.hasPrefix("proves ok ") })
      }
      #expect(service.troubles == [])
      try service.stop()
    }
  }
}

/// As zlib's adler32, in eight digits.
private enum Adler {
  static func hex(_ bytes: [UInt8]) -> String {
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
      a = (a + UInt32(byte)) % 65521
      b = (b + a) % 65521
    }
    let text = String(b << 16 | a, radix: 16)
    return String(repeating: "0", count: 8 - text.count) + text
  }
}
