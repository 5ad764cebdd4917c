// Decisions: what gets through, what does not, and that nobody can tell why.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct GatekeeperTests {
  @Test func rightCredentialsAreGranted() throws {
    let house = try House(["alice:\(Stored.bcrypt)", "bob:\(Stored.sha1)", "carol:\(Stored.yescrypt)"])
    for name in ["alice", "bob", "carol"] {
      #expect(house.ask(name, "secret").outcome == .granted(name))
      #expect(house.ask(name, "wrong").outcome == .challenged(.wrongPassword))
      #expect(house.ask(name, "").outcome == .challenged(.wrongPassword))
    }
    #expect(house.ask("dave", "secret").outcome == .challenged(.unknownUser))
    #expect(house.ask(nil).outcome == .challenged(.noCredentials))
  }

  @Test func costlyHashesAreNeverComputedByDecide() throws {
    let house = try House(["alice:\(Stored.bcrypt)", "bob:\(Stored.sha1)"])
    let tally = KDFTally()
    KDFTally.$current.withValue(tally) {
      #expect(house.decide([basic("alice", "secret")]).outcome == .pending)
      #expect(tally.take() == [:])
      #expect(house.decide([basic("bob", "secret")]).outcome == .granted("bob"))
    }
  }

  @Test func duplicateAuthorizationIsMalformed() throws {
    let house = try House(["alice:\(Stored.sha1)"])
    let right = basic("alice", "secret")
    for requirement in [Requirement.validUser, .nobody, .anyOf(users: ["alice"])] {
      #expect(house.decide([right, right], requirement).outcome == .malformed(.duplicateAuthorization))
      #expect(house.decide([right, basic("mallory", "x")], requirement).outcome == .malformed(.duplicateAuthorization))
    }
  }

  @Test func nobodyIsRequiredWithoutLookingAtCredentials() throws {
    let house = try House(["alice:\(Stored.bcrypt)"])
    for value in [nil, basic("alice", "secret"), basic("alice", "wrong"), bytes("garbage"), bytes("Bearer x")] {
      let result = house.ask(value, .nobody)
      #expect(result.outcome == .granted(nil))
      #expect(result.work.isEmpty)
    }
  }

  @Test func groupIsAskedForOnlyAfterThePassword() throws {
    let house = try House([
      "alice:\(Stored.bcrypt):groups=admin ops", "bob:\(Stored.bcrypt):groups=ops", "carol:\(Stored.sha1)",
    ])
    let admins = Requirement.anyOf(groups: ["admin"])
    #expect(house.ask("alice", "secret", admins).outcome == .granted("alice"))
    #expect(house.ask("bob", "secret", admins).outcome == .denied(.notPermitted))
    #expect(house.ask("carol", "secret", admins).outcome == .denied(.notPermitted))
    #expect(house.ask("bob", "wrong", admins).outcome == .challenged(.wrongPassword))
    #expect(house.ask("carol", "wrong", admins).outcome == .challenged(.wrongPassword))
    #expect(house.ask("bob", "secret", .anyOf(users: ["bob"], groups: ["admin"])).outcome == .granted("bob"))
    #expect(house.ask("alice", "secret", .anyOf(users: [], groups: [])).outcome == .denied(.notPermitted))
    // Also from the cache.
    #expect(house.ask("bob", "secret", admins).outcome == .denied(.notPermitted))
    #expect(house.ask("bob", "secret", admins).wasPending == false)
  }

  // MARK: The form of the credentials

  @Test func basicIsReadAsRFC7617Says() throws {
    let house = try House(["alice:\(Stored.sha1)", "Ünï:{PLAIN}pä:ss", "e:{PLAIN}x"])
    let encoded = Base64.encode(bytes("alice:secret").span)
    for scheme in ["Basic ", "basic ", "BASIC ", "bAsIc    "] {
      #expect(house.ask(bytes(scheme) + encoded).outcome == .granted("alice"))
    }
    // The first colon splits; UTF-8 it is. (A colon inside {PLAIN} can't be written in the file.)
    #expect(house.ask("Ünï", "pä").outcome == .granted("Ünï"))
    #expect(house.ask("alice", "secret:").outcome == .challenged(.wrongPassword))
    #expect(house.ask("alice:secret", "").outcome == .challenged(.wrongPassword))
  }

  @Test func malformedCredentialsAreChallengedWithoutWork() throws {
    let house = try House(["alice:\(Stored.sha1)"])
    let encoded = Base64.encode(bytes("alice:secret").span)
    let latin1 = bytes("alice:s") + [0xE9]
    let values: [[UInt8]] = [
      [], bytes("Basic"), bytes("Basic "), bytes("Basic\t") + encoded, bytes("Basic") + encoded, encoded, bytes(" "),
      bytes("Basic ") + encoded + bytes("="), bytes("Basic ") + encoded.dropLast(), bytes("Basic ") + encoded + bytes(" x"),
      bytes("Basic , ") + encoded, bytes("Basic !!!!"), bytes("Basic YWxpY2U6c2VjcmV0\n"), bytes("Basic YWxp Y2U6c2VjcmV0"),
      // Spare bits that are not zero: `YWxpY2U6c2VjcmU=` has only one spelling.
      bytes("Basic YWxpY2U6c2VjcmV="), bytes("Basic YWxpY2U6c2VjcmU"), basic(bytes("alice")), basic([]), basic(latin1),
      basic(bytes("alice:") + [0xC0, 0xAF]), basic(bytes("alice:") + [0xED, 0xA0, 0x80]),
      basic(bytes("alice:") + [0xF4, 0x90, 0x80, 0x80]),
      basic(bytes("alice:secret\0")), basic(bytes("alice:secret\0x")), basic(bytes("alice\0:secret")), basic(bytes("alice:secret\n")),
      basic(bytes("alice:sec\u{7F}ret")), basic(bytes("al\tice:secret")), basic([UInt8](repeating: 0x61, count: 256) + bytes(":x")),
      basic(bytes("alice:") + [UInt8](repeating: 0x61, count: 512)), basic([UInt8](repeating: 0x3A, count: 100_000)),
    ]
    for value in values {
      let result = house.ask(value)
      #expect(
        result.outcome == .challenged(.malformed) || result.outcome == .challenged(.unknownScheme),
        "\(String(decoding: value.prefix(80), as: UTF8.self))")
      #expect(result.work.isEmpty)
      #expect(result.refusal?.user == [])
    }
  }

  @Test func longestNameAndPasswordAreChecked() throws {
    let name = String(repeating: "n", count: 255)
    let password = String(repeating: "p", count: 511)
    let house = try House(["\(name):{PLAIN}\(password)"])
    #expect(house.ask(name, password).outcome == .granted(name))
    #expect(house.ask(name, password.dropLast().description).outcome == .challenged(.wrongPassword))
  }

  @Test func otherSchemesAreChallenged() throws {
    let house = try House(["alice:\(Stored.sha1)"])
    for value in ["Digest username=\"alice\"", "Negotiate abc", "NTLM", "Basic2 YWxpY2U6c2VjcmV0"] {
      #expect(house.ask(bytes(value)).outcome == .challenged(.unknownScheme))
    }
  }

  /// A cut at each byte is either refused or, at the end, the whole.
  @Test func everyPrefixOfCredentialsIsRefused() throws {
    let house = try House(["alice:\(Stored.sha1)"])
    let whole = basic("alice", "secret")
    for length in 0..<whole.count {
      guard case .challenged = house.ask(Array(whole.prefix(length))).outcome else {
        Issue.record("granted at \(length)")
        continue
      }
    }
  }

  // MARK: Same work for every name

  /// Unknown, locked, expired, without password: each costs what some user of the file costs, and is challenged alike.
  @Test func everyRefusalDoesOneCheckOfACostInTheFile() throws {
    let house = try House([
      "alice:\(Stored.bcrypt)", "locked:\(Stored.bcrypt):locked", "expired:\(Stored.bcrypt):expires=2001-01-01",
      "keysonly:*:keys=\(Token("k").entry)",
    ])
    let known = house.ask("alice", "wrong")
    #expect(known.work == ["bcrypt 4": 1] && known.wasPending)
    for name in ["nobody", "locked", "expired", "keysonly", "", "a name"] {
      for password in ["secret", "wrong", "", Token("x").text] {
        let result = house.ask(name, password)
        #expect(result.work == known.work && result.wasPending == known.wasPending, "\(name) \(password)")
        guard case .challenged = result.outcome else {
          Issue.record("\(name) \(password): \(result.outcome)")
          continue
        }
      }
    }
  }

  @Test func lockedUserWithRightPasswordLooksLikeAWrongOneEachTime() throws {
    let house = try House(["alice:\(Stored.bcrypt)", "locked:\(Stored.bcrypt):locked"])
    for _ in 0..<3 {
      let result = house.ask("locked", "secret")
      #expect(result.outcome == .challenged(.locked))
      #expect(result.work == ["bcrypt 4": 1] && result.wasPending)
    }
    #expect(house.cache.count == 0)
  }

  @Test func lockingAVerifiedUserLeavesNoTraceInTime() throws {
    var house = try House(["alice:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").work == ["bcrypt 4": 1])
    #expect(house.ask("alice", "secret").work == [:], "from the cache")
    try house.reload(["alice:\(Stored.bcrypt):locked", "other:\(Stored.bcrypt)"])
    let locked = house.ask("alice", "secret")
    #expect(locked.outcome == .challenged(.locked) && locked.work == ["bcrypt 4": 1])
    try house.reload(["alice:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
  }

  @Test func expiryTakesEffectWithoutAReload() throws {
    var house = try House(["alice:\(Stored.bcrypt):expires=2027-01-31"])
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    house.now = Timestamp(seconds: 1_801_353_599)  // 2027-01-30T23:59:59Z
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    house.now = Timestamp(seconds: 1_801_353_600)
    #expect(house.ask("alice", "secret").outcome == .challenged(.expired))
    #expect(house.ask("alice", "secret").work == ["bcrypt 4": 1])
  }

  @Test func unknownNamesCostWhatTheUsersOfTheFileCost() throws {
    // One quarter each of a costly and a cheap kind, half of another.
    let lines = (0..<40).map { i in "user\(i):\(i % 4 == 0 ? Stored.bcrypt5 : i % 4 == 1 ? Stored.sha1 : Stored.bcrypt)" }
    let house = try House(lines)
    var seen: [String: Int] = [:]
    for i in 0..<400 {
      let name = "stranger\(i)"
      let first = house.ask(name, "secret")
      #expect(first.outcome == .challenged(.unknownUser))
      #expect(house.ask(name, "another").work == first.work, "always the same for one name")
      #expect(first.work.values.reduce(0, +) == 1)
      for cost in first.work.keys { seen[cost, default: 0] += 1 }
    }
    #expect(Set(seen.keys) == ["bcrypt 4", "bcrypt 5", "{SHA}"])
    // The counts follow from the seed: these bounds are no matter of luck.
    #expect((150...250).contains(seen["bcrypt 4"] ?? 0), "\(seen)")
    #expect((60...140).contains(seen["bcrypt 5"] ?? 0), "\(seen)")
    #expect((60...140).contains(seen["{SHA}"] ?? 0), "\(seen)")
  }

  @Test func sameSeedGivesTheSameDecoysAfterARestart() throws {
    let lines = ["a:\(Stored.bcrypt)", "b:\(Stored.sha1)", "c:\(Stored.sha256)"]
    let first = try House(lines, seed: "machine")
    let second = try House(lines, seed: "machine")
    let other = try House(lines, seed: "another")
    var differs = false
    for i in 0..<60 {
      let work = first.ask("stranger\(i)", "x").work
      #expect(second.ask("stranger\(i)", "x").work == work)
      if other.ask("stranger\(i)", "x").work != work { differs = true }
    }
    #expect(differs)
  }

  @Test func aUserMoreChangesFewDecoys() throws {
    let lines = (0..<50).map { "user\($0):\($0 < 25 ? Stored.bcrypt : Stored.sha1)" }
    var house = try House(lines)
    let before = (0..<200).map { house.ask("stranger\($0)", "x").work }
    try house.reload(lines + ["onemore:\(Stored.sha1)"])
    let after = (0..<200).map { house.ask("stranger\($0)", "x").work }
    #expect(zip(before, after).count { $0 != $1 } <= 10)
  }

  @Test func emptyUserFileStillWorks() throws {
    for lines in [[], ["# nobody yet"], ["k:*:keys=\(Token("k").entry)"]] {
      let house = try House(lines)
      let result = house.ask("alice", "secret")
      #expect(result.outcome == .challenged(.unknownUser))
      #expect(result.work == ["yescrypt j9T": 1] && result.wasPending)
    }
  }

  // MARK: The cache

  @Test func cachedCredentialsAreGrantedWithoutWork() throws {
    let house = try House(["alice:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").wasPending)
    for _ in 0..<3 {
      let result = house.ask("alice", "secret")
      #expect(result.outcome == .granted("alice") && !result.wasPending && result.work.isEmpty)
    }
    #expect(house.ask("alice", "wrong").work == ["bcrypt 4": 1], "only that password")
    #expect(house.cache.count == 1, "only successes")
  }

  /// `user` + `password` without a limit between them let a stranger share a result.
  @Test func cacheKeyKeepsNameAndPasswordApart() throws {
    let house = try House(["alice:\(Stored.bcrypt)", "alices:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    #expect(house.ask("alices", "ecret").outcome == .challenged(.wrongPassword))
    #expect(house.ask("alic", "esecret").outcome == .challenged(.unknownUser))
  }

  /// bcrypt reads 72 bytes: two passwords that agree so far both match, but each has to be checked itself.
  @Test func cacheKeyHoldsTheWholePassword() throws {
    let house = try House(["alice:\(Stored.sha256)"])
    #expect(house.ask("alice", "secret").wasPending)
    #expect(house.ask("alice", "secret" + String(repeating: "x", count: 100)).wasPending)
  }

  @Test func changedOrRemovedUserIsNotInTheCache() throws {
    var house = try House(["alice:\(Stored.bcrypt)", "bob:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    try house.reload(["alice:{PLAIN}other", "bob:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").outcome == .challenged(.wrongPassword))
    try house.reload(["alice:\(Stored.bcrypt5)", "bob:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").wasPending, "the same password under a new hash is checked")
    try house.reload(["bob:\(Stored.bcrypt)"])
    #expect(house.ask("alice", "secret").outcome == .challenged(.unknownUser))
  }

  @Test func unusedEntriesExpireAndUsedOnesStay() throws {
    var house = try House(["alice:\(Stored.bcrypt)"], lifetime: .seconds(10))
    #expect(house.ask("alice", "secret").wasPending)
    for _ in 0..<5 {
      house.instant = house.instant.advanced(by: .seconds(9))
      #expect(!house.ask("alice", "secret").wasPending)
    }
    house.instant = house.instant.advanced(by: .seconds(10))
    #expect(house.ask("alice", "secret").wasPending)
  }

  @Test func cacheCanBeTurnedOff() throws {
    for house in [
      try House(["alice:\(Stored.bcrypt)"], lifetime: .seconds(0)), try House(["alice:\(Stored.bcrypt)"], entries: 0),
    ] {
      #expect(house.ask("alice", "secret").wasPending)
      #expect(house.ask("alice", "secret").wasPending)
      #expect(house.cache.count == 0)
    }
  }

  // MARK: Checks in flight

  @Test func equalChecksShareAKeyAndOthersDoNot() throws {
    let house = try House(["alice:\(Stored.bcrypt)", "bob:\(Stored.bcrypt)"])
    let key = house.pending("alice", "secret")?.key
    #expect(key != nil)
    #expect(house.pending("alice", "secret")?.key == key)
    #expect(house.pending("alice", "wrong")?.key != key)
    #expect(house.pending("bob", "secret")?.key != key)
    #expect(house.pending("nobody", "x")?.key == house.pending("nobody", "x")?.key)
  }

  @Test func settleLooksAtTheTableOfNow() throws {
    var house = try House(["alice:\(Stored.bcrypt)"])
    let check = try #require(house.pending("alice", "secret"))
    let stranger = try #require(house.pending("late", "secret"))
    let matched = check.run()
    #expect(matched)
    for (line, reason) in [
      ("alice:\(Stored.bcrypt):locked", Refusal.Reason.locked), ("alice:\(Stored.bcrypt):expires=2001-01-01", .expired),
      ("alice:\(Stored.bcrypt5)", .userChanged), ("alice:*:keys=\(Token("k").entry)", .noPassword), ("bob:\(Stored.bcrypt)", .unknownUser),
    ] {
      try house.reload([line])
      #expect(house.settle(check, matched: matched).outcome == .challenged(reason))
    }
    #expect(house.cache.count == 0)
    // Who was unknown when the check began is not known by it, whatever it says.
    try house.reload(["late:\(Stored.bcrypt)"])
    #expect(house.settle(stranger, matched: true).outcome == .challenged(.userChanged))
    try house.reload(["alice:\(Stored.bcrypt):groups=a"])
    #expect(house.settle(check, matched: matched).outcome == .granted("alice"))
    #expect(house.settle(check, matched: false).outcome == .challenged(.wrongPassword))
  }

  // MARK: Tokens

  @Test func tokenIsAcceptedInThreePlaces() throws {
    let token = Token("ci")
    for entry in [token.entry, token.threePartEntry] {
      let house = try House(["alice:\(Stored.bcrypt):keys=\(Token("other").entry) \(entry)", "bob:\(Stored.bcrypt)"])
      for value in [
        bytes("Bearer \(token.text)"), bytes("bearer  \(token.text)"), basic(token.text, ""), basic(token.text, "x-oauth-basic"),
        basic("alice", token.text),
      ] {
        let result = house.ask(value)
        #expect(result.outcome == .granted("alice"))
        #expect(result.work.isEmpty && !result.wasPending, "never a costly hash")
      }
    }
  }

  @Test func tokenAsPasswordSpeaksForItsOwnerOnly() throws {
    let token = Token("ci")
    let house = try House(["alice:\(Stored.bcrypt):keys=\(token.entry)", "bob:\(Stored.bcrypt)"])
    #expect(house.ask("bob", token.text).outcome == .challenged(.wrongPassword))
    #expect(house.ask("bob", token.text).work == ["bcrypt 4": 1])
    #expect(house.ask("nobody", token.text).outcome == .challenged(.unknownUser))
  }

  @Test func tokensOfLockedAndExpiredUsersAreRefused() throws {
    let token = Token("ci")
    for (attribute, reason) in [("locked", Refusal.Reason.locked), ("expires=2001-01-01", .expired)] {
      let house = try House(["alice:\(Stored.bcrypt):\(attribute),keys=\(token.entry)"])
      #expect(house.ask(bytes("Bearer \(token.text)")).outcome == .challenged(reason))
      #expect(house.ask(basic(token.text, "")).outcome == .challenged(reason))
      let asPassword = house.ask("alice", token.text)
      #expect(asPassword.outcome == .challenged(reason) && asPassword.work == ["bcrypt 4": 1])
    }
  }

  @Test func expiredTokensAreRefused() throws {
    let token = Token("ci", expires: "2027-01-31T12:00:00Z")
    var house = try House(["alice:\(Stored.bcrypt):keys=\(token.entry)"])
    #expect(house.ask(bytes("Bearer \(token.text)")).outcome == .granted("alice"))
    house.now = Timestamp(seconds: 1_801_353_600 + 43_200)
    #expect(house.ask(bytes("Bearer \(token.text)")).outcome == .challenged(.expiredToken))
    #expect(house.ask(basic(token.text, "")).outcome == .challenged(.expiredToken))
    let asPassword = house.ask("alice", token.text)
    #expect(asPassword.outcome == .challenged(.expiredToken))
    #expect(asPassword.work == ["bcrypt 4": 1])
  }

  @Test func revokedTokensAreRefusedAtTheReload() throws {
    let token = Token("ci")
    var house = try House(["alice:\(Stored.bcrypt):keys=\(token.entry)"])
    #expect(house.ask(bytes("Bearer \(token.text)")).outcome == .granted("alice"))
    try house.reload(["alice:\(Stored.bcrypt)"])
    #expect(house.ask(bytes("Bearer \(token.text)")).outcome == .challenged(.unknownToken))
  }

  @Test func invalidTokensAreChallengedAsWhatWasSent() throws {
    let token = Token("ci")
    let house = try House(["alice:\(Stored.bcrypt):keys=\(token.entry)"])
    let wrong = [
      "ghk_", "ghk_short", token.text + "x", String(token.text.dropLast()), token.text.uppercased(), "x", "eyJhbGciOiJub25lIn0.e30.",
      " " + token.text.dropLast() + "!",
    ]
    func reason(_ text: String) -> Refusal.Reason { text.contains("ghk_") ? .mistypedToken : .unknownToken }
    #expect(house.ask(bytes("Bearer \(Token("x").text)")).outcome == .challenged(.unknownToken))
    for text in wrong {
      let bearer = house.ask(bytes("Bearer \(text)"))
      #expect(bearer.outcome == .challenged(reason(text)))
      #expect(bearer.refusal?.sentBearer == true)
      #expect(bearer.refusal?.user == [])
    }
    for text in wrong where text.hasPrefix("ghk_") {
      let asName = house.ask(basic(text, "secret"))
      #expect(
        asName.refusal?.reason == .mistypedToken && asName.refusal?.user == [], "a damaged token is still a secret: it is not in the log")
    }
    #expect(house.ask("alice", "wrong").refusal?.sentBearer == false)
  }

  @Test func requirementHoldsForTokensToo() throws {
    let token = Token("ci")
    let house = try House(["alice:\(Stored.bcrypt):groups=ops,keys=\(token.entry)"])
    #expect(house.ask(bytes("Bearer \(token.text)"), .anyOf(groups: ["admin"])).outcome == .denied(.notPermitted))
    #expect(house.ask(bytes("Bearer \(token.text)"), .anyOf(groups: ["ops"])).outcome == .granted("alice"))
  }

  @Test func namesUnfitForALogAreNotInTheRefusal() throws {
    let house = try House(["alice:\(Stored.sha1)"])
    #expect(house.ask("mallory", "x").refusal?.user == bytes("mallory"))
    // C1 controls drive terminals; RFC 7617 does not forbid them.
    #expect(house.ask("mal\u{9B}31mlory", "x").refusal?.user == [])
  }
}
