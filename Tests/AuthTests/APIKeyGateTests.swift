// What an API key opens, from where, in which field; and what its use leaves behind.

import Crypto
import HTTP
import Primitives
import Testing

@testable import Auth

/// A gatekeeper with API keys, asked by whole requests.
private struct KeyHouse {
  let gatekeeper: Gatekeeper
  let uses = KeyUses()
  var client = ClientAddress.ipv4(0x0A00_0001)
  var now = Timestamp(seconds: 1_800_000_000)

  init(_ lines: [String], field: String = "X-API-Key") throws {
    gatekeeper = Gatekeeper(
      users: try House.table(lines), cache: VerifiedCache(entries: 64), options: GatekeeperOptions(apiKeyField: bytes(field)), keyUses: uses
    )
  }

  var context: RequestContext { RequestContext(client: client, now: now, instant: Instant(nanoseconds: 1_000_000_000)) }

  func ask(_ fields: [String], _ method: String = "GET", _ path: String = "/", _ requirement: Requirement = .validUser) throws -> Result {
    var head = RequestHead()
    var parser = HeadParser(limits: HeadLimits())
    let text = (["\(method) \(path) HTTP/1.1", "Host: a"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    guard case .complete = parser.parse(bytes(text).span, into: &head) else {
      Issue.record("not a head: \(text)")
      return Result(outcome: .pending)
    }
    var target = ByteBuffer()
    target.append(utf8: path)
    let tally = KDFTally()
    return KDFTally.$current.withValue(tally) {
      var scratch = Secret()
      var (result, check) = House.read(
        gatekeeper.decide(head, target: target, pathLength: target.count, requirement, context, scratch: &scratch))
      if let check {
        result =
          House.read(
            gatekeeper.settle(
              check, matched: check.run(), method: bytes(method).span, target: target, pathLength: target.count, requirement, context)
          ).result
      }
      result.work = tally.take()
      return result
    }
  }

  /// The key in all places where one may stand.
  static func forms(_ token: String, of user: String = "alice") -> [String] {
    [
      "Authorization: Bearer \(token)", "Authorization: \(String(decoding: basic(token, "x"), as: UTF8.self))",
      "Authorization: \(String(decoding: basic(user, token), as: UTF8.self))", "X-API-Key: \(token)", "x-api-KEY:\(token)",
    ]
  }
}

@Suite struct APIKeyGateTests {
  @Test func aScopeHoldsInEveryForm() throws {
    let token = Token("ci")
    let house = try KeyHouse(["alice:\(Stored.sha1):keys=\(token.entry)/scope=GET%3A%2Freports%2F"])
    for field in KeyHouse.forms(token.text) {
      #expect(try house.ask([field], "GET", "/reports/2026").outcome == .granted("alice"))
      #expect(try house.ask([field], "HEAD", "/reports").outcome == .granted("alice"))
      for (method, path) in [("POST", "/reports/2026"), ("GET", "/"), ("GET", "/reportsx"), ("GET", "/reports/..%2fadmin")] {
        #expect(try house.ask([field], method, path).outcome == .denied(.outOfScope), "\(method) \(path)")
      }
    }
    // The owner himself is not limited by it.
    #expect(try house.ask(["Authorization: \(String(decoding: basic("alice", "secret"), as: UTF8.self))"]).outcome == .granted("alice"))
  }

  @Test func aKeyOutsideItsNetworksIsWorthNothing() throws {
    let token = Token("ci")
    var house = try KeyHouse(["alice:\(Stored.bcrypt):keys=\(token.entry)/scope=%2Fa/from=10.0.0.0%2F8%20unix%3A"])
    for field in KeyHouse.forms(token.text) { #expect(try house.ask([field], "GET", "/a").outcome == .granted("alice")) }
    house.client = .unix
    for field in KeyHouse.forms(token.text) { #expect(try house.ask([field], "GET", "/a").outcome == .granted("alice")) }
    house.client = .ipv4(0x0B00_0001)
    for (i, field) in KeyHouse.forms(token.text).enumerated() {
      // Not 403: it would tell a thief that the key is good somewhere. Also not where the scope ends.
      for path in ["/a", "/"] {
        let result = try house.ask([field], "GET", path)
        #expect(result.outcome == .challenged(.outsideNetworks))
        #expect(result.refusal?.user == bytes("alice"))
        #expect(result.work == (i == 2 ? ["bcrypt 4": 1] : [:]), "as a password it costs what any wrong one costs")
      }
    }
  }

  @Test func aMistypedTokenCostsNothing() throws {
    let token = Token("ci")
    let house = try KeyHouse(["alice:\(Stored.bcrypt):keys=\(token.entry)", "bob:\(Stored.bcrypt)"])
    let slip = String(token.text.dropLast(7)) + (token.text.suffix(7).first == "A" ? "B" : "A") + token.text.suffix(6)
    for user in ["alice", "bob", "nobody"] {
      for field in KeyHouse.forms(slip, of: user) {
        let result = try house.ask([field])
        #expect(result.outcome == .challenged(.mistypedToken))
        #expect(result.work.isEmpty)
      }
    }
    // A password that only begins like a token is one.
    #expect(try house.ask(["Authorization: \(String(decoding: basic("alice", "ghk_secret"), as: UTF8.self))"]).work == ["bcrypt 4": 1])
  }

  @Test func theKeysFieldTakesKeysAndNothingElse() throws {
    let token = Token("ci")
    let house = try KeyHouse(["alice:\(Stored.bcrypt):keys=\(token.entry)"])
    for value in [
      "", "Bearer \(token.text)", String(decoding: basic("alice", "secret"), as: UTF8.self), "secret", "\(token.text),\(token.text)",
    ] {
      let result = try house.ask(["X-API-Key: \(value)"])
      guard case .challenged = result.outcome else {
        Issue.record("\(value): \(result.outcome)")
        continue
      }
      #expect(result.work.isEmpty && result.refusal?.user == [])
    }
  }

  @Test func severalCredentialsAreRefused() throws {
    let (token, other) = (Token("ci"), Token("other"))
    let house = try KeyHouse(["alice:\(Stored.sha1):keys=\(token.entry) \(other.entry)"])
    let right = "Authorization: Bearer \(token.text)"
    for fields in [
      ["X-API-Key: \(token.text)", right], [right, "X-API-Key: \(token.text)"], ["X-API-Key: \(token.text)", "x-api-key: \(token.text)"],
      ["X-API-Key: \(token.text)", "X-API-Key: \(other.text)"], ["X-API-Key:", right], ["X-API-Key: ", "X-API-Key: \(token.text)"],
      ["X-API-Key: \(token.text)", "Authorization:"],
    ] {
      #expect(try house.ask(fields).outcome == .malformed(.severalCredentials), "\(fields)")
      #expect(try house.ask(fields, "GET", "/", .nobody).outcome == .malformed(.severalCredentials), "\(fields)")
    }
    #expect(try house.ask(["X-API-Key: wrong"], "GET", "/", .nobody).outcome == .granted(nil))
  }

  @Test func anotherSpellingOfTheFieldIsNoCredential() throws {
    let token = Token("ci")
    let house = try KeyHouse(["alice:\(Stored.sha1):keys=\(token.entry)"])
    for name in ["X_API_Key", "X-API.Key", "X-API-Keys", "XAPIKey"] {
      #expect(try house.ask(["\(name): \(token.text)"]).outcome == .challenged(.noCredentials), "\(name)")
    }
    let off = try KeyHouse(["alice:\(Stored.sha1):keys=\(token.entry)"], field: "")
    #expect(try off.ask(["X-API-Key: \(token.text)"]).outcome == .challenged(.noCredentials))
  }

  // MARK: Last use

  @Test func aUseIsNotedOnceAMinuteAndOnlyWhenTheKeyWasGood() throws {
    let token = Token("ci")
    var house = try KeyHouse(["alice:\(Stored.sha1):keys=\(token.entry)/from=10.0.0.0%2F8"])
    let fields = KeyHouse.forms(token.text)
    for field in fields { _ = try house.ask([field]) }
    let noted = house.uses.take()
    #expect(noted.map(\.user) == [bytes("alice")] && noted.map(\.key) == [bytes("ci")])
    #expect(noted.map(\.time) == [house.now] && noted.map(\.client) == [house.client])
    #expect(house.uses.take().isEmpty)
    house.now = Timestamp(seconds: house.now.seconds + 60)
    house.client = .ipv4(0x0B00_0001)
    for field in fields { _ = try house.ask([field]) }
    _ = try house.ask(["X-API-Key: \(Token("x").text)"])
    #expect(house.uses.take().isEmpty, "what was refused is no use")
    house.client = .ipv4(0x0A00_0002)
    for field in fields { _ = try house.ask([field]) }
    #expect(house.uses.take().map(\.client) == [house.client])
  }

  @Test func whatNobodyTakesIsBounded() throws {
    let table = try House.table(["alice:*"])
    let uses = KeyUses()
    let context = RequestContext(now: Timestamp(seconds: 1_800_000_000), instant: Instant(nanoseconds: 1))
    for i in 0..<(KeyUses.most + 10) {
      let key = APIKey(name: bytes("k\(i)"), digest: APIKey.issue(name: [], expires: nil).key.digest, expires: nil, lastFour: nil)
      uses.note(key, of: table.users[0], context)
    }
    #expect(uses.take().count == KeyUses.most)
  }

  @Test func theLedgerIsReadAsItIsWritten() throws {
    let (one, two) = (Token("ci"), Token("deploy"))
    let table = try House.table(["a b%:*:keys=\(one.entry) \(two.entry)"])
    let keys = table.users[0].keys
    var ledger = KeyUseLedger()
    for (key, seconds) in [(keys[1], 1_800_000_100), (keys[0], 1_800_000_001), (keys[0], 1_800_000_000)] as [(APIKey, Int64)] {
      ledger.add(
        .init(
          user: bytes("a b%"), key: key.name, identity: key.digest.prefix, time: Timestamp(seconds: seconds), client: .ipv4(0x7F00_0001)))
    }
    let text = String(decoding: ledger.bytes, as: UTF8.self)
    #expect(
      text.split(separator: "\n").map { $0.split(separator: " ").prefix(4).joined(separator: " ") } == [
        "a%20b%25 ci 2027-01-15T08:00:01Z 127.0.0.1", "a%20b%25 deploy 2027-01-15T08:01:40Z 127.0.0.1",
      ])
    let again = KeyUseLedger(ledger.bytes)
    #expect(again.uses == ledger.uses && again.unreadable == 0)
    #expect(again.use(of: keys[0])?.time == Timestamp(seconds: 1_800_000_001))
    // A key of the same name that was issued later was not used.
    let reissued = try House.table(["a b%:*:keys=\(Token("ci").entry)"])
    #expect(again.use(of: reissued.users[0].keys[0]) == nil)
    var kept = again
    kept.keep(reissued)
    #expect(kept.uses.isEmpty)
  }

  @Test func linesOfTheLedgerThatCannotBeReadAreLeftOut() {
    let good = "alice ci 2027-01-15 127.0.0.1 0123456789abcdef"
    for line in [
      "x", "alice ci 2027-01-15 127.0.0.1", "alice ci 2027-01-15 127.0.0.1 0123456789abcde", "alice ci soon 127.0.0.1 0123456789abcdef",
      "alice ci 2027-01-15 here 0123456789abcdef", "a%zz ci 2027-01-15 ::1 0123456789abcdef", "%00 ci 2027-01-15 ::1 0123456789abcdef",
      "alice c/i 2027-01-15 ::1 0123456789abcdef", good + " x", String(repeating: "x", count: 2000), "\u{0}",
    ] {
      let ledger = KeyUseLedger(bytes("\(line)\n\(good)\n"))
      #expect(ledger.uses.count == 1 && ledger.unreadable == 1, "\(line)")
    }
    #expect(KeyUseLedger(bytes(good)).uses.count == 1, "a torn end loses a line, not the file")
  }
}
