// Digests and codes against their published examples.

import Primitives
import Testing

@testable import Crypto

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

private func sha256(_ message: [UInt8]) -> String { text(SHA256.hash(message.span).hex) }
private func digest(hex: [UInt8]) -> SHA256.Digest? { SHA256.Digest(hex: hex.span) }
private func equals(_ a: [UInt8], _ b: [UInt8]) -> Bool { ConstantTime.equals(a.span, b.span) }

@Suite struct DigestTests {
  @Test func sha256MatchesTheExamplesOfFIPS180() {
    #expect(sha256(bytes("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(sha256([UInt8]()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    let long = [UInt8](repeating: 0x61, count: 1_000_000)
    #expect(sha256(long) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func sha256InPiecesEqualsSha256AtOnce() {
    let message = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let whole = SHA256.hash(message.span)
    for cut in message.indices {
      var hasher = SHA256.Hasher()
      hasher.update(message.span.extracting(0..<cut))
      hasher.update(message.span.extracting(cut..<message.count))
      #expect(hasher.finish() == whole)
    }
  }

  @Test func digestSurvivesItsHexadecimalText() {
    let message = bytes("x")
    let known = SHA256.hash(message.span)
    let hex = known.hex
    #expect(digest(hex: hex) == known)
    #expect(digest(hex: bytes(text(hex).uppercased())) == known)
    #expect(digest(hex: Array(hex.dropLast())) == nil)
    #expect(digest(hex: hex.dropLast() + [0x67]) == nil)
  }

  @Test func digestsThatDifferInOneBitAreUnequal() {
    let digest = SHA256.Digest(a: 1, b: 2, c: 3, d: 4)
    for bit in 0..<64 {
      let flip = UInt64(1) << UInt64(bit)
      #expect(digest != SHA256.Digest(a: 1 ^ flip, b: 2, c: 3, d: 4))
      #expect(digest != SHA256.Digest(a: 1, b: 2 ^ flip, c: 3, d: 4))
      #expect(digest != SHA256.Digest(a: 1, b: 2, c: 3 ^ flip, d: 4))
      #expect(digest != SHA256.Digest(a: 1, b: 2, c: 3, d: 4 ^ flip))
    }
  }

  @Test func hmacMatchesTheExamplesOfRFC4231() {
    func code(_ key: [UInt8], _ message: [UInt8]) -> String {
      let key = HMACSHA256Key(key.span)
      return text(key.authenticate(message.span).hex)
    }
    #expect(
      code([UInt8](repeating: 0x0B, count: 20), bytes("Hi There"))
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    #expect(
      code(bytes("Jefe"), bytes("what do ya want for nothing?"))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      code([UInt8](repeating: 0xAA, count: 131), bytes("Test Using Larger Than Block-Size Key - Hash Key First"))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }

  @Test func framedPiecesDoNotRunTogether() {
    let key = HMACSHA256Key.random()
    func code(_ a: String, _ b: String) -> SHA256.Digest {
      var code = key.begin()
      let (a, b) = (bytes(a), bytes(b))
      code.updateFramed(a.span)
      code.updateFramed(b.span)
      return code.finish()
    }
    #expect(code("alice", "secret") == code("alice", "secret"))
    #expect(code("alice", "secret") != code("alices", "ecret"))
    #expect(code("alicesecret", "") != code("", "alicesecret"))
  }

  @Test func threePiecesAtOnceHaveTheCodeOfOneByOne() {
    let key = HMACSHA256Key.random()
    for lengths in [[0, 0, 0], [5, 6, 60], [1, 0, 64], [0, 511, 1], [255, 511, 160], [9000, 3, 2]] {
      let pieces = lengths.enumerated().map { i, length in [UInt8](repeating: UInt8(0x41 + i), count: length) }
      var code = key.begin()
      for piece in pieces { code.updateFramed(piece.span) }
      let (a, b, c) = (pieces[0], pieces[1], pieces[2])
      let joined = key.authenticateFramed(a.span, b.span, c.span)
      #expect(joined == code.finish())
    }
    let (alice, secret, hash) = (bytes("alice"), bytes("secret"), bytes("h"))
    let (alices, ecret) = (bytes("alices"), bytes("ecret"))
    let (one, other) = (
      key.authenticateFramed(alice.span, secret.span, hash.span), key.authenticateFramed(alices.span, ecret.span, hash.span)
    )
    #expect(one != other)
  }

  @Test func sipHashMatchesAnIndependentImplementation() {
    // CPython 3.11 with PYTHONHASHSEED=0: SipHash-1-3 with a key of zeros, over 0, 1, 2, …
    let sip = SipHash(k0: 0, k1: 0)
    let expected: [Int: UInt64] = [
      1: 7_541_581_120_933_061_747, 7: 3_389_392_686_435_873_370, 8: 16_921_169_381_604_339_434, 9: 8_471_974_163_824_919_394,
      16: 9_904_005_486_622_393_783, 40: 10_789_553_897_545_236_998,
    ]
    for (count, hash) in expected {
      let message = (0..<count).map { UInt8($0) }
      let made = sip.hash(message.span)
      #expect(made == hash)
    }
  }

  @Test func constantTimeComparisonComparesAllBytes() {
    let a = bytes("0123456789abcdef")
    #expect(equals(a, a))
    for i in a.indices {
      var b = a
      b[i] ^= 0x80
      #expect(!equals(a, b))
    }
    #expect(!equals(a, Array(a.dropLast())))
    #expect(equals([], []))
  }

  @Test func randomBytesAreNotTheSameTwice() {
    #expect(RandomBytes.array(32) != RandomBytes.array(32))
    #expect(RandomBytes.array(0).isEmpty)
  }
}
