// Which route a request belongs to. Judges canonical bytes only, and refuses a path on whose meaning we and the service behind might differ.

import HTTP
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
  /// The routes that are for some methods only.
  private let methodical: [Int]

  public init(_ routes: [Route]) {
    self.routes = routes.enumerated().sorted { a, b in
      let (first, second) = (Self.rank(a.element), Self.rank(b.element))
      return first == second ? a.offset < b.offset : first.lexicographicallyPrecedes(second)
    }.map(\.element)
    readings = self.routes.map { route in
      var reading = ByteBuffer()
      return PathPrefix.read(route.path.span, as: &reading) ? reading.array() : route.path
    }
    methodical = self.routes.indices.filter { [routes = self.routes] in !routes[$0].methods.isEmpty }
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
    if PathPrefix.hasSecondReading(path) {
      var reading = ByteBuffer()
      guard PathPrefix.read(path, as: &reading), find(method, host, reading.span, isSecondReading: true) == found else { return .ambiguous }
    }
    return found.map { .route($0) } ?? .none
  }

  private func find(_ method: Span<UInt8>, _ host: Span<UInt8>, _ path: Span<UInt8>, isSecondReading: Bool) -> Int? {
    for i in routes.indices {
      let own = isSecondReading ? readings[i] : routes[i].path
      if PathPrefix.covers(own.span, isExact: routes[i].isExact, path) && Self.covers(routes[i].host, host)
        && Self.covers(routes[i].methods, method)
      {
        return i
      }
    }
    return nil
  }

  /// Whether a request that belongs to the route at `index` would, by another method, belong to one that comes before it.
  ///
  /// - Parameter target: as it is forwarded.
  func judgesMethod(before index: Int, _ head: borrowing RequestHead, target: borrowing ByteBuffer, pathLength: Int) -> Bool {
    judgesMethod(before: index, host: head.bytes[head.host], path: target.span.extracting(0..<pathLength))
  }

  func judgesMethod(before index: Int, host: Span<UInt8>, path: Span<UInt8>) -> Bool {
    if methodical.isEmpty { return false }
    var reading = ByteBuffer()
    let isReadTwice = PathPrefix.hasSecondReading(path) && PathPrefix.read(path, as: &reading)
    for i in methodical where i < index && Self.covers(routes[i].host, host) {
      let (own, second, isExact) = (routes[i].path, readings[i], routes[i].isExact)
      if PathPrefix.covers(own.span, isExact: isExact, path) { return true }
      if isReadTwice && PathPrefix.covers(second.span, isExact: isExact, reading.span) { return true }
    }
    return false
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
}
