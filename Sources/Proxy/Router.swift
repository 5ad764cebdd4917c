// Which route a request belongs to. Judges canonical bytes only, and refuses a path on whose meaning we and the service behind might differ.

import HTTP
import Primitives

/// The routes of one configuration, most specific first. A class, since every request looks at it and none should copy it.
public final class Router: Sendable {
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
  private let table: RouteTable
  /// By the routes' paths as the most liberal service reads them: what the second reading of a request's path is looked up in.
  private let readings: RouteTable
  /// Whether some route is for some methods only.
  private let judgesMethods: Bool

  public init(_ routes: [Route]) {
    self.routes = routes.enumerated().sorted { a, b in
      let (first, second) = (Self.rank(a.element), Self.rank(b.element))
      return first == second ? a.offset < b.offset : first.lexicographicallyPrecedes(second)
    }.map(\.element)
    table = RouteTable(self.routes, paths: self.routes.map(\.path))
    readings = RouteTable(
      self.routes,
      paths: self.routes.map { route in
        var reading = ByteBuffer()
        return PathPrefix.read(route.path.span, as: &reading) ? reading.array() : route.path
      })
    judgesMethods = self.routes.contains { !$0.methods.isEmpty }
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
    route(method: method, host: host, path: path, hasSecondReading: PathPrefix.hasSecondReading(path))
  }

  /// The same where it is known whether the path has a second reading.
  func route(method: Span<UInt8>, host: Span<UInt8>, path: Span<UInt8>, hasSecondReading: Bool) -> Verdict {
    let name = host.extracting(0..<Self.lengthWithoutPort(host))
    let found = table.find(method, name, path, routes)
    if hasSecondReading {
      var reading = ByteBuffer()
      guard PathPrefix.read(path, as: &reading), readings.find(method, name, reading.span, routes) == found else { return .ambiguous }
    }
    return found.map { .route($0) } ?? .none
  }

  /// Whether a request that belongs to the route at `index` would, by another method, belong to one that comes before it.
  ///
  /// - Parameter target: as it is forwarded.
  func judgesMethod(before index: Int, _ head: borrowing RequestHead, target: borrowing ByteBuffer, pathLength: Int) -> Bool {
    judgesMethod(before: index, host: head.bytes[head.host], path: target.span.extracting(0..<pathLength))
  }

  func judgesMethod(before index: Int, host: Span<UInt8>, path: Span<UInt8>) -> Bool {
    if !judgesMethods { return false }
    let name = host.extracting(0..<Self.lengthWithoutPort(host))
    // Looked up for any method.
    let nothing = host.extracting(0..<0)
    if let found = table.find(nothing, name, path, routes, .thoseForSomeMethodsOnly), found < index { return true }
    guard PathPrefix.hasSecondReading(path) else { return false }
    var reading = ByteBuffer()
    guard PathPrefix.read(path, as: &reading) else { return false }
    return readings.find(nothing, name, reading.span, routes, .thoseForSomeMethodsOnly).map { $0 < index } ?? false
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
