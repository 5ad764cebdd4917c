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
    func line(_ now: Int64) -> [UInt8]? { cache.line(signer, for: Self.alice, Self.staff, at: Timestamp(seconds: now)) }
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
      cache.line(signer, for: Array(name.utf8), groups.map { Array($0.utf8) }, at: Timestamp(seconds: 1))
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
    for i in 0..<AssertionCache.most + 10 { _ = cache.line(signer, for: Array("user\(i)".utf8), [], at: Timestamp(seconds: 1)) }
    #expect(cache.count == 10)
    let many = (0..<600).map { Array("group-\($0)".utf8) }
    #expect(cache.line(signer, for: Self.alice, many, at: Timestamp(seconds: 1)) == nil)
    cache.removeAll()
    #expect(cache.count == 0)
  }
}
