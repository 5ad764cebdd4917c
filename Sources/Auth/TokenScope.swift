// What a token may be used for: methods and paths. Narrows what its owner may do, and never widens it.

internal import HTTP
internal import Primitives

/// Requests that a token is good for. Without items it is good for all that its owner may do.
public struct TokenScope: Equatable, Sendable {
  public struct Item: Equatable, Sendable {
    /// As they stand in requests; empty for any. GET stands for HEAD too, which tells less.
    public var methods: [[UInt8]]
    /// Canonical; covers all that lies beneath, in whole segments.
    public var path: [UInt8]
  }

  public private(set) var items: [Item] = []

  public static let unlimited = TokenScope()
  /// Most items of a scope, and most bytes of its text.
  public static let mostItems = 32
  public static let longest = 1024

  public var isUnlimited: Bool { items.isEmpty }

  private init() {}

  /// Reads items as people write them, `GET /reports/`, `GET,HEAD /reports/` or `/reports/`, and as `text` has them, `GET:/reports/`.
  public init(items written: [[UInt8]]) throws(TokenScopeFailure) {
    guard written.count <= Self.mostItems else { throw TokenScopeFailure("a scope has at most \(Self.mostItems) items") }
    for word in written { items.append(try Self.item(word)) }
    guard text.count <= Self.longest else { throw TokenScopeFailure("a scope has at most \(Self.longest) bytes") }
  }

  /// Reads `text`: items parted by single spaces.
  public init(text: Span<UInt8>) throws(TokenScopeFailure) {
    guard text.count > 0, text.count <= Self.longest else { throw TokenScopeFailure("a scope has 1 to \(Self.longest) bytes") }
    try self.init(items: ASCII.array(text).split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init))
  }

  /// `GET,HEAD:/reports/ /files/`: fit for a claim and for an attribute of the user file once escaped.
  public var text: [UInt8] {
    var text: [UInt8] = []
    for item in items {
      if !text.isEmpty { text.append(0x20) }
      if !item.methods.isEmpty { text += item.methods.joined(separator: [0x2C]) + [0x3A] }
      text += item.path
    }
    return text
  }

  /// Whether the token is good for this request.
  ///
  /// - Parameter path: canonical. One that a service might read as another path (escapes, `;parameters`, `//`) has to be covered in both
  ///   readings.
  public func covers(method: Span<UInt8>, path: Span<UInt8>) -> Bool {
    if items.isEmpty { return true }
    guard finds(method, path) else { return false }
    guard PathPrefix.hasSecondReading(path) else { return true }
    var reading = ByteBuffer()
    return PathPrefix.read(path, as: &reading) && finds(method, reading.span)
  }

  /// Whether every request that this covers is covered by `other`, as far as single items show it.
  public func isWithin(_ other: TokenScope) -> Bool {
    if other.isUnlimited { return true }
    if isUnlimited { return false }
    return items.allSatisfy { item in
      let path = item.path
      return other.items.contains { wider in
        let prefix = wider.path
        guard PathPrefix.covers(prefix.span, isExact: false, path.span) else { return false }
        if wider.methods.isEmpty { return true }
        return !item.methods.isEmpty && item.methods.allSatisfy { Self.covers(wider.methods, $0.span) }
      }
    }
  }

  private func finds(_ method: Span<UInt8>, _ path: Span<UInt8>) -> Bool {
    for item in items {
      let own = item.path
      if PathPrefix.covers(own.span, isExact: false, path) && Self.covers(item.methods, method) { return true }
    }
    return false
  }

  private static func covers(_ methods: [[UInt8]], _ method: Span<UInt8>) -> Bool {
    if methods.isEmpty { return true }
    for candidate in methods {
      if ASCII.equals(method, candidate.span) { return true }
      if ASCII.equals(method, "HEAD") && ASCII.equals(candidate.span, "GET") { return true }
    }
    return false
  }

  private static func item(_ word: [UInt8]) throws(TokenScopeFailure) -> Item {
    guard let slash = word.firstIndex(of: 0x2F) else { throw TokenScopeFailure("an item of a scope has a path, as in GET /reports/") }
    var methods: [[UInt8]] = []
    if slash > 0 {
      guard word[slash - 1] == 0x20 || word[slash - 1] == 0x3A else { throw TokenScopeFailure("a path begins with /, as in GET /reports/") }
      let before = word[..<(slash - 1)]
      methods = before.split(separator: 0x2C, omittingEmptySubsequences: false).map(Array.init)
      guard methods.allSatisfy({ !$0.isEmpty && $0.count <= 32 && $0.allSatisfy(ASCII.isToken) }) else {
        throw TokenScopeFailure("methods are words parted by commas, as in GET,HEAD /reports/")
      }
    }
    let path = Array(word[slash...])
    var canonical = ByteBuffer()
    guard CanonicalPath.canonicalize(path.span, into: &canonical, raw: false) == nil, canonical.array() == path,
      !path.contains(where: { $0 == 0x3F || $0 == 0x23 || $0 <= 0x20 })
    else { throw TokenScopeFailure("the path of a scope is canonical: no dot segments, escapes or query") }
    return Item(methods: methods, path: path)
  }
}

/// Why words are no scope.
public struct TokenScopeFailure: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
