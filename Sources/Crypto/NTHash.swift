// MD4 and HMAC-MD5, which NTLM is made of (MS-NLMP section 3.3), and MD5 for the name of its channel: for nothing else.

internal import COpenSSL
public import Primitives

public enum NTHash {
  /// MD4 (RFC 1320) of `bytes`, 16 bytes: of a password in UTF-16, little-endian, its NT hash. OpenSSL's own function, which needs no provider: the one
  /// that EVP would ask, `legacy`, is a module to be loaded at run time, and not there everywhere.
  public static func of(_ bytes: borrowing Secret) -> Secret {
    var state = MD4_CTX()
    unsafe MD4_Init(&state)
    unsafe bytes.span.withUnsafeBufferPointer { if let start = $0.baseAddress { unsafe MD4_Update(&state, start, $0.count) } }
    var digest = [UInt8](repeating: 0, count: 16)
    unsafe digest.withUnsafeMutableBufferPointer { out in _ = unsafe MD4_Final(out.baseAddress, &state) }
    unsafe withUnsafeMutableBytes(of: &state) { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    return Secret(moving: &digest)
  }

  /// MD5 (RFC 1321), 16 bytes, of what is no secret.
  public static func md5(_ bytes: [UInt8]) -> [UInt8] {
    var state = MD5()
    state.update(bytes.span)
    var digest = [UInt8](repeating: 0, count: MD5.size)
    state.finish(into: &digest)
    return digest
  }
}

public enum HMACMD5 {
  /// The code of `message` by `key` (RFC 2104, RFC 1321), 16 bytes. Nil where OpenSSL has no MD5 to give, as under rules that forbid it.
  public static func code(_ key: borrowing Secret, _ message: Span<UInt8>) -> Secret? {
    var code = [UInt8](repeating: 0, count: 64)
    let size = unsafe code.withUnsafeMutableBufferPointer { out in
      unsafe key.span.withUnsafeBufferPointer { key in
        unsafe message.withUnsafeBufferPointer { message -> Int in
          var size: UInt32 = 0
          let done = unsafe HMAC(EVP_md5(), key.baseAddress, Int32(key.count), message.baseAddress, message.count, out.baseAddress, &size)
          return unsafe done == nil ? 0 : Int(size)
        }
      }
    }
    guard size == 16 else { return nil }
    var whole = Secret(moving: &code)
    whole.truncate(to: 16)
    return whole
  }
}
