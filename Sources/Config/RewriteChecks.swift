// Where changed paths lead: a route that takes a prefix away may reach what another route guards by another rule. Allowed, and hardly ever meant.

import HTTP
import Login
import Primitives
import Proxy
import Upstream

extension Reading {
  /// Of paths that `rewrite` makes nothing can be said.
  func warnOfWaysAround() {
    for (route, draft) in zip(settings.routes, usableRoutes) where route.rewriting.rewrites.isEmpty {
      let (stripped, added) = (route.rewriting.stripped, route.rewriting.added)
      if stripped.isEmpty && added.isEmpty { continue }
      for other in settings.routes where Self.isGuarded(other, otherwiseThan: route) {
        guard added.isEmpty || PathPrefix.covers(added.span, isExact: false, other.path.span) else { continue }
        // By what path its clients come there.
        let outside = stripped + other.path.dropFirst(added.count)
        guard PathPrefix.covers(route.path.span, isExact: route.isExact, outside.span), !isOthers(outside, than: route, by: other) else { continue }
        diagnostics.warning(
          draft.place, "by '\(String(decoding: outside, as: UTF8.self))' requests reach what '\(other.label)' guards by another rule",
          hint: "give that path a route of its own with the same rule, at least: who may pass is decided by the path that comes")
      }
    }
  }

  /// Many stores take a bucket's name from the Host, which clients then choose, past the path that was judged.
  func warnOfSignedHosts() {
    for (route, draft) in zip(settings.routes, usableRoutes) where route.rewriting.host == .keep && route.host == .any {
      guard let upstream = route.upstream, case .awsSigV4? = settings.upstreams[upstream].login?.scheme else { continue }
      diagnostics.warning(
        draft.place, "clients choose the Host that is signed here, by which many stores find the bucket: whoever may pass could reach any",
        hint: "'host upstream', or a route for each host")
    }
  }

  /// Whether both lead to the same service, which knows this one's paths as clients write them, and not everybody may pass by both.
  private static func isGuarded(_ other: Route, otherwiseThan route: Route) -> Bool {
    let rules = other.rewriting
    return other.upstream == route.upstream && other.path.count > 1 && other.requirement != route.requirement && rules.stripped.isEmpty && rules.added.isEmpty
      && rules.rewrites.isEmpty
  }

  /// Whether a more specific route has that path by the same rule as `other`, and for all requests that `other` is for.
  private func isOthers(_ path: [UInt8], than route: Route, by other: Route) -> Bool {
    settings.routes.contains { candidate in
      candidate.path.count > route.path.count && PathPrefix.covers(candidate.path.span, isExact: candidate.isExact, path.span)
        && (candidate.methods.isEmpty || candidate.methods == other.methods) && (candidate.host == .any || candidate.host == route.host)
        && candidate.requirement == other.requirement
    }
  }

  /// Those of which `settings` has routes, in the same order.
  private var usableRoutes: [RouteDraft] {
    routes.filter { draft in settings.routes.contains { $0.place == draft.place.shortText } }
  }
}
