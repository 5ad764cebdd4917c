// The file of last uses, `USERS.used`: one line a key, `USER KEY TIME ADDRESS DIGEST`. For people and `token list`; nothing is decided by it,
// so what can't be read in it is left out.

internal import Crypto
internal import Primitives

public struct KeyUseLedger: Sendable {
  /// By the beginning of the keys' digests.
  public private(set) var uses: [UInt64: KeyUses.Use] = [:]
  /// Lines that could not be read.
  public private(set) var unreadable = 0

  /// Most lines that are read.
  private static let most = 1 << 20
  private static let longestLine = 1024

  public init() {}

  public init(_ bytes: [UInt8]) {
    var start = 0
    let file = bytes.span
    while start < file.count {
      let end = ASCII.firstIndex(of: 0x0A, in: file, from: start) ?? file.count
      if end > start {
        if uses.count < Self.most, let use = Self.read(file.extracting(start..<end)) { add(use) } else { unreadable += 1 }
      }
      start = end + 1
    }
  }

  /// Where the last uses of the keys of a user file stand.
  public static func path(besides users: String) -> String { users + ".used" }

  /// Takes in a use, unless a later one of the same key is known.
  public mutating func add(_ use: KeyUses.Use) {
    if let known = uses[use.identity], known.time > use.time { return }
    uses[use.identity] = use
  }

  /// Forgets the keys that are not in `users` any more.
  public mutating func keep(_ users: UserTable) {
    uses = uses.filter { users.hasKey($0.key) }
  }

  /// The last use that is known of a key.
  public func use(of key: APIKey) -> KeyUses.Use? { uses[key.digest.prefix] }

  /// The whole file, in an order that stays.
  public var bytes: [UInt8] {
    var text: [UInt8] = []
    let sorted = uses.values.sorted { a, b in
      if a.user != b.user { return a.user.lexicographicallyPrecedes(b.user) }
      if a.key != b.key { return a.key.lexicographicallyPrecedes(b.key) }
      return a.identity < b.identity
    }
    for use in sorted {
      text += PercentText.encode(use.user) + [0x20] + use.key + [0x20] + CalendarText.text(use.time) + [0x20] + use.client.text + [0x20]
      for shift in stride(from: 60, through: 0, by: -4) {
        text.append(ASCII.lowerHexDigit(UInt8(truncatingIfNeeded: use.identity >> UInt64(shift)) & 15))
      }
      text.append(0x0A)
    }
    return text
  }

  private static func read(_ line: Span<UInt8>) -> KeyUses.Use? {
    guard line.count <= longestLine else { return nil }
    let words = UserLine.words(line, 0..<line.count)
    guard words.count == 5, let user = PercentText.decode(line.extracting(words[0])), UserName.fault(user.span) == nil,
      APIKey.isName(line.extracting(words[1])), let time = CalendarText.parse(line.extracting(words[2])),
      let client = ClientAddress(parsing: line.extracting(words[3])), words[4].count == 16
    else { return nil }
    var identity: UInt64 = 0
    for i in words[4] {
      guard let digit = ASCII.hexValue(line[i]) else { return nil }
      identity = identity << 4 | UInt64(digit)
    }
    return KeyUses.Use(
      user: user, key: ASCII.array(line.extracting(words[1])), identity: identity, time: time, client: client)
  }
}
