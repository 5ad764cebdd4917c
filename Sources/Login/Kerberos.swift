// Who we are to a service that asks for Kerberos (`Negotiate`, RFC 4559), and what a keytab holds keys of. Nothing here talks to a KDC.

internal import Crypto
public import Primitives

/// An account at a service that asks for Kerberos. Its name is the principal.
public struct KerberosLogin: Equatable, Sendable {
  /// The path of the keytab, and a digest of what it held when it was read: another key is another account.
  public var keytab: String
  public var digest: [UInt8]
  /// The service's principal (`HTTP/name@REALM`), or, where the Kerberos configuration is to make one of it, `HTTP@host`.
  public var service: String
  public var isHostBased: Bool

  public init(keytab: String, digest: [UInt8], service: String, isHostBased: Bool) {
    self.keytab = keytab
    self.digest = digest
    self.service = service
    self.isHostBased = isHostBased
  }

  /// The field's line for `token`, with its end.
  public static func line(_ token: Span<UInt8>) -> Secret {
    var line = Secret(capacity: 2 * token.count + 64)
    line.append(text: "Authorization: Negotiate ")
    line.appendBase64(of: token)
    line.append(text: "\r\n")
    return line
  }
}

/// A keytab as MIT Kerberos and others write it ("The Keytab File Format", web.mit.edu/kerberos, version 2).
public enum Keytab {
  /// The principals that it has keys of, each once: `name/instance@REALM`.
  ///
  /// - Throws: why it is no keytab; continues "it …".
  public static func principals(_ bytes: Span<UInt8>) throws(AccountFault) -> [String] {
    guard bytes.count >= 2, bytes[0] == 5, bytes[1] == 2 else { throw AccountFault(reason: "is no keytab of version 2") }
    var found: [String] = []
    var i = 2
    while i + 4 <= bytes.count {
      let size = Int(Int32(truncatingIfNeeded: number(bytes, i, 4)))
      i += 4
      // A hole, where a key was removed; and padding at the end.
      if size <= 0 {
        if size == 0 { break }
        i -= size
        continue
      }
      guard i + size <= bytes.count, let name = principal(bytes.extracting(i..<(i + size))) else { throw AccountFault(reason: "is a broken keytab") }
      if !found.contains(name) { found.append(name) }
      i += size
    }
    return found
  }

  public static func digest(_ bytes: Span<UInt8>) -> [UInt8] { SHA256.hash(bytes).hex }

  private static func number(_ bytes: Span<UInt8>, _ at: Int, _ count: Int) -> UInt32 {
    var value: UInt32 = 0
    for i in at..<(at + count) { value = value << 8 | UInt32(bytes[i]) }
    return value
  }

  /// Realm first, then the name's parts; each with its length before it.
  private static func principal(_ entry: Span<UInt8>) -> String? {
    guard entry.count >= 2 else { return nil }
    let count = Int(number(entry, 0, 2))
    guard (1...8).contains(count) else { return nil }
    var words: [String] = []
    var i = 2
    for _ in 0...count {
      guard i + 2 <= entry.count else { return nil }
      let length = Int(number(entry, i, 2))
      i += 2
      guard i + length <= entry.count else { return nil }
      words.append(String(decoding: ASCII.array(entry.extracting(i..<(i + length))), as: UTF8.self))
      i += length
    }
    return words[1...].joined(separator: "/") + "@" + words[0]
  }
}
