// The revocations of one reading of their file: `jti ID until=TIME`, `user NAME before=TIME until=TIME`, `all before=TIME until=TIME`, one a
// line. Pure.

internal import Crypto
internal import Primitives

public struct RevocationList: Sendable {
  /// A `jti` by 128 bits of its digest: ours are random, and nobody can make two that share them.
  private struct Identifier: Hashable, Sendable {
    var high: UInt64
    var low: UInt64

    init(_ text: [UInt8]) {
      let digest = SHA256.hash(text.span)
      (high, low) = (digest.prefix, digest.suffix)
    }
  }

  private var tokens: Set<Identifier> = []
  private var users: [[UInt8]: Timestamp] = [:]
  private var everything: Timestamp?
  private let capacity: Int

  /// Most entries, of about 40 bytes each in memory. Beyond, further ones are refused: forgetting one would let a token in.
  public static let most = 1_000_000
  /// Longest `jti`, in bytes of visible ASCII.
  public static let longestIdentifier = 255
  static let largest = 256 << 20

  public init() {
    self.init(capacity: Self.most)
  }

  init(capacity: Int) {
    self.capacity = capacity
  }

  /// Reads a whole file. One line that can't be understood makes it useless as a whole: it may be the one that matters.
  public init(parsing file: [UInt8]) throws(RevocationFault) {
    self.init()
    try RevocationText.read(file) { (_, revocation) throws(RevocationFault) in try insert(revocation) }
  }

  public var count: Int { tokens.count + users.count + (everything == nil ? 0 : 1) }

  /// An entry that is there already takes no place; of two for one user, or for all, the later moment counts.
  mutating func insert(_ revocation: Revocation) throws(RevocationFault) {
    switch revocation {
    case .token(let text, _):
      let identifier = Identifier(text)
      guard count < capacity || tokens.contains(identifier) else { throw .full }
      tokens.insert(identifier)
    case .user(let name, let before, _):
      guard count < capacity || users[name] != nil else { throw .full }
      let moment = before.roundedUpToSeconds
      users[name] = max(users[name] ?? moment, moment)
    case .all(let before, _):
      let moment = before.roundedUpToSeconds
      everything = max(everything ?? moment, moment)
    }
  }

  func cover(identifier: [UInt8], user: [UInt8], issued: Timestamp) -> Bool {
    if let moment = earliestIssue(for: user), issued < moment { return true }
    return !tokens.isEmpty && tokens.contains(Identifier(identifier))
  }

  func earliestIssue(for user: [UInt8]) -> Timestamp? {
    guard let own = users.isEmpty ? nil : users[user] else { return everything }
    return max(own, everything ?? own)
  }
}

/// Why revocations can't be read, or one more not be taken.
public enum RevocationFault: Error, Equatable, Sendable, CustomStringConvertible {
  case line(Int, String)
  case full
  /// What was to be revoked can't be written in a file of lines.
  case unfit(String)

  public var description: String {
    switch self {
    case .line(let number, let reason): "line \(number): \(reason)"
    case .full:
      "there are \(RevocationList.most) revocations already, and none may be forgotten: revoke by user or by time, or rotate the keys"
    case .unfit(let reason): reason
    }
  }
}
