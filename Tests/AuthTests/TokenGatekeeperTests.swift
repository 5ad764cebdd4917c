// Signed tokens at the gate: where they are accepted, what they cost, and that their text goes nowhere.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct TokenGatekeeperTests {
  @Test func aTokenIsAcceptedAsBearerAndAsBasicName() throws {
    let scene = try TokenScene()
    let token = try scene.issue()
    for _ in 0..<2 {
      #expect(scene.bearer(token).outcome == .granted("alice"))
      for password in ["unused", "", "x:y", "secret"] { #expect(scene.house.ask(token, password).outcome == .granted("alice")) }
    }
    #expect(scene.bearer(token).work.isEmpty && scene.house.ask(token, "unused").work.isEmpty)
    #expect(scene.bearer(token, .anyOf(groups: ["staff"])).outcome == .granted("alice"))
    #expect(scene.bearer(token, .anyOf(groups: ["admin"])).outcome == .denied(.notPermitted))
  }

  @Test func aTokenIsNobodysPassword() throws {
    let scene = try TokenScene()
    let token = try scene.issue()
    for name in ["alice", "bob", "nobody", ""] {
      guard case .challenged = scene.house.ask(name, token).outcome else {
        Issue.record("a token is \(name)'s password")
        continue
      }
    }
  }

  @Test func wrongTokensCostNoHash() throws {
    let scene = try TokenScene()
    let good = bytes(try scene.issue())
    let tally = KDFTally()
    var granted = 0
    KDFTally.$current.withValue(tally) {
      for round in 0..<10_000 {
        var token = good
        let place = round % token.count
        token[place] = token[place] == 0x41 ? 0x42 : 0x41
        if token == good { continue }
        let value = round % 2 == 0 ? bytes("Bearer ") + token : basic(token + bytes(":x"))
        let outcome = scene.house.decide([value]).outcome
        if case .granted = outcome { granted += 1 }
        // The form of a token is gone where its first letters or a dot were hit: such a name is asked for a password, and a bearer is not.
        if outcome == .pending && JWSParts.hasForm(token.span) { Issue.record("a token waits for a hash") }
      }
    }
    #expect(granted == 0 && tally.take().isEmpty)
    #expect(scene.house.cache.tokens.count == 0, "failures are not remembered")
  }

  @Test func aTokenWithoutKeysIsUnknownAndCostsNothing() throws {
    let token = try TokenScene().issue()
    let house = try House(TokenScene.users)
    for result in [house.ask(bytes("Bearer \(token)")), house.ask(token, "x")] {
      #expect(result.outcome == .challenged(.unknownToken) && result.work.isEmpty)
    }
  }

  /// The same challenge for each; `error="invalid_token"` where a bearer token was sent.
  @Test func refusalsOfTokensTellNothing() throws {
    var scene = try TokenScene()
    let revoked = try scene.issue()
    let identifier = try #require(scene.verified(revoked)).identifier
    try scene.revocations.insert(.token(identifier, issuedBefore: scene.now), at: scene.house.instant)
    let (outdated, expired) = (try scene.issue("bob"), try scene.issue(lifetime: .seconds(1)))
    try scene.reload(["alice:\(Stored.bcrypt)", "bob:\(Stored.bcrypt)"])
    scene.now = scene.now.advanced(by: .seconds(2))
    let wrong = TokenScene.forge(TokenScene.header, scene.claims(), TokenScene.otherSecret)
    let reasons: [(String, Refusal.Reason)] = [
      (revoked, .revokedToken), (outdated, .outdatedToken), (expired, .expiredToken), (wrong, .invalidToken),
      (TokenScene.forge(#"{"alg":"HS256","typ":"JWT","kid":"k9"}"#, scene.claims()), .unknownToken),
    ]
    for (token, reason) in reasons {
      let (sent, named) = (scene.bearer(token), scene.house.ask(token, "x"))
      #expect(sent.outcome == .challenged(reason) && named.outcome == .challenged(reason))
      #expect(sent.refusal?.sentBearer == true && named.refusal?.sentBearer == false)
      #expect(sent.work.isEmpty && named.work.isEmpty)
    }
  }

  @Test func onlyATokenMayBeLongerThanAName() throws {
    let scene = try TokenScene()
    func name(_ text: [UInt8]) -> Outcome { scene.house.ask(basic(text + bytes(":x"))).outcome }
    #expect(name([UInt8](repeating: 0x61, count: 256)) == .challenged(.malformed))
    #expect(name(bytes("eyJ" + String(repeating: "a", count: 300))) == .challenged(.malformed), "without dots")
    #expect(name(bytes("eyI." + String(repeating: "a", count: 300) + ".b")) == .challenged(.malformed))
    let long = bytes("eyJ." + String(repeating: "a", count: 8000) + ".")
    #expect(name(long + bytes(String(repeating: "b", count: JWSParts.longest - long.count))) == .challenged(.invalidToken))
    #expect(name(long + bytes(String(repeating: "b", count: JWSParts.longest + 1 - long.count))) == .challenged(.malformed))
    #expect(scene.bearer("eyJ." + String(repeating: "a", count: 9000) + ".b").outcome == .challenged(.malformedToken))
    #expect(UserName.fault(bytes("eyJhbGciOiJIUzI1NiJ9.e30.x").span) != nil)
    #expect(UserName.fault(bytes("eyJude").span) == nil)
  }

  /// Pasted into the wrong place, whole or in part, it does not get into a log by the name that it was given as.
  @Test(arguments: ["", "x", " ", "token:", "Bearer "])
  func aSignedTokenInsideAnUnknownNameIsNotLogged(_ prefix: String) throws {
    let scene = try TokenScene(["robot:*"])
    let token = try scene.issue("robot")
    let parts = token.split(separator: ".").map(String.init)
    for text in [token, parts[1] + "." + parts[2], "\(parts[0]).\(parts[1])"] {
      let name = String((prefix + text).prefix(255))
      let result = scene.house.ask(name, "any")
      let logged = String(decoding: result.refusal?.user ?? [], as: UTF8.self)
      #expect(!logged.contains("eyJ"), "\(logged)")
    }
  }

  // MARK: Scopes

  @Test func aScopeLimitsMethodsAndPaths() throws {
    let scene = try TokenScene()
    let reports = try scene.issue(scope: try TokenScope(items: [bytes("GET /reports/")]))
    #expect(scene.bearer(reports).outcome == .denied(.outOfScope), "asked for /")
    #expect(scene.bearer(try scene.issue(scope: try TokenScope(items: [bytes("GET /")]))).outcome == .granted("alice"))
    #expect(scene.bearer(try scene.issue(scope: try TokenScope(items: [bytes("POST /")]))).outcome == .denied(.outOfScope))
    #expect(scene.bearer(reports, .nobody).outcome == .granted(nil))
  }

  @Test(arguments: [
    ("GET /a/b", "GET /a", true), ("/a", "/a", true), ("/a/", "/a", true), ("GET /a", "/a", true), ("/a", "GET /a", false),
    ("GET,HEAD /a", "GET /a", true), ("GET,POST /a", "GET /a", false), ("/ab", "/a", false), ("/", "/a", false), ("/x", "/a /x", true),
    ("/x /y", "/a /x", false), ("", "/a", false), ("/a", "", true), ("", "", true),
  ])
  func aScopeIsWithinAnother(_ inner: String, _ outer: String, _ isWithin: Bool) throws {
    func scope(_ text: String) throws -> TokenScope {
      try TokenScope(
        items: text.isEmpty
          ? []
          : text.replacing(" /", with: "|/").split(separator: "|").reduce(into: [[UInt8]]()) { items, word in
            // "GET /a" is one item; "/a /x" are two.
            if word.hasPrefix("/"), let last = items.last, !last.contains(0x2F) {
              items[items.count - 1] = last + bytes(" " + word)
            } else {
              items.append(bytes(String(word)))
            }
          })
    }
    #expect(try scope(inner).isWithin(try scope(outer)) == isWithin)
  }

  // MARK: The cache

  @Test func aVerifiedTokenIsRememberedUntilSomethingChanges() throws {
    var scene = try TokenScene()
    let token = try scene.issue(lifetime: .seconds(3600))
    let cache = scene.house.cache.tokens
    func isKnown() -> Bool {
      let circumstances = VerifiedTokens.Circumstances(generation: scene.house.gatekeeper.generation, epoch: scene.revocations.epoch)
      return cache.token(cache.code(bytes(token).span), circumstances, at: scene.house.instant, lifetime: .seconds(300)) != nil
    }
    #expect(!isKnown())
    #expect(scene.bearer(token).outcome == .granted("alice") && isKnown())
    try scene.revocations.insert(.user(bytes("bob"), before: scene.now), at: scene.house.instant)
    #expect(!isKnown(), "looked at anew after any revocation")
    #expect(scene.bearer(token).outcome == .granted("alice") && isKnown())
    try scene.reload()
    #expect(!isKnown(), "another gatekeeper")
    #expect(scene.bearer(token).outcome == .granted("alice") && isKnown())
    #expect(cache.count == 1)
    scene.house.instant = scene.house.instant.advanced(by: .seconds(301))
    #expect(!isKnown(), "unused for longer than the cache's time")
    #expect(scene.bearer(token).outcome == .granted("alice"))
    try scene.reload(keys: TokenScene.line("k2", TokenScene.otherSecret))
    #expect(scene.bearer(token).outcome == .challenged(.unknownToken))
  }

  @Test func theCacheIsBounded() throws {
    let tokens = VerifiedTokens(entries: 128)
    let scene = try TokenScene()
    let user = scene.user("alice")
    let circumstances = VerifiedTokens.Circumstances(generation: 1, epoch: 1)
    for i in 0..<5000 {
      let token = VerifiedToken(kind: .own, user: user, identifier: [], issued: scene.now, expires: scene.now, firstLogin: scene.now)
      tokens.insert(
        token, tokens.code(bytes("\(i)").span), circumstances, at: Instant(nanoseconds: UInt64(i) + 1), lifetime: .seconds(1))
    }
    #expect(tokens.count == 128)
    let off = VerifiedTokens(entries: 0)
    off.insert(
      VerifiedToken(kind: .own, user: user, identifier: [], issued: scene.now, expires: scene.now, firstLogin: scene.now),
      off.code(bytes("x").span), circumstances, at: scene.house.instant, lifetime: .seconds(1))
    #expect(off.count == 0)
  }

  @Test func aRememberedTokenEndsWhenItsKeyDoes() throws {
    var scene = try TokenScene()
    let token = try scene.issue()
    try scene.reload(
      keys: TokenScene.line("k1", TokenScene.secret, " until=2027-01-15T08:01:00Z") + TokenScene.line("k2", TokenScene.otherSecret))
    #expect(scene.bearer(token).outcome == .granted("alice"))
    scene.now = Timestamp(seconds: 1_800_000_059)
    #expect(scene.bearer(token).outcome == .granted("alice") && scene.house.cache.tokens.count == 1)
    // Nothing was reloaded.
    scene.now = Timestamp(seconds: 1_800_000_060)
    #expect(scene.bearer(token).outcome == .challenged(.invalidToken))
  }

  @Test func aCachedTicketIsNoBearer() throws {
    let scene = try TokenScene()
    let ticket = try scene.issue(isTicket: true)
    let cache = scene.house.cache.tokens
    guard case .valid(let verified) = scene.authority.verify(bytes(ticket).span, users: scene.users, at: scene.now, ticket: true) else {
      Issue.record("the ticket is not valid")
      return
    }
    let circumstances = VerifiedTokens.Circumstances(generation: scene.house.gatekeeper.generation, epoch: scene.revocations.epoch)
    cache.insert(verified, cache.code(bytes(ticket).span), circumstances, at: scene.house.instant, lifetime: .seconds(300))
    #expect(scene.bearer(ticket).outcome == .challenged(.invalidToken))
  }
}
