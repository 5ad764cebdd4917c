// libcrypt's hashes: bcrypt, SHA-crypt, yescrypt, scrypt and md5-crypt, through crypt_r(3).

internal import CLinux
internal import COpenSSL
internal import Primitives

enum Crypt {
  /// CRYPT_OUTPUT_SIZE of crypt.h.
  private static let outputSize = 384

  /// Whether crypt_r makes of `password` the digest that `hash` ends with. Only the digest is compared: some writers of
  /// bcrypt leave bits in the salt's last character that libcrypt clears in its answer.
  static func matches(_ password: Span<UInt8>, _ hash: PasswordHash) -> Bool {
    var phrase = phrase(password)
    let text = hash.text
    let digestStart = hash.digestStart
    let digestLength = text.count - digestStart
    return withHash(&phrase, setting: text) { made in
      guard made.count > digestLength else { return false }
      return ConstantTime.equals(
        made.extracting(made.count - digestLength..<made.count),
        text.span.extracting(digestStart..<text.count))
    }
  }

  /// The hash of `password` with `setting`; nil when libcrypt refuses the setting or the length.
  static func hash(_ password: Span<UInt8>, setting: [UInt8]) -> [UInt8]? {
    var phrase = phrase(password)
    return withHash(&phrase, setting: setting) { $0.count > 0 ? ASCII.array($0) : nil }
  }

  /// A setting for a new hash: `prefix` such as `$y$`, libcrypt's cost number (0 is its default). nil when it refuses.
  static func setting(prefix: StaticString, cost: UInt) -> [UInt8]? {
    let random = RandomBytes.array(32)
    var out = [CChar](repeating: 0, count: 192)
    let result = unsafe random.withUnsafeBytes { bytes in
      unsafe gh_crypt_gensalt(
        UnsafeRawPointer(prefix.utf8Start).assumingMemoryBound(to: CChar.self), cost,
        bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self), Int32(bytes.count), &out, out.count)
    }
    guard result == 0 else { return nil }
    return out.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  }

  /// A copy without NULs, which a C string can't hold: the work stays, the result is refused by `PasswordHash.verify`.
  private static func phrase(_ password: Span<UInt8>) -> Secret {
    var phrase = Secret(capacity: password.count + 1)
    for i in password.indices { phrase.append(password[i] == 0 ? 0x20 : password[i]) }
    return phrase
  }

  /// Lends the hash to `body`, and nothing when there is none; wipes it after.
  private static func withHash<R>(_ phrase: inout Secret, setting: [UInt8], _ body: (Span<UInt8>) -> R) -> R {
    let terminated = setting + [0]
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: outputSize) { out in
      let start = unsafe out.baseAddress.unsafelyUnwrapped
      let result = unsafe terminated.withUnsafeBytes { setting in
        unsafe phrase.withUnsafeCString { phrase in
          unsafe gh_crypt(phrase, setting.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self), start, outputSize)
        }
      }
      var length = 0
      if result == 0 {
        while unsafe out[length] != 0 { length += 1 }
      }
      let answer = unsafe start.withMemoryRebound(to: UInt8.self, capacity: outputSize) { bytes in
        body(unsafe Span(_unsafeElements: UnsafeBufferPointer(start: bytes, count: length)))
      }
      unsafe OPENSSL_cleanse(start, outputSize)
      return answer
    }
  }
}
