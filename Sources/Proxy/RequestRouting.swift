// From a request's target to its route and to the one form of the target that is both judged and forwarded.

import HTTP
import Primitives

enum RequestRouting {
  enum Verdict {
    /// Index into the router's routes.
    case route(Int)
    /// Not to be forwarded: a resource of our own.
    case endpoint(Endpoint)
    /// Covered by no route.
    case none
    /// 400; the reason is for the log.
    case refused(StaticString)
  }

  /// Finds the route and writes the target as it will be forwarded over what `target` held.
  ///
  /// - Parameter ticket: a parameter that is taken out of the query, whatever it holds; empty for none.
  static func find(
    _ head: borrowing RequestHead, in router: Router, _ endpoints: Endpoints = Endpoints(), ticket: [UInt8] = [], target: inout ByteBuffer
  ) -> Verdict {
    var pathLength = 0
    return find(head, in: router, endpoints, ticket: ticket, target: &target, pathLength: &pathLength)
  }

  /// - Parameter pathLength: how many bytes of the target are its path; the query begins behind it. Says nothing where the request is refused.
  static func find(
    _ head: borrowing RequestHead, in router: Router, _ endpoints: Endpoints, ticket: [UInt8], target: inout ByteBuffer,
    pathLength: inout Int
  ) -> Verdict {
    target.removeAll()
    if head.target.form == .asterisk {
      target.append(0x2A)
      pathLength = 1
      return verdict(router, head, target.span, hasSecondReading: false)
    }
    let found: Verdict
    if CanonicalPath.isPlain(head.bytes[head.target.path]) {
      // Nothing to be made canonical, and no reading but this one.
      target.append(head.bytes[head.target.path])
      if case .endpoint(let endpoint) = endpoints.find(target.span, hasSecondReading: false) {
        found = .endpoint(endpoint)
      } else {
        found = verdict(router, head, target.span, hasSecondReading: false)
      }
    } else if let failure = CanonicalPath.canonicalize(head.bytes[head.target.path], into: &target, raw: false) {
      // Not to be understood in one way only (the router sees to the other readings): refused, unless the route that it would belong to takes paths as they are.
      target.removeAll()
      if CanonicalPath.comparable(head.bytes[head.target.path], decodingSlashes: false, into: &target) != nil {
        return .refused(failure.reason)
      }
      guard endpoints.find(target.span) == .none else { return .refused(failure.reason) }
      found = verdict(router, head, target.span)
      guard case .route(let index) = found, router.routes[index].isRaw else { return .refused(failure.reason) }
    } else {
      switch endpoints.find(target.span) {
      case .endpoint(let endpoint): found = .endpoint(endpoint)
      case .none: found = verdict(router, head, target.span)
      case .ambiguous: return .refused("the path can be read in two ways, one of which is a resource of our own")
      }
    }
    if case .route(let index) = found, router.routes[index].isRaw {
      target.removeAll()
      if let failure = CanonicalPath.canonicalize(head.bytes[head.target.path], into: &target, raw: true) {
        return .refused(failure.reason)
      }
    }
    pathLength = target.count
    if head.target.hasQuery { append(head.bytes[head.target.query], without: ticket, to: &target) }
    return found
  }

  /// Appends `?` and the query.
  private static func append(_ query: Span<UInt8>, without ticket: [UInt8], to target: inout ByteBuffer) {
    if !ticket.isEmpty && QueryParameter.find(ticket.span, in: query) != .absent {
      QueryParameter.append(query, without: ticket.span, to: &target)
    } else {
      target.append(0x3F)
      target.append(query)
    }
  }

  private static func verdict(_ router: Router, _ head: borrowing RequestHead, _ path: Span<UInt8>) -> Verdict {
    verdict(router, head, path, hasSecondReading: PathPrefix.hasSecondReading(path))
  }

  private static func verdict(_ router: Router, _ head: borrowing RequestHead, _ path: Span<UInt8>, hasSecondReading: Bool) -> Verdict {
    switch router.route(method: head.bytes[head.methodRange], host: head.bytes[head.host], path: path, hasSecondReading: hasSecondReading) {
    case .route(let index): .route(index)
    case .none: .none
    case .ambiguous: .refused("the path can be read in two ways that belong to different routes")
    }
  }
}
