// What ends a token before its time, what a token may be exchanged for, and what none is made for.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct TokenLifeTests {
  // MARK: The user changes

  @Test func aChangedPasswordEndsTheTokens() throws {
    var scene = try TokenScene()
    let token = try scene.issue()
    #expect(scene.bearer(token).outcome == .granted("alice"))
    try scene.reload(["alice:\(Stored.bcrypt5):groups=staff"])
    #expect(scene.bearer(token).outcome == .challenged(.outdatedToken))
    try scene.reload(["alice:*"])
    #expect(scene.bearer(token).outcome == .challenged(.outdatedToken))
    try scene.reload(TokenScene.users)
    #expect(scene.bearer(token).outcome == .granted("alice"), "the same user again")
  }

  @Test func lockingRemovingAndReplacingAUserEndsTheTokens() throws {
    var scene = try TokenScene()
    let token = try scene.issue()
    let robots = try scene.issue("robot")
    #expect(scene.bearer(token).outcome == .granted("alice") && scene.bearer(robots).outcome == .granted("robot"))
    try scene.reload(["alice:\(Stored.bcrypt):locked", "robot:*:locked"])
    #expect(scene.bearer(token).outcome == .challenged(.locked) && scene.bearer(robots).outcome == .challenged(.locked))
    try scene.reload(["bob:\(Stored.bcrypt)"])
    let removed = scene.bearer(token)
    #expect(removed.outcome == .challenged(.unknownUser) && removed.refusal?.user == bytes("alice"))
    try scene.reload(["alice:\(Stored.yescrypt)", "robot:\(Stored.sha1)"])
    #expect(scene.bearer(token).outcome == .challenged(.outdatedToken), "another alice")
    #expect(scene.bearer(robots).outcome == .challenged(.outdatedToken))
  }

  @Test func aUsersOwnExpiryIsAskedAtEachRequest() throws {
    var scene = try TokenScene(["alice:\(Stored.bcrypt):expires=2027-01-31"])
    scene.now = Timestamp(seconds: 1_801_353_590)
    let token = try scene.issue()
    #expect(scene.bearer(token).outcome == .granted("alice"))
    scene.now = Timestamp(seconds: 1_801_353_600)
    #expect(scene.bearer(token).outcome == .challenged(.expired), "also from the cache")
  }

  /// The fingerprint frames what it is made of, and says whether there is a password at all.
  @Test func fingerprintsAreOfNameAndHash() throws {
    let table = try House.table(["a:*", "a!:*", "b:\(Stored.sha1)", "c:\(Stored.sha1)", "d:\(Stored.bcrypt)"])
    let keys = [TokenScene.secret, TokenScene.otherSecret].map { HMACSHA256Key($0.span) }
    let prints = table.users.flatMap { user in keys.map { TokenFingerprint.make(user, $0) } }
    #expect(Set(prints).count == 10 && prints.allSatisfy { $0.count == SignedToken.fingerprintLength })
  }

  // MARK: Revocation

  @Test func aRevokedTokenIsOutAtOnce() throws {
    let scene = try TokenScene()
    let (one, two) = (try scene.issue(), try scene.issue())
    #expect(scene.bearer(one).outcome == .granted("alice") && scene.bearer(two).outcome == .granted("alice"))
    let identifier = try #require(scene.verified(one)).identifier
    try scene.revocations.insert(.token(identifier, issuedBefore: scene.now), at: scene.house.instant)
    let refused = scene.bearer(one)
    #expect(refused.outcome == .challenged(.revokedToken) && refused.refusal?.user == bytes("alice"))
    #expect(scene.bearer(two).outcome == .granted("alice"))
    #expect(scene.house.ask(one, "x").outcome == .challenged(.revokedToken))
  }

  @Test func tokensAreRevokedByUserAndTime() throws {
    var scene = try TokenScene()
    let (early, bobs) = (try scene.issue(), try scene.issue("bob"))
    scene.now = Timestamp(microseconds: scene.now.microseconds + 10_300_000)
    let middle = try scene.issue()
    let moment = Timestamp(microseconds: scene.now.microseconds + 400_000)
    try scene.revocations.insert(.user(bytes("alice"), before: moment), at: scene.house.instant)
    #expect(scene.verdict(early) == "revoked alice" && scene.verdict(middle) == "revoked alice", "the same second counts as before")
    #expect(scene.verdict(bobs) == "valid bob")
    // Who logs in after that, in the same second, is not meant.
    scene.now = moment
    #expect(scene.verdict(try scene.issue()) == "valid alice")
    #expect(scene.verdict(middle) == "revoked alice")
    // An earlier moment takes nothing back.
    try scene.revocations.insert(.user(bytes("alice"), before: Timestamp(seconds: 5)), at: scene.house.instant)
    #expect(scene.verdict(middle) == "revoked alice")
  }

  @Test func allTokensAreRevokedByTime() throws {
    var scene = try TokenScene()
    let tokens = [try scene.issue(), try scene.issue("bob"), try scene.issue("robot")]
    try scene.revocations.insert(.all(before: scene.now.advanced(by: .seconds(1))), at: scene.house.instant)
    for token in tokens { #expect(scene.verdict(token).hasPrefix("revoked")) }
    scene.now = scene.now.advanced(by: .seconds(2))
    #expect(scene.verdict(try scene.issue("bob")) == "valid bob")
  }

  // MARK: Renewal

  @Test func renewalEndsWithTheTimeSinceThePassword() throws {
    var scene = try TokenScene()
    let start = scene.now
    let first = try #require(scene.verified(try scene.issue()))
    #expect(scene.authority.renewedFirstLogin(for: first, at: scene.now) == nil, "never, without being configured")
    var options = scene.options
    options.renewWithin = .seconds(1500)
    try scene.reload(options: options)
    var token = try #require(scene.verified(try scene.issue()))
    var renewals = 0
    while let login = scene.authority.renewedFirstLogin(for: token, at: scene.now) {
      #expect(login == start, "every renewal counts from the password")
      token = try #require(scene.verified(try scene.issue(firstLogin: login)))
      #expect(token.firstLogin == start && token.expires <= start.advanced(by: .seconds(1500)))
      renewals += 1
      scene.now = scene.now.advanced(by: .seconds(300))
    }
    #expect(renewals == 5 && scene.now == start.advanced(by: .seconds(1500)))
    #expect(throws: TokenIssueFailure.renewalIsOver) { try scene.issue(firstLogin: start) }
  }

  @Test func ticketsAndForeignTokensAreNeverRenewed() throws {
    var scene = try TokenScene()
    var options = scene.options
    options.renewWithin = .seconds(3600)
    try scene.reload(options: options)
    for kind in [VerifiedToken.Kind.ticket, .foreign] {
      let token = VerifiedToken(
        kind: kind, user: scene.user("alice"), identifier: [], issued: scene.now, expires: scene.now.advanced(by: .seconds(60)),
        firstLogin: scene.now)
      #expect(scene.authority.renewedFirstLogin(for: token, at: scene.now) == nil)
    }
  }

  @Test func aRenewalThatWaitsIsNoWayPastARevocation() throws {
    for revocation in ["token", "user", "all", "end", "key's end", "key"] {
      var scene = try TokenScene()
      var options = scene.options
      options.renewWithin = .seconds(3600)
      try scene.reload(options: options)
      // Verified when the request began.
      let old = try #require(scene.verified(try scene.issue()))
      #expect(scene.authority.renewedFirstLogin(for: old, at: scene.now) == scene.now)
      scene.now = scene.now.advanced(by: .seconds(2))
      switch revocation {
      case "token": try scene.revocations.insert(.token(identifier: old.identifier, until: old.expires), at: scene.house.instant)
      case "user": try scene.revocations.insert(.user(bytes("alice"), before: scene.now), at: scene.house.instant)
      case "all": try scene.revocations.insert(.all(before: scene.now), at: scene.house.instant)
      case "end": scene.now = old.expires
      case "key's end":
        try scene.reload(
          keys: TokenScene.line("k1", TokenScene.secret, " until=2027-01-15T08:00:01Z") + TokenScene.line("k2", TokenScene.otherSecret))
      default: try scene.reload(keys: TokenScene.line("k2", TokenScene.otherSecret))
      }
      // Its last byte came after that.
      #expect(scene.authority.renewedFirstLogin(for: old, at: scene.now) == nil, "\(revocation)")
    }
  }

  @Test func aTokenThatWasRenewedInTheSecondOfItsRevocationIsOut() throws {
    var scene = try TokenScene()
    var options = scene.options
    options.renewWithin = .seconds(3600)
    try scene.reload(options: options)
    scene.now = Timestamp(microseconds: scene.now.microseconds + 300_000)
    let old = try #require(scene.verified(try scene.issue()))
    let login = try #require(scene.authority.renewedFirstLogin(for: old, at: scene.now))
    try scene.revocations.insert(.user(bytes("alice"), before: scene.now), at: scene.house.instant)
    #expect(scene.verdict(try scene.issue(firstLogin: login)) == "revoked alice")
    #expect(scene.verdict(try scene.issue()) == "valid alice")
  }

  // MARK: Issuing

  @Test func whatIsTooLongOrTooShortIsNotIssued() throws {
    let scene = try TokenScene()
    #expect(throws: TokenIssueFailure.tooLong(longest: .seconds(86_400))) { try scene.issue(lifetime: .seconds(86_401)) }
    #expect(throws: TokenIssueFailure.tooShort) { try scene.issue(lifetime: .milliseconds(999)) }
    #expect(try scene.duration(.seconds(86_400)) == 86_400)
  }

  @Test func nothingIsIssuedToWhoMayNotPass() throws {
    let scene = try TokenScene(["alice:\(Stored.bcrypt):locked", "bob:\(Stored.bcrypt):expires=2001-01-01"])
    #expect(throws: TokenIssueFailure.userRefused(.locked)) { try scene.issue("alice") }
    #expect(throws: TokenIssueFailure.userRefused(.expired)) { try scene.issue("bob") }
  }

  @Test func identifiersAreNeverTheSame() throws {
    let scene = try TokenScene()
    let tokens = try (0..<200).map { _ in try scene.issue() }
    #expect(Set(tokens).count == 200)
    #expect(Set(tokens.compactMap { scene.verified($0)?.identifier }).count == 200)
  }

  /// Any name that a user may have, the longest too, makes a token that fits where a Basic user name stands.
  @Test func everyNameFitsIntoAToken() throws {
    let names = ["Ünï cödé", "a\"b\\c", String(repeating: "\"", count: 255), String(repeating: "ü", count: 127), "{}", "\u{1F600}"]
    let scene = try TokenScene(names.map { "\($0):\(Stored.bcrypt)" })
    let widest = try TokenScope(items: [bytes("/" + String(repeating: "a", count: 1020))])
    for name in names {
      let token = try scene.issue(name, scope: widest)
      #expect(token.utf8.count <= JWSParts.longest)
      #expect(scene.verdict(token) == "valid \(name)")
      #expect(scene.house.ask(token, "x").outcome == .denied(.outOfScope))
    }
  }
}
