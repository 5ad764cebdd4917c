// The prefix table says what going through the routes one by one would say; and it does so without going through them.

import Auth
import HTTP
import Primitives
import Testing

@testable import Proxy

@Suite struct RouteTableTests {
  /// The rule itself: the first route, in order of precedence, that covers the request.
  private struct Linear {
    let routes: [Route]
    let readings: [[UInt8]]

    init(_ router: Router) {
      routes = router.routes
      readings = router.routes.map { route in
        var reading = ByteBuffer()
        return PathPrefix.read(route.path.span, as: &reading) ? reading.array() : route.path
      }
    }

    func route(_ method: [UInt8], _ host: String, _ path: [UInt8]) -> Router.Verdict {
      let found = routes.indices.first { covers($0, routes[$0].path, host, path) && isFor($0, method) }
      if PathPrefix.hasSecondReading(path.span) {
        var reading = ByteBuffer()
        guard PathPrefix.read(path.span, as: &reading) else { return .ambiguous }
        let second = reading.array()
        if routes.indices.first(where: { covers($0, readings[$0], host, second) && isFor($0, method) }) != found { return .ambiguous }
      }
      return found.map { .route($0) } ?? .none
    }

    func judgesMethod(before index: Int, _ host: String, _ path: [UInt8]) -> Bool {
      var reading = ByteBuffer()
      let isReadTwice = PathPrefix.hasSecondReading(path.span) && PathPrefix.read(path.span, as: &reading)
      let second = reading.array()
      return routes.indices.contains { i in
        i < index && !routes[i].methods.isEmpty
          && (covers(i, routes[i].path, host, path) || isReadTwice && covers(i, readings[i], host, second))
      }
    }

    private func covers(_ i: Int, _ own: [UInt8], _ host: String, _ path: [UInt8]) -> Bool {
      guard PathPrefix.covers(own.span, isExact: routes[i].isExact, path.span) else { return false }
      var name = host.lowercased()
      if let colon = name.lastIndex(of: ":"), name[colon...].dropFirst().allSatisfy(\.isNumber) { name = String(name[..<colon]) }
      if name.hasSuffix(".") { name.removeLast() }
      switch routes[i].host {
      case .any: return true
      case .name(let own): return bytes(name) == own
      case .suffix(let own): return name.utf8.count > own.count && Array(name.utf8.suffix(own.count)) == own
      }
    }

    private func isFor(_ i: Int, _ method: [UInt8]) -> Bool { routes[i].methods.isEmpty || routes[i].methods.contains(method) }
  }

  /// Few words, so that much coincides.
  private static let segments = ["a", "b", "ab", "A", "", "a;x", "b;", "%2F", "a%2Fb", "%3B", "long-segment-of-many-bytes", "."]
  private static let hosts = [
    "a.example", "A.EXAMPLE:80", "b.example.", "x.b.example", "x.y.b.example:8080", "example", ".example", "", "[::1]:80",
  ]

  private func path(_ random: inout SeededNumbers, upTo most: Int) -> [UInt8] {
    let count = Int.random(in: 0...most, using: &random)
    let path = (0..<count).map { _ in "/" + Self.segments[Int.random(in: 0..<Self.segments.count, using: &random)] }.joined()
    return bytes(path.isEmpty ? "/" : path)
  }

  private func routes(_ random: inout SeededNumbers) -> [Route] {
    (0..<Int.random(in: 1...40, using: &random)).map { i in
      var route = Route(path: path(&random, upTo: 4), requirement: .validUser, upstream: 0, label: "\(i)")
      route.isExact = Int.random(in: 0..<4, using: &random) == 0
      switch Int.random(in: 0..<8, using: &random) {
      case 0: route.host = .name(bytes("a.example"))
      case 1: route.host = .name(bytes("x.b.example"))
      case 2: route.host = .suffix(bytes(".example"))
      case 3: route.host = .suffix(bytes(".b.example"))
      case 4: route.host = .name(bytes("[::1]"))
      default: break
      }
      switch Int.random(in: 0..<5, using: &random) {
      case 0: route.methods = [bytes("GET")]
      case 1: route.methods = [bytes("PUT"), bytes("DELETE")]
      default: break
      }
      return route
    }
  }

  @Test func theTableSaysWhatTheRoutesSayOneByOne() {
    var random = SeededNumbers(seed: 4)
    var seen: [String: Int] = [:]
    for _ in 0..<300 {
      let router = Router(routes(&random))
      let linear = Linear(router)
      for _ in 0..<100 {
        let path = Int.random(in: 0..<50, using: &random) == 0 ? bytes("*") : path(&random, upTo: 5)
        let host = Self.hosts[Int.random(in: 0..<Self.hosts.count, using: &random)]
        let method = bytes(["GET", "PUT", "POST"][Int.random(in: 0..<3, using: &random)])
        let expected = linear.route(method, host, path)
        let found = router.route(method: method.span, host: bytes(host).span, path: path.span)
        #expect(found == expected, "\(String(decoding: path, as: UTF8.self)) at \(host)")
        seen["\(expected)", default: 0] += 1
        let index = Int.random(in: 0...router.routes.count, using: &random)
        let judges = router.judgesMethod(before: index, host: bytes(host).span, path: path.span)
        #expect(judges == linear.judgesMethod(before: index, host, path), "\(String(decoding: path, as: UTF8.self)) at \(host)")
      }
    }
    // The run has to have met all kinds of answers.
    #expect(seen["none", default: 0] > 100 && seen["ambiguous", default: 0] > 100 && seen.count > 20)
  }

  @Test func manyRoutesAreAllFound() {
    var routes: [Route] = []
    for i in 0..<1000 {
      var route = Route(path: bytes("/service-\(i)/v\(i % 7)"), requirement: .validUser, upstream: 0, label: "\(i)")
      if i % 2 == 0 { route.host = .name(bytes("host-\(i).example")) }
      routes.append(route)
    }
    let router = Router(routes)
    for i in 0..<1000 {
      let verdict = router.route(
        method: bytes("GET").span, host: bytes("host-\(i).example:443").span, path: bytes("/service-\(i)/v\(i % 7)/page").span)
      guard case .route(let found) = verdict else {
        Issue.record("\(i) is not found")
        continue
      }
      #expect(router.routes[found].label == "\(i)")
    }
    let other = router.route(method: bytes("GET").span, host: bytes("host-1.example").span, path: bytes("/service-2/v2").span)
    #expect(other == .none)
  }
}
