// HMAC-SHA256 (RFC 2104) whose key setup is done once: authenticating a credential then costs its own blocks and one more.

internal import COpenSSL
internal import Primitives

/// A key with both of its padded blocks already hashed. Copies are cheap; the bytes of the key are not kept.
public struct HMACSHA256Key: Sendable {
  private var inner: SHA256.Hasher
  private var outer: SHA256.Hasher

  /// A key of any length; longer than a block (64 bytes) it is hashed first, as RFC 2104 section 2 says.
  public init(_ key: Span<UInt8>) {
    var block = Secret(capacity: 64)
    if key.count > 64 {
      let hex = SHA256.hash(key).hex
      for i in 0..<32 {
        block.append((ASCII.hexValue(hex[i * 2]) ?? 0) << 4 | (ASCII.hexValue(hex[i * 2 + 1]) ?? 0))
      }
    } else {
      block.append(key)
    }
    while block.count < 64 { block.append(0) }
    var pad = Secret(capacity: 64)
    inner = SHA256.Hasher()
    for i in 0..<64 { pad.append(block.span[i] ^ 0x36) }
    inner.update(pad.span)
    pad.removeAll()
    outer = SHA256.Hasher()
    for i in 0..<64 { pad.append(block.span[i] ^ 0x5C) }
    outer.update(pad.span)
  }

  /// A key of 32 random bytes that nobody else knows.
  public static func random() -> HMACSHA256Key {
    let bytes = RandomBytes.secret(32)
    return HMACSHA256Key(bytes.span)
  }

  /// The code of `message`.
  public func authenticate(_ message: Span<UInt8>) -> SHA256.Digest {
    var code = begin()
    code.update(message)
    return code.finish()
  }

  /// The code of three pieces, each framed as by `Code.updateFramed`. They are joined in memory that is wiped, since that costs less than six
  /// updates.
  public func authenticateFramed(_ a: Span<UInt8>, _ b: Span<UInt8>, _ c: Span<UInt8>) -> SHA256.Digest {
    var inner = inner
    let count = 24 + a.count + b.count + c.count
    unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 8) { room in
      var end = 0
      unsafe Self.append(a, to: room, &end)
      unsafe Self.append(b, to: room, &end)
      unsafe Self.append(c, to: room, &end)
      unsafe inner.update(UnsafeRawBufferPointer(rebasing: room[0..<end]))
      unsafe OPENSSL_cleanse(room.baseAddress, end)
    }
    var outer = outer
    outer.update(inner.finish())
    return outer.finish()
  }

  private static func append(_ bytes: Span<UInt8>, to room: UnsafeMutableRawBufferPointer, _ end: inout Int) {
    unsafe room.storeBytes(of: UInt64(bytes.count).bigEndian, toByteOffset: end, as: UInt64.self)
    end += 8
    unsafe bytes.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress, bytes.count > 0 else { return }
      precondition(end + bytes.count <= room.count, "room for all pieces")
      unsafe (room.baseAddress.unsafelyUnwrapped + end).copyMemory(from: start, byteCount: bytes.count)
    }
    end += bytes.count
  }

  /// Starts a code over several pieces.
  public func begin() -> Code { Code(inner: inner, outer: outer) }

  /// A code being made. Pieces are simply joined: frame them (`updateFramed`) where their limits matter.
  public struct Code: Sendable {
    private var inner: SHA256.Hasher
    private var outer: SHA256.Hasher

    fileprivate init(inner: SHA256.Hasher, outer: SHA256.Hasher) {
      self.inner = inner
      self.outer = outer
    }

    public mutating func update(_ bytes: Span<UInt8>) {
      inner.update(bytes)
    }

    /// The length of `bytes` in eight bytes, then the bytes: no two lists of pieces give the same input.
    public mutating func updateFramed(_ bytes: Span<UInt8>) {
      inner.update(bigEndian: UInt64(bytes.count))
      inner.update(bytes)
    }

    public mutating func finish() -> SHA256.Digest {
      outer.update(inner.finish())
      return outer.finish()
    }
  }
}
