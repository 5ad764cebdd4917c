// Which route a request belongs to. Judges canonical bytes only, and refuses a path on whose meaning we and the service behind might differ.

import Primitives

/// The routes of one configuration, most specific first.
public struct Router: Sendable {
  /// What the router says of a request.
  public enum Verdict: Equatable, Sendable {
    /// Index into `Router.routes`.
    case route(Int)
    /// No route covers it: 404, once the client has proved who it is.
    case none
    /// Two ways to read the path lead to two routes: refused, since the service might read it the other way.
    case ambiguous
  }

  /// In order of precedence: exact before prefix, longer path first, named host before wildcard before none, named methods before any.
  public let routes: [Route]
  /// The routes' paths as the most liberal service reads them: what the second reading of a request's path is compared with.
  private let readings: [[UInt8]]

  public init(_ routes: [Route]) {
    self.routes = routes.enumerated().sorted { a, b in
      let (first, second) = (Self.rank(a.element), Self.rank(b.element))
      return first == second ? a.offset < b.offset : first.lexicographicallyPrecedes(second)
    }.map(\.element)
    readings = self.routes.map { route in
      var reading = ByteBuffer()
      return Self.read(route.path.span, as: &reading) ? reading.array() : route.path
    }
  }

  /// Smaller is more specific.
  private static func rank(_ route: Route) -> [Int] {
    let host =
      switch route.host {
      case .name: 0
      case .suffix(let suffix): 1_000_000 - suffix.count
      case .any: 2_000_000
      }
    return [route.isExact ? 0 : 1, -trimmed(route).count, host, route.methods.isEmpty ? 1 : 0]
  }

  /// A prefix without its closing slash: `/admin/` and `/admin` cover the same paths, so neither spelling slips past the other's rule.
  private static func trimmed(_ route: Route) -> ArraySlice<UInt8> {
    route.isExact || route.path.last != 0x2F ? route.path[...] : route.path.dropLast()
  }

  /// - Parameters:
  ///   - path: canonical, beginning with `/`, without query (`*` for `OPTIONS *`, which belongs to the root).
  ///   - host: the Host field's value, with or without port; empty when there was none.
  public func route(method: Span<UInt8>, host: Span<UInt8>, path: Span<UInt8>) -> Verdict {
    let found = find(method, host, path, isSecondReading: false)
    if Self.hasSecondReading(path) {
      var reading = ByteBuffer()
      guard Self.read(path, as: &reading), find(method, host, reading.span, isSecondReading: true) == found else { return .ambiguous }
    }
    return found.map { .route($0) } ?? .none
  }

  private func find(_ method: Span<UInt8>, _ host: Span<UInt8>, _ path: Span<UInt8>, isSecondReading: Bool) -> Int? {
    for i in routes.indices {
      let own = isSecondReading ? readings[i] : routes[i].path
      if Self.covers(own.span, isExact: routes[i].isExact, path) && Self.covers(routes[i].host, host)
        && Self.covers(routes[i].methods, method)
      {
        return i
      }
    }
    return nil
  }

  private static func covers(_ own: Span<UInt8>, isExact: Bool, _ path: Span<UInt8>) -> Bool {
    if path.count == 1 && path[0] == 0x2A { return own.count == 1 && !isExact }
    if isExact { return ASCII.equals(path, own) }
    let base = own[own.count - 1] == 0x2F ? own.count - 1 : own.count
    guard path.count >= base, ASCII.starts(path, with: own.extracting(0..<base)) else { return false }
    return path.count == base || path[base] == 0x2F
  }

  private static func covers(_ pattern: Route.Host, _ host: Span<UInt8>) -> Bool {
    switch pattern {
    case .any:
      return true
    case .name(let name):
      return ASCII.equals(host.extracting(0..<lengthWithoutPort(host)), ignoringCaseOf: name.span)
    case .suffix(let suffix):
      let end = lengthWithoutPort(host)
      guard end > suffix.count else { return false }
      return ASCII.equals(host.extracting((end - suffix.count)..<end), ignoringCaseOf: suffix.span)
    }
  }

  private static func covers(_ methods: [[UInt8]], _ method: Span<UInt8>) -> Bool {
    if methods.isEmpty { return true }
    for candidate in methods where ASCII.equals(method, candidate.span) { return true }
    return false
  }

  /// How much of `example.com:8080` is `example.com`; `example.com.` is the same host as `example.com`.
  private static func lengthWithoutPort(_ host: Span<UInt8>) -> Int {
    var end = host.count
    var i = host.count - 1
    while i >= 0, ASCII.isDigit(host[i]) { i -= 1 }
    if i >= 0 && host[i] == 0x3A { end = i }
    if end > 0 && host[end - 1] == 0x2E { end -= 1 }
    return end
  }

  // MARK: The second reading

  /// Whether a service might see other segments in this path than we do: it may decode what we keep escaped, merge slashes, read a backslash
  /// as a slash, or cut `;parameters` off a segment (the servlet rule).
  private static func hasSecondReading(_ path: Span<UInt8>) -> Bool {
    var previous: UInt8 = 0
    for i in path.indices {
      let byte = path[i]
      if byte == 0x25 || byte == 0x3B || byte == 0x5C || (byte == 0x2F && previous == 0x2F) { return true }
      previous = byte
    }
    return false
  }

  /// Writes the path as the most liberal service would read it. False when that reading has a dot segment, which would lead elsewhere.
  private static func read(_ path: Span<UInt8>, as reading: inout ByteBuffer) -> Bool {
    var isParameter = false
    var i = 0
    while i < path.count {
      var byte = path[i]
      i += 1
      if byte == 0x25, i + 1 < path.count, let high = ASCII.hexValue(path[i]), let low = ASCII.hexValue(path[i + 1]) {
        byte = high << 4 | low
        i += 2
      }
      if byte == 0x2F || byte == 0x5C {
        isParameter = false
        if reading.count > 0 && reading[reading.count - 1] == 0x2F { continue }
        guard !endsInDotSegment(reading.span) else { return false }
        reading.append(0x2F)
      } else if byte == 0x3B {
        isParameter = true
      } else if !isParameter {
        reading.append(byte)
      }
    }
    return !endsInDotSegment(reading.span)
  }

  private static func endsInDotSegment(_ path: Span<UInt8>) -> Bool {
    let n = path.count
    if n >= 2 && path[n - 1] == 0x2E && path[n - 2] == 0x2F { return true }
    return n >= 3 && path[n - 1] == 0x2E && path[n - 2] == 0x2E && path[n - 3] == 0x2F
  }
}
