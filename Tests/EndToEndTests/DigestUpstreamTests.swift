// Digest towards the service behind: with Apache, and with services that do what they may do.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct DigestUpstream {
    private static let password = Secrets.keep("Digest-pass-11")

    private func apache(_ more: String = "") throws -> Apache {
      let lines = ["gateway", "a there", "b there"].map { name in
        let pair = "\(name):the realm:\(Self.password)"
        return "\(name):the realm:" + MD5.hex([UInt8](pair.utf8))
      }
      return try Apache(
        modules: ["auth_digest"],
        location: "AuthType Digest\nAuthName \"the realm\"\nAuthDigestProvider file\nAuthUserFile $ROOT/people\nRequire valid-user\n\(more)",
        files: ["people": lines.joined(separator: "\n") + "\n"])
    }

    private func setup(_ port: UInt16) throws -> Setup {
      Setup(
        path: "/unused/",
        more: try Recipe("digest").text(
          replacing: ["10.0.0.5:8080": "127.0.0.1:\(port)", "upstream camera {": "upstream camera {\nengine \(Engines.current)"]),
        files: ["camera.password": Self.password])
    }

    /// The page docs/recipes/digest.md.
    @Test func apacheIsAskedOnceAndThenNoMore() throws {
      let apache = try apache()
      try House.with(try setup(apache.port)) { house throws in
        let client = try house.client()
        for _ in 0..<20 { #expect(try client.exchange(request("GET", "/", [People.alice.authorization])).text == "hello") }
        try eventually("the log of Apache") { apache.visits.count >= 21 }
        #expect(apache.visits.map { $0[1] } == ["401"] + Array(repeating: "200", count: 20), "\(apache.visits)")
        #expect(apache.visits.dropFirst().allSatisfy { $0[0] == "gateway" })
      }
      try apache.stop()
    }

    @Test func bodiesOfAnySizeArriveThoughTheServiceAsksFirst() throws {
      let apache = try apache()
      for (size, arguments) in [(9, ["--data-binary", "@-"]), (60_000, ["--data-binary", "@-"]), (3_000_000, ["--data-binary", "@-"]), (700_000, ["-T", "-"])] {
        // Each house begins without a nonce.
        try House.with(try setup(apache.port)) { house throws in
          let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
          for name in ["first.bin", "second.bin"] {
            let answer = try Curl.run(["-u", People.alice.pair, "-X", "PUT"] + arguments + ["\(house.url)/\(name)"], input: body, in: house.scratch)
            #expect(answer.status == 201 || answer.status == 204, "\(size): \(answer.status) \(answer.text)")
            #expect(try apache.kept(name) == body, "\(size)")
          }
        }
      }
      try apache.stop()
    }

    /// Each server asks anew: that is no sign of a wrong password.
    @Test func severalServersMayAskOneAfterTheOther() throws {
      let script: Script = { conversation in
        while let message = try conversation.request() {
          if message["Authorization"] == nil {
            let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\(conversation.index)\", qop=\"auth\""
            try conversation.send(Answer.text("", status: "401 Unauthorized", fields: [challenge]))
          } else {
            try conversation.send(Answer.text("weary", status: "503 Service Unavailable"))
          }
        }
      }
      let servers = try (0..<3).map { _ in try RecordingUpstream(script) }
      var setup = try setup(servers[0].port)
      let others = servers.dropFirst().map { "server http://127.0.0.1:\($0.port)" }.joined(separator: "\n")
      setup.more = setup.more.replacingOccurrences(of: "authenticate digest", with: "\(others)\nretry 2 on 503\nauthenticate digest")
      try House.with(setup) { house throws in
        #expect(try house.ask("GET", "/", [People.alice.authorization]).status == 503)
        #expect(servers.map(\.requests.count) == [2, 2, 2])
      }
      for server in servers { try server.stop() }
    }

    @Test func usersAreToldApart() throws {
      let apache = try apache()
      let accounts = "alice \"a there\" \(Self.password)\nbob \"b there\" \(Self.password)\n"
      let setup = Setup(upstream: "authenticate digest { accounts accounts }", files: ["accounts": accounts], server: "http://127.0.0.1:\(apache.port)")
      try House.with(setup) { house throws in
        let clients = try (0..<2).map { _ in try house.client() }
        for i in 0..<40 {
          let (who, name) = i % 2 == 0 ? (People.alice, "a") : (People.bob, "b")
          #expect(try clients[i % 2].exchange(request("GET", "/?\(name)", [who.authorization])).status == 200)
        }
        #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 403)
        let visits = { apache.visits.filter { $0.count > 3 && $0[1] == "200" } }
        try eventually("the log of Apache") { visits().count >= 40 }
        #expect(visits().allSatisfy { $0[0] == ($0[3].hasSuffix("?a") ? "a there" : "b there") }, "\(apache.visits)")
        #expect(Set(visits().map { $0[0] }).count == 2 && apache.visits.count == 42)
      }
      try apache.stop()
    }

    private static func challenge(_ nonce: String, _ more: String = "") -> String {
      Answer.text("", status: "401 Unauthorized", fields: ["WWW-Authenticate: Digest realm=\"r\", nonce=\"\(nonce)\", qop=\"auth\"\(more)"])
    }

    private func setup(_ user: String = "username svc; password_file secret") -> Setup {
      Setup(upstream: "authenticate digest { \(user) }", files: ["secret": Self.password])
    }

    /// What stood in Authorization, request by request: the nonce and its count; nil for none.
    private func logins(_ house: House) -> [String?] {
      house.upstream.requests.map { message in
        guard let value = message["Authorization"] else { return nil }
        let parts = value.components(separatedBy: ", ").filter { $0.hasPrefix("nonce=") || $0.contains("nc=") }
        return parts.joined(separator: " ")
      }
    }

    @Test func aNonceThatHasGrownOldIsReplacedOnTheWay() throws {
      let counter = Monitor(0)
      try House.with(
        setup(),
        { conversation in
          while try conversation.request() != nil {
            let n = counter.with {
              $0 += 1
              return $0
            }
            switch n {
            case 1: try conversation.send(Self.challenge("n1"))
            case 4: try conversation.send(Self.challenge("n2", ", stale=true"))
            default: try conversation.send(Answer.text("well"))
            }
          }
        }
      ) { house throws in
        for _ in 0..<4 { #expect(try house.ask("GET", "/", [People.alice.authorization]).text == "well") }
        let found = logins(house)
        #expect(
          found == [
            nil, "nonce=\"n1\" nc=00000001", "nonce=\"n1\" nc=00000002", "nonce=\"n1\" nc=00000003", "nonce=\"n2\" nc=00000001",
            "nonce=\"n2\" nc=00000002",
          ], "\(found)")
        for message in house.upstream.requests { #expect(!message.head.holds(People.alice.authorization)) }
      }
    }

    /// Services that lock accounts would lock ours.
    @Test func aWrongPasswordIsTriedOnceForEachRequest() throws {
      try House.with(setup(), Answer.always(Self.challenge("n"))) { house throws in
        for _ in 0..<3 {
          let refused = try house.ask("GET", "/", [People.alice.authorization])
          #expect(refused.status == 502 && refused.values("WWW-Authenticate").isEmpty)
        }
        #expect(logins(house).filter { $0 != nil }.count == 3 && house.upstream.requests.count == 4)
        #expect(house.gate.child.errors.text.contains("it does not take the account that Gatehouse logs in with"))
      }
    }

    /// It reads the whole body before it asks: that can't be sent a second time, and is not.
    @Test func aLargeBodyIsNotSentTwice() throws {
      try House.with(setup(), Answer.always(Self.challenge("n"))) { house throws in
        let body = [UInt8](repeating: 0x78, count: 200_000)
        let refused = try Curl.run(["-u", People.alice.pair, "-H", "Expect:", "--data-binary", "@-", "\(house.url)/"], input: body, in: house.scratch)
        #expect(refused.status == 502)
        #expect(house.upstream.requests.count == 1 && house.upstream.requests[0]["Expect"] == "100-continue")
        #expect(house.gate.child.errors.text.contains("which can't be sent twice (authenticate digest)"), "\(house.gate.child.errors.text)")
      }
    }

    @Test func noNameOrTargetWritesAParameter() throws {
      let counter = Monitor(0)
      try House.with(
        setup("username \"x\\\", realm=\\\"evil\"; password_file secret"),
        { conversation in
          while try conversation.request() != nil {
            let isFirst = counter.with {
              $0 += 1
              return $0 == 1
            }
            try conversation.send(isFirst ? Self.challenge("n") : Answer.text("well"))
          }
        }
      ) { house throws in
        _ = try house.ask("GET", "/a?b=%22,username=%22root", [People.alice.authorization])
        let value = try #require(house.upstream.requests.last?["Authorization"])
        #expect(value.hasPrefix("Digest username=\"x\\\", realm=\\\"evil\", realm=\"r\", nonce=\"n\", uri=\"/a?b=%22,username=%22root\""), "\(value)")
      }
    }
  }
}

/// For Apache's file of passwords.
private enum MD5 {
  static func hex(_ bytes: [UInt8]) -> String {
    let outcome = try? Child.run("/usr/bin/md5sum", [], input: bytes, folder: "/")
    return String(outcome?.text.prefix(32) ?? "")
  }
}
