// The keys that sign our tokens, as one reading of their file says: which one signs, and which still verify. Immutable.

internal import Crypto
public import Primitives

public struct TokenKeys: Sendable {
  /// A key of HMAC-SHA-256. Its bytes are not kept: only what they make of a MAC's first blocks.
  public struct Key: Sendable {
    /// `kid`: 1 to 64 of `A–Z a–z 0–9 . _ -`.
    public let identifier: [UInt8]
    /// When it was made, if the file says so.
    public let created: Timestamp?
    /// From this moment on it verifies nothing; nil for as long as it stands in the file.
    public let until: Timestamp?
    let mac: HMACSHA256Key

    /// Whether what it signed is to be believed at `now`.
    public func verifies(at now: Timestamp) -> Bool {
      guard let until else { return true }
      return now < until
    }
  }

  /// In the order of the file.
  public let keys: [Key]
  /// The last one without `until=`.
  public let signing: Key

  /// Reads the bytes of a whole file. One line that can't be understood makes it useless as a whole: a key that is there and not understood
  /// may be the one that was meant to end another.
  public init(parsing file: [UInt8]) throws(TokenKeysFault) {
    let text = try TokenKeysText(file)
    keys = text.entries.map(\.key)
    guard let signing = keys.last(where: { $0.until == nil }) else { throw TokenKeysFault(line: nil, "no key signs: each has an until=") }
    self.signing = signing
  }

  /// The key of that name. A token's `kid` is compared and nothing else.
  func key(named identifier: [UInt8]) -> Key? {
    keys.first { $0.identifier == identifier }
  }
}

/// Why bytes are no file of keys. Never holds a secret.
public struct TokenKeysFault: Error, Equatable, Sendable, CustomStringConvertible {
  /// From 1; nil when it is about the whole.
  public let line: Int?
  public let reason: String

  init(line: Int?, _ reason: String) {
    self.line = line
    self.reason = reason
  }

  public var description: String { (line.map { "line \($0): " } ?? "") + reason }
}
