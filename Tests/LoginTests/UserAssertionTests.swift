// Assertions of users: how long one is used, for whom, and how many are kept.

import Primitives
import Testing

@testable import Login

@Suite struct UserAssertionTests {
  private static func signer(_ lifetime: UInt64 = 60) throws -> UserAssertion {
    // Made for this test alone.
    var pem = Array(
      """
      -----BEGIN PRIVATE KEY-----
      MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGCmN8SyORBzlIxFI
      UlSLo4eaRFMxRp7dYkfDM3GeJ4ShRANCAAQL/KzSTXrCQ0eAwi4QetmfC1Iay/bC
      akSoN0GsOMLF8YOnhBrtyxlBYQBecdhu7uz+gwXTgXf6w7QCSJlX1fos
      -----END PRIVATE KEY-----

      """.utf8)
    let secret = Secret(moving: &pem)
    return try UserAssertion(pem: secret, field: Array("X-A".utf8), issuer: "i\"\\", audience: "a", lifetime: .seconds(lifetime))
  }

  private static let alice = Array("alice".utf8)
  private static let staff = [Array("staff".utf8)]

  private static func claims(_ line: [UInt8]?) throws -> JSON {
    let parts = try #require(line).split(separator: 0x2E)
    let middle = Array(parts[1])
    let payload = Base64.decodeURLSafe(middle.span) ?? []
    return try JSON.parse(payload.span)
  }

  @Test func oneIsUsedForHalfOfItsLife() throws {
    let signer = try Self.signer()
    var cache = AssertionCache()
    func line(_ now: Int64) -> [UInt8]? { cache.assertion(signer, for: Self.alice, Self.staff, at: Timestamp(seconds: now))?.line }
    let first = line(1000)
    #expect(first != nil && line(1029) == first)
    let second = line(1030)
    #expect(second != first)
    #expect(try Self.claims(second)["iat"]?.number?.integer == 1030)
    #expect(try Self.claims(second)["exp"]?.number?.integer == 1090)
    #expect(try Self.claims(second)["iss"]?.string == Array("i\"\\".utf8))
    // The clock was set back.
    #expect(try Self.claims(line(500))["exp"]?.number?.integer == 560)
  }

  @Test func nobodyGetsAnothers() throws {
    let (signer, other) = (try Self.signer(), try Self.signer(61))
    var cache = AssertionCache()
    func line(_ signer: UserAssertion, _ name: String, _ groups: [String]) -> [UInt8]? {
      cache.assertion(signer, for: Array(name.utf8), groups.map { Array($0.utf8) }, at: Timestamp(seconds: 1))?.line
    }
    let lines = [
      line(signer, "alice", ["staff"]), line(signer, "alice", ["staff", "admin"]), line(signer, "alice", ["staff,admin"]), line(signer, "bob", ["staff"]),
      line(other, "alice", ["staff"]),
    ]
    #expect(Set(lines).count == lines.count && !lines.contains(nil))
    #expect(try Self.claims(lines[3])["sub"]?.string == Array("bob".utf8))
    #expect(signer != other)
    #expect(try signer == Self.signer())
  }

  @Test func neitherTheCacheNorAnAssertionGrowsWithoutBound() throws {
    let signer = try Self.signer()
    var cache = AssertionCache()
    for i in 0..<AssertionCache.most * 3 {
      #expect(cache.assertion(signer, for: Array("user\(i)".utf8), [], at: Timestamp(seconds: 1)) != nil)
      #expect(cache.count <= AssertionCache.most)
    }
    let many = (0..<600).map { Array("group-\($0)".utf8) }
    #expect(cache.assertion(signer, for: Self.alice, many, at: Timestamp(seconds: 1)) == nil)
    cache.removeAll()
    #expect(cache.count == 0)
  }

  /// Whoever comes with ever new groups, or by turns with tokens of different ones, has nobody else's made anew, nor his own.
  @Test func whoIsThereAllTheTimeIsNotPushedOut() throws {
    let signer = try Self.signer()
    var cache = AssertionCache()
    func line(_ user: [UInt8], _ groups: [String]) -> [UInt8]? {
      cache.assertion(signer, for: user, groups.map { Array($0.utf8) }, at: Timestamp(seconds: 1))?.line
    }
    let mine = line(Self.alice, ["staff"])
    let (his, other) = (line(Array("bob".utf8), ["one"]), line(Array("bob".utf8), ["other"]))
    #expect(mine != nil && his != nil && his != other)
    for i in 0..<AssertionCache.most * 2 {
      _ = line(Array("mallory".utf8), ["group-\(i)"])
      if i % 100 != 0 { continue }
      #expect(line(Self.alice, ["staff"]) == mine && line(Array("bob".utf8), ["one"]) == his && line(Array("bob".utf8), ["other"]) == other)
    }
  }

  /// A request that waits takes what is made while it does: one for all that wait with the same.
  @Test func whatHasGrownOldIsMadeAnewOnce() throws {
    var cache = AssertionCache()
    let first = cache.assertion(try Self.signer(), for: Self.alice, Self.staff, at: Timestamp(seconds: 1000))
    let old = try #require(first)
    #expect(old.fresh(at: Timestamp(seconds: 1029)) === old)
    let fresh = try #require(old.fresh(at: Timestamp(seconds: 1030)))
    #expect(fresh !== old && old.fresh(at: Timestamp(seconds: 1059)) === fresh)
    let claims = try Self.claims(fresh.line)
    #expect(claims["exp"]?.number?.integer == 1090 && claims["sub"]?.string == Self.alice)
    #expect(old.fresh(at: Timestamp(seconds: 1060)) !== fresh)
  }
}
