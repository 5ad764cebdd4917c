// Signed tokens as clients send them: as bearer tokens and as Basic names, never at the cost of a password's hash, and remembered only as
// long as everything that made them good still holds.

import Crypto
import Primitives
import Testing

@testable import Auth

@Suite struct ForeignTokensAtTheGateTests {
  private static let people = ["alice:\(Stored.bcrypt):groups=staff", "bob:\(Stored.bcrypt)"]

  private func house(_ tokens: ForeignTokens?) throws -> House {
    var house = try House(Self.people)
    house.gatekeeper = Gatekeeper(users: try House.table(Self.people), cache: house.cache, foreignTokens: tokens)
    return house
  }

  @Test func aTokenIsTakenInBothForms() throws {
    let house = try self.house(try Issuing.tokens(Issuing.issuer()))
    let token = Issuing.token(Issuing.claims())
    #expect(house.decide([bytes("Bearer \(token)")]).outcome == .granted("alice"))
    for password in ["", "unused", "x:y"] { #expect(house.decide([basic(token, password)]).outcome == .granted("alice")) }
    // As a password it is none.
    #expect(house.decide([basic("alice", token)]).outcome != .granted("alice"))
  }

  @Test func longTokensAreTakenInBothForms() throws {
    let house = try self.house(try Issuing.tokens(Issuing.issuer()))
    let token = Issuing.token(Issuing.claims(#","x":"\#(String(repeating: "x", count: 5000))""#))
    #expect(token.utf8.count > 6000 && token.utf8.count < JWSParts.longest)
    #expect(house.decide([bytes("Bearer \(token)")]).outcome == .granted("alice"))
    #expect(house.decide([basic(token, "unused")]).outcome == .granted("alice"))
    let tooLong = Issuing.token(Issuing.claims(#","x":"\#(String(repeating: "x", count: 7000))""#))
    #expect(house.decide([bytes("Bearer \(tooLong)")]).outcome == .challenged(.malformedToken))
    #expect(house.decide([basic(tooLong, "unused")]).outcome == .challenged(.malformed))
  }

  @Test func aWrongTokenCostsNoHash() throws {
    let house = try self.house(try Issuing.tokens(Issuing.issuer()))
    let token = Issuing.token(Issuing.claims())
    let wrong = [
      String(token.dropLast()), token + "A", token + ".", "eyJ..", "eyJ.a.b", "eyJhbGciOiJub25lIn0.e30.", Issuing.token("{}"),
      Issuing.token(Issuing.claims(sub: "nobody")), Issuing.token(Issuing.claims(), secret: bytes("another secret of 32 characters.")),
      "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
    ]
    for text in wrong {
      for value in [basic(text, "secret"), bytes("Bearer \(text)")] {
        guard case .challenged = house.decide([value]).outcome else {
          Issue.record("\(text): \(house.decide([value]).outcome)")
          continue
        }
      }
    }
  }

  @Test func withoutIssuersEveryTokenIsUnknown() throws {
    let house = try self.house(nil)
    let token = Issuing.token(Issuing.claims())
    #expect(house.decide([bytes("Bearer \(token)")]).outcome == .challenged(.unknownToken))
    #expect(house.decide([basic(token, "unused")]).outcome == .challenged(.unknownToken))
  }

  @Test func aTokenIsVerifiedOnce() throws {
    // A gatekeeper that verifies anew makes a new value of what it finds.
    let house = try self.house(try Issuing.tokens(Issuing.issuer()))
    let value = bytes("Bearer \(Issuing.token(Issuing.claims()))")
    func verified() -> VerifiedToken? {
      var scratch = Secret()
      let decision = house.gatekeeper.decide(
        authorization: value.span, count: 1, method: value.span.extracting(0..<1), path: value.span.extracting(0..<1), .validUser,
        RequestContext(now: house.now, instant: house.instant), scratch: &scratch)
      guard case .grant(let grant) = decision, case .token(let token) = grant.credential else { return nil }
      return token
    }
    let first = try #require(verified())
    #expect(verified() === first)
    #expect(verified() === first)
  }

  @Test func aRememberedTokenEndsWhenItExpires() throws {
    var house = try self.house(try Issuing.tokens(Issuing.issuer()))
    let value = bytes("Bearer \(Issuing.token(Issuing.claims()))")
    for _ in 0..<3 { #expect(house.decide([value]).outcome == .granted("alice")) }
    house.now = Timestamp(microseconds: (Issuing.now + 660) * 1_000_000 - 1)
    #expect(house.decide([value]).outcome == .granted("alice"))
    house.now = Timestamp(seconds: Issuing.now + 660)
    #expect(house.decide([value]).outcome == .challenged(.expiredToken))
    #expect(house.decide([value]).outcome == .challenged(.expiredToken))
  }

  @Test func aRememberedTokenEndsWithItsUser() throws {
    let tokens = try Issuing.tokens(Issuing.issuer { $0.groupsClaim = [bytes("groups")] })
    let value = bytes("Bearer \(Issuing.token(Issuing.claims(#","groups":"ops""#)))")
    var house = try self.house(tokens)
    #expect(house.decide([value]).outcome == .granted("alice"))
    func reload(_ lines: [String]) throws {
      house.gatekeeper = Gatekeeper(users: try House.table(lines), cache: house.cache, foreignTokens: tokens)
    }
    try reload(["alice:\(Stored.bcrypt):locked"])
    #expect(house.decide([value]).outcome == .challenged(.locked))
    try reload(["alice:\(Stored.bcrypt):expires=2020-01-01"])
    #expect(house.decide([value]).outcome == .challenged(.expired))
    try reload(["bob:\(Stored.bcrypt)"])
    #expect(house.decide([value]).outcome == .challenged(.unknownUser))
    // And groups are those of now.
    try reload(["alice:\(Stored.bcrypt):groups=admin"])
    #expect(house.decide([value], .anyOf(groups: ["staff"])).outcome == .denied(.notPermitted))
    #expect(house.decide([value], .anyOf(groups: ["admin"])).outcome == .granted("alice"))
    #expect(house.decide([value], .anyOf(groups: ["ops"])).outcome == .granted("alice"))
  }

  @Test func aRememberedTokenEndsWithItsUsersTime() throws {
    for anyUser in [false, true] {
      let lines = ["alice:\(Stored.bcrypt):expires=2027-01-15T08:05:00Z"]
      var house = try House(lines)
      let tokens = try Issuing.tokens(
        Issuing.issuer {
          $0.acceptsAnyUser = anyUser
          $0.groupsClaim = [bytes("groups")]
        })
      house.gatekeeper = Gatekeeper(users: try House.table(lines), cache: house.cache, foreignTokens: tokens)
      let value = bytes("Bearer \(Issuing.token(Issuing.claims(#","groups":["ops"]"#)))")
      #expect(house.decide([value]).outcome == .granted("alice"))
      house.now = Timestamp(seconds: Issuing.now + 299)
      #expect(house.decide([value]).outcome == .granted("alice"))
      house.now = Timestamp(seconds: Issuing.now + 300)
      #expect(house.decide([value]).outcome == .challenged(.expired), "any user: \(anyUser)")
    }
  }

  @Test func aRememberedTokenEndsWithItsKey() throws {
    let issuer = Issuing.issuer()
    let value = bytes("Bearer \(Issuing.token(Issuing.claims()))")
    var house = try self.house(try Issuing.tokens(issuer))
    #expect(house.decide([value]).outcome == .granted("alice"))
    let other = try ForeignKeySet(parsing: bytes("another secret of 32 characters."), .single, for: issuer.algorithms)
    house.gatekeeper = Gatekeeper(
      users: house.gatekeeper.users, cache: house.cache, foreignTokens: ForeignTokens([.init(issuer, other)]))
    #expect(house.decide([value]).outcome == .challenged(.tokenSignature))
  }

  @Test func noNameHasTheFormOfAToken() {
    func fault(_ name: String) -> Bool {
      let bytes = bytes(name)
      return UserName.fault(bytes.span) != nil
    }
    #expect(fault("eyJhbGciOiJub25lIn0.e30."))
    #expect(!fault("eyJohn"))
    #expect(!fault("eyJohn.doe"))
  }

  @Test func aTokenInsideANameIsNotLogged() {
    func isLoggable(_ name: String) -> Bool {
      let bytes = bytes(name)
      return UserName.isLoggable(bytes.span)
    }
    let token = Issuing.token(Issuing.claims())
    for name in [token, " \(token)", "x\(token.prefix(200))", "alice/\(token.dropFirst(30).prefix(100))"] {
      #expect(!isLoggable(name) || !name.contains("eyJ"), "\(name)")
    }
    #expect(isLoggable("eyJohn"))
  }
}
