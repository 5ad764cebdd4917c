// The verified-credential cache by itself: framing, bounds, time.

import Crypto
import Primitives
import Testing

@testable import Auth

private func code(_ cache: VerifiedCache, _ name: String, _ password: String, _ hash: String) -> SHA256.Digest {
  let (name, password, hash) = (bytes(name), bytes(password), bytes(hash))
  return cache.code(name: name.span, password: password.span, hash: hash.span)
}

@Suite struct VerifiedCacheTests {
  private let lifetime = Interval.seconds(300)

  @Test func codesOfDifferentCredentialsDiffer() {
    let cache = VerifiedCache(entries: 16)
    let known = code(cache, "alice", "secret", "hash")
    #expect(code(cache, "alice", "secret", "hash") == known)
    for (name, password, hash) in [
      ("alices", "ecret", "hash"), ("alic", "esecret", "hash"), ("alice", "secreth", "ash"), ("alice", "secret", "hash2"),
      ("", "alicesecret", "hash"),
      ("alicesecret", "", "hash"), ("alice", "", "secrethash"), ("secret", "alice", "hash"),
    ] {
      #expect(code(cache, name, password, hash) != known)
    }
  }

  /// Lengths inside the pieces can't stand in for the lengths before them.
  @Test func codesOfPiecesThatHoldLengthsDiffer() {
    let cache = VerifiedCache(entries: 16)
    func length(_ n: UInt8) -> [UInt8] { [UInt8](repeating: 0, count: 7) + [n] }
    func code(_ name: [UInt8], _ password: [UInt8], _ hash: [UInt8]) -> SHA256.Digest {
      cache.code(name: name.span, password: password.span, hash: hash.span)
    }
    let (q, h): ([UInt8], [UInt8]) = ([0x71], [0x68])
    // Without a length before the name, or before the hash, each pair would be hashed alike.
    #expect(code([], length(1) + q, h) != code(length(9), q, h))
    #expect(code([], q, length(1) + h) != code([], q + length(9), h))
    #expect(code(length(0), [], h) != code([], length(0), h))
  }

  @Test func codesOfAnotherProcessDiffer() {
    let (one, other) = (VerifiedCache(entries: 16), VerifiedCache(entries: 16))
    #expect(code(one, "alice", "secret", "hash") != code(other, "alice", "secret", "hash"))
  }

  @Test func sizeStaysBoundedAndTheNewestIsKept() {
    let cache = VerifiedCache(entries: 256)
    var now = Instant(nanoseconds: 1_000_000_000)
    for i in 0..<10_000 {
      let code = code(cache, "user\(i)", "p", "h")
      cache.insert(code, at: now, lifetime: lifetime)
      #expect(cache.contains(code, at: now, lifetime: lifetime))
      now = now.advanced(by: .milliseconds(1))
    }
    #expect(cache.count <= 256 && cache.count > 200)
  }

  @Test func insertingTwiceTakesOnePlace() {
    let cache = VerifiedCache(entries: 256)
    let code = code(cache, "a", "b", "c")
    for i in 1...3 { cache.insert(code, at: Instant(nanoseconds: UInt64(i)), lifetime: lifetime) }
    #expect(cache.count == 1)
    cache.removeAll()
    #expect(cache.count == 0 && !cache.contains(code, at: Instant(nanoseconds: 4), lifetime: lifetime))
  }

  @Test func entryEndsAtItsLifetime() {
    let cache = VerifiedCache(entries: 256)
    let code = code(cache, "a", "b", "c")
    let start = Instant(nanoseconds: 5_000_000_000)
    cache.insert(code, at: start, lifetime: .seconds(1))
    #expect(!cache.contains(code, at: start.advanced(by: .seconds(1)), lifetime: .seconds(1)))
    cache.insert(code, at: start, lifetime: .seconds(1))
    #expect(cache.contains(code, at: start.advanced(by: .milliseconds(999)), lifetime: .seconds(1)))
  }

  @Test func challengeQuotesItsRealm() throws {
    let challenge = try #require(Challenge(realm: #"A "good" \ realm, für alle"#))
    #expect(String(decoding: challenge.basic, as: UTF8.self) == #"Basic realm="A \"good\" \\ realm, für alle", charset="UTF-8""#)
    #expect(String(decoding: challenge.invalidBearer, as: UTF8.self).hasSuffix(#"alle", error="invalid_token""#))
    #expect(Challenge(realm: "a\r\nSet-Cookie: x") == nil)
    #expect(Challenge(realm: "a\0") == nil)
  }
}
