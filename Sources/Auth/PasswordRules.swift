// What a stranger may call himself, and which passwords he may choose. The operator, at the command line, may do more.

internal import Crypto
public import Primitives

public enum RegistrationName {
  /// Longest name, in bytes.
  public static let longest = 64

  /// Why nobody may register by that name; nil when he may.
  ///
  /// Narrower than `UserName`, since such names end up in paths, logs, shells and the headers of services: letters, digits and `. _ @ + -`, the
  /// first a letter, a digit or `_`.
  public static func fault(_ name: Span<UInt8>) -> String? {
    if name.count == 0 { return "username is empty" }
    if name.count > longest { return "username has more than \(longest) characters" }
    for i in name.indices {
      let byte = name[i]
      let isWord = ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x5F
      let isMark = [0x2E, 0x40, 0x2B, 0x2D].contains(byte)
      if i == 0 && isMark { return "username has to begin with a letter, a digit or _" }
      if !isWord && !isMark { return "username may hold letters (A-Z, a-z), digits and . _ @ + - only" }
    }
    if let fault = UserName.fault(name) { return "\(fault)" }
    return nil
  }
}

/// What is asked of a new password.
public struct PasswordRules: Sendable {
  /// Least number of characters (Unicode code points, as NIST SP 800-63B section 5.1.1.2 counts them).
  public var minimum: Int
  public var maker: PasswordMaker
  public var refused: RefusedPasswords

  public init(minimum: Int, maker: PasswordMaker, refused: RefusedPasswords) {
    self.minimum = minimum
    self.maker = maker
    self.refused = refused
  }

  /// Why `password`, which is well-formed UTF-8, may not be that of `name`; nil when it may. Says nothing of what the password is.
  public func fault(_ password: borrowing Secret, for name: Span<UInt8>) -> String? {
    let password = password.span
    if password.count == 0 { return "password is empty" }
    var characters = 0
    for i in password.indices {
      // No client could send it (RFC 7617 section 2), and crypt(3) ends at a NUL.
      if ASCII.isControl(password[i]) { return "password holds a control character" }
      if password[i] & 0xC0 != 0x80 { characters += 1 }
    }
    if characters < minimum { return "password has fewer than \(minimum) characters" }
    if password.count > maker.longest { return "password has more than \(maker.longest) bytes" }
    if password.count == name.count {
      var isEqual = true
      for i in password.indices where ASCII.lowercased(password[i]) != ASCII.lowercased(name[i]) { isEqual = false }
      if isEqual { return "password is the username" }
    }
    if refused.contains(password) { return "password is one of those that are guessed first" }
    return nil
  }
}

/// A list of passwords that nobody may choose: one a line, compared without regard to case. Held as 64-bit hashes under a key of this process: 8
/// bytes for each, and one password in some 10^12 is refused for another's sake.
public struct RefusedPasswords: Sendable {
  private let key: SipHash
  /// Sorted.
  private let hashes: [UInt64]

  /// Most bytes of a list.
  public static let largest = 64 << 20

  /// None.
  public init() {
    key = SipHash(k0: 0, k1: 0)
    hashes = []
  }

  public init(parsing file: [UInt8]) {
    key = SipHash(seed: RandomBytes.array(32).span)
    var found: [UInt64] = []
    for line in file.split(separator: 0x0A) {
      var line = line
      if line.last == 0x0D { line.removeLast() }
      if !line.isEmpty { found.append(key.hash(Self.folded(Array(line).span).span)) }
    }
    hashes = found.sorted()
  }

  public var count: Int { hashes.count }

  func contains(_ password: Span<UInt8>) -> Bool {
    if hashes.isEmpty { return false }
    let wanted = key.hash(Self.folded(password).span)
    var (low, high) = (0, hashes.count)
    while low < high {
      let middle = (low + high) / 2
      if hashes[middle] < wanted { low = middle + 1 } else { high = middle }
    }
    return low < hashes.count && hashes[low] == wanted
  }

  private static func folded(_ text: Span<UInt8>) -> [UInt8] {
    var isASCII = true
    for i in text.indices where text[i] >= 0x80 { isASCII = false }
    if isASCII { return ASCII.array(text).map { ASCII.lowercased($0) } }
    return Array(String(decoding: ASCII.array(text), as: UTF8.self).lowercased().utf8)
  }
}
