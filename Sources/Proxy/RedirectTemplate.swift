// Where a `redirect` leads: a URL with places for parts of the request. What the client wrote is put only where it can't choose another host.

import HTTP
import Primitives

/// A URL or an absolute path with `{host}`, `{path}` and `{query}` in it.
///
/// `{host}` is the request's, without port, and stands for the whole host; `{path}` begins with a slash and stands behind the host; `{query}` is the
/// query with its question mark, or nothing, and stands last.
public struct RedirectTemplate: Equatable, Sendable {
  public struct Fault: Error, Equatable, Sendable {
    /// Continues "'…' ".
    public var reason: String
  }

  enum Part: Equatable, Sendable {
    case text([UInt8])
    case host
    case path
    case query
  }

  /// 301, 302, 303, 307 or 308.
  public let status: Int
  /// As written.
  public let text: String
  let parts: [Part]
  /// Whether it begins with a slash, so that the host stays.
  let isLocal: Bool

  public static let statuses = [301, 302, 303, 307, 308]

  public init(status: Int, _ text: String) throws(Fault) {
    self.status = status
    self.text = text
    let parts = try Self.parts(text)
    self.parts = parts
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x5C && $0 != 0x22 && $0 != 0x3C && $0 != 0x3E }) else {
      throw Fault(reason: "holds what a URL can't: escape it with %")
    }
    if let query = parts.firstIndex(of: .query), query != parts.count - 1 { throw Fault(reason: "goes on behind {query}, which stands last") }
    isLocal = text.hasPrefix("/") || parts.first == .path
    if isLocal {
      if text.hasPrefix("//") { throw Fault(reason: "begins with two slashes, which would be a host") }
      if parts.contains(.host) { throw Fault(reason: "has {host} where no host stands: write https://{host}…") }
      return
    }
    try Self.checkHost(parts)
  }

  private static func parts(_ text: String) throws(Fault) -> [Part] {
    var parts: [Part] = []
    var literal: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == 0x7B || byte == 0x7D else {
        literal.append(byte)
        continue
      }
      guard byte == 0x7B, let end = rest.firstIndex(of: 0x7D) else { throw Fault(reason: "has a brace without its other one") }
      if !literal.isEmpty { parts.append(.text(literal)) }
      literal = []
      let name = String(decoding: rest[..<end], as: UTF8.self)
      switch name {
      case "host": parts.append(.host)
      case "path": parts.append(.path)
      case "query": parts.append(.query)
      default: throw Fault(reason: "has {\(name)}, which nothing is known of: there are {host}, {path} and {query}")
      }
      rest = rest[(end + 1)...]
    }
    if !literal.isEmpty { parts.append(.text(literal)) }
    return parts
  }

  /// The host is all the operator's or all the request's, and ends before anything else comes.
  private static func checkHost(_ parts: [Part]) throws(Fault) {
    guard case .text(let first)? = parts.first, let scheme = scheme(first) else {
      throw Fault(reason: "is nowhere to go: it begins with https://, http:// or a slash")
    }
    let rest = Array(first[scheme...])
    if rest.isEmpty {
      guard parts.count > 1, parts[1] == .host else { throw Fault(reason: "has no host") }
      if parts.count > 2, case .text(let next) = parts[2] {
        // Nothing, a port, or what ends a host.
        let port = next.first == 0x3A ? next.dropFirst().prefix { ASCII.isDigit($0) } : []
        let after = next.first == 0x3A ? next.dropFirst(1 + port.count).first : next.first
        guard next.first != 0x3A || (1...5).contains(port.count), after == nil || ends(after) else {
          throw Fault(reason: "makes another host of {host}: a port, a path or nothing may follow it")
        }
      }
      if parts.dropFirst(2).contains(.host) { throw Fault(reason: "has {host} where no host stands") }
      return
    }
    let end = rest.firstIndex(where: { ends($0) }) ?? rest.count
    let host = Array(rest[..<end])
    guard Authority.isValid(host.span), Authority.hostCount(host.span) > 0 else { throw Fault(reason: "has no valid host") }
    if parts.contains(.host) { throw Fault(reason: "has {host} where it would be no host, or a part of one") }
  }

  private static func ends(_ byte: UInt8?) -> Bool { byte == 0x2F || byte == 0x3F || byte == 0x23 }

  private static func scheme(_ text: [UInt8]) -> Int? {
    for scheme in ["https://", "http://"] where text.starts(with: Array(scheme.utf8)) { return scheme.utf8.count }
    return nil
  }

  /// The value of Location.
  ///
  /// - Parameters:
  ///   - host: `Authority.isValid`; empty where the client named none. Nil is answered where one is needed then.
  ///   - path: canonical. What is no path (`*`) is the root.
  ///   - query: with its question mark, or empty.
  func location(host: Span<UInt8>, path: Span<UInt8>, query: Span<UInt8>) -> [UInt8]? {
    var location: [UInt8] = []
    for part in parts {
      switch part {
      case .text(let text):
        location += text
      case .host:
        let count = Authority.hostCount(host)
        if count == 0 { return nil }
        for i in 0..<count { location.append(host[i]) }
      case .path:
        if path.count == 0 || path[0] != 0x2F { location.append(0x2F) } else { Self.append(path, to: &location) }
      case .query:
        Self.append(query, to: &location)
      }
    }
    if isLocal {
      // `//evil.example` is a host to a browser, and so is `/\evil.example` (WHATWG URL). The path's slashes alone may have come together so.
      while location.count > 1 && location[1] == 0x2F { location.remove(at: 1) }
    }
    return location
  }

  /// What a URL can't hold is escaped, a backslash too: browsers take it for a slash.
  private static func append(_ bytes: Span<UInt8>, to location: inout [UInt8]) {
    for i in bytes.indices {
      let byte = bytes[i]
      if byte > 0x20 && byte < 0x7F && byte != 0x5C && byte != 0x22 && byte != 0x3C && byte != 0x3E {
        location.append(byte)
      } else {
        location += [0x25, ASCII.upperHexDigit(byte >> 4), ASCII.upperHexDigit(byte & 15)]
      }
    }
  }
}
