// SHA-256 (FIPS 180-4): a value of 32 bytes and an incremental hasher. Keys and passwords live elsewhere.

internal import COpenSSL
internal import Primitives

public enum SHA256 {
  /// The digest of `bytes`.
  public static func hash(_ bytes: Span<UInt8>) -> Digest {
    var hasher = Hasher()
    hasher.update(bytes)
    return hasher.finish()
  }

  /// 32 bytes, held inline. Equality takes the same time whatever the bytes are.
  public struct Digest: Hashable, Sendable {
    // Big-endian words, so that the hexadecimal text reads from `a` to `d`.
    var a: UInt64
    var b: UInt64
    var c: UInt64
    var d: UInt64

    init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
      self.a = a
      self.b = b
      self.c = c
      self.d = d
    }

    /// A digest from 64 hexadecimal digits of either case; nil on anything else.
    public init?(hex text: Span<UInt8>) {
      guard text.count == 64 else { return nil }
      var words = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
      for i in 0..<64 {
        guard let digit = ASCII.hexValue(text[i]) else { return nil }
        switch i / 16 {
        case 0: words.0 = words.0 << 4 | UInt64(digit)
        case 1: words.1 = words.1 << 4 | UInt64(digit)
        case 2: words.2 = words.2 << 4 | UInt64(digit)
        default: words.3 = words.3 << 4 | UInt64(digit)
        }
      }
      self.init(a: words.0, b: words.1, c: words.2, d: words.3)
    }

    /// 64 hexadecimal digits in lower case.
    public var hex: [UInt8] {
      var text: [UInt8] = []
      text.reserveCapacity(64)
      for word in [a, b, c, d] {
        var shift: UInt64 = 64
        while shift > 0 {
          shift -= 4
          text.append(ASCII.lowerHexDigit(UInt8(truncatingIfNeeded: word >> shift) & 15))
        }
      }
      return text
    }

    /// The first eight bytes as a number. Of a keyed or a secret digest, an unpredictable place in a table.
    public var prefix: UInt64 { a }

    /// The last eight bytes as a number.
    public var suffix: UInt64 { d }

    public static func == (x: Digest, y: Digest) -> Bool {
      (x.a ^ y.a) | (x.b ^ y.b) | (x.c ^ y.c) | (x.d ^ y.d) == 0
    }

    public func hash(into hasher: inout Swift.Hasher) {
      hasher.combine(a)
    }
  }

  /// Hashes what comes in pieces.
  public struct Hasher: Sendable {
    private var state = SHA256_CTX()

    public init() {
      unsafe SHA256_Init(&state)
    }

    public mutating func update(_ bytes: Span<UInt8>) {
      unsafe bytes.withUnsafeBufferPointer { piece in
        if let start = piece.baseAddress { unsafe SHA256_Update(&state, start, piece.count) }
      }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
      unsafe SHA256_Update(&state, bytes.baseAddress, bytes.count)
    }

    /// A number in eight bytes, most significant first.
    public mutating func update(bigEndian value: UInt64) {
      var word = value.bigEndian
      unsafe SHA256_Update(&state, &word, 8)
    }

    /// A digest as a piece of another's input.
    mutating func update(_ digest: Digest) {
      var words = (digest.a.bigEndian, digest.b.bigEndian, digest.c.bigEndian, digest.d.bigEndian)
      unsafe SHA256_Update(&state, &words, 32)
    }

    /// Ends the hash and wipes the state: make a new hasher, or keep a copy, for the next.
    public mutating func finish() -> Digest {
      var words = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
      unsafe withUnsafeMutableBytes(of: &words) { out in
        _ = unsafe SHA256_Final(out.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self), &state)
      }
      return Digest(
        a: UInt64(bigEndian: words.0), b: UInt64(bigEndian: words.1), c: UInt64(bigEndian: words.2),
        d: UInt64(bigEndian: words.3))
    }
  }
}
