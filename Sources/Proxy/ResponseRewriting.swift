// What a route makes of responses: places of the service are told as clients see them, cookies are fitted, fields of the operator's are set. Heads
// alone; no body is ever looked at.

import Auth
import HTTP
import Net
import Primitives
import Upstream

/// Of one route, made once. Most responses have nothing that it looks at, and are relayed as they came.
final class ResponseRewriting: Sendable {
  let place: ServicePlace
  let edits: [FieldEdit]
  let usesTarget: Bool
  private let mapsReferences: Bool
  private let cookies: CookieRules
  /// Names of the service's hosts, for the domains of its cookies.
  private let domains: [[UInt8]]
  private let host: RouteRewriting.Host
  /// Which responses are looked at.
  private let wanted: ResponseHead.Notable

  init?(_ rules: RouteRewriting, _ upstream: UpstreamGroup) {
    mapsReferences = rules.mapsReferences
    cookies = rules.cookies
    edits = rules.responseFields
    host = rules.host
    usesTarget = edits.contains { $0.template?.usesTarget == true }
    place = ServicePlace(
      origins: upstream.members.compactMap { Self.origin($0.options) }, outside: rules.mapsReferences ? rules.stripped : [],
      inside: rules.mapsReferences ? rules.added : [])
    domains = place.origins.map(\.host) + (rules.host.name.map { [Self.hostname($0)] } ?? [])
    var wanted: ResponseHead.Notable = []
    if mapsReferences { wanted.insert(.references) }
    // What is set by nearly every answer is looked at only where something could change.
    if !cookies.isEmpty || mapsReferences && (!place.keepsPaths || rules.host != .keep) { wanted.insert(.cookies) }
    if wanted.isEmpty && edits.isEmpty { return nil }
    self.wanted = wanted
  }

  private static func origin(_ options: UpstreamOptions) -> ServicePlace.Origin? {
    guard case .host(let host, let port) = options.address else { return nil }
    let name = host.contains(":") ? "[\(host)]" : host
    return ServicePlace.Origin(isSecure: options.scheme == .https, host: Array(name.lowercased().utf8), port: UInt64(port))
  }

  private static func hostname(_ authority: [UInt8]) -> [UInt8] {
    authority[..<Authority.hostCount(authority.span)].map(ASCII.lowercased)
  }

  /// Whether there may be something to change in such a response.
  @inline(__always) func concerns(_ notable: ResponseHead.Notable) -> Bool { !edits.isEmpty || !wanted.isDisjoint(with: notable) }

  /// What the service was told, and what its client sees. Copies: asked for redirects and the like.
  func view(_ head: borrowing RequestHead, _ peer: Peer, by field: OriginField) -> ServicePlace.View {
    let sent: [UInt8] =
      switch host {
      case .keep: ASCII.array(head.bytes[head.host])
      case .upstream: []
      case .name(let name): name
      }
    return ServicePlace.View(
      clientHost: ASCII.array(head.bytes[ClientNetwork.host(of: head, peer, by: field)]), isClientSecure: ClientNetwork.isSecure(head, peer, by: field),
      sentHost: sent)
  }

  /// Whether the operator says this, or that nobody does.
  func drops(_ name: Span<UInt8>) -> Bool {
    for edit in edits where edit.drops {
      let own = edit.name
      if ASCII.equals(name, ignoringCaseOf: own.span) { return true }
    }
    return false
  }

  /// For `ResponseWriter.relay`.
  func change(_ field: Field, _ bytes: borrowing ByteStore, _ view: ServicePlace.View, _ out: inout ByteBuffer) -> ResponseWriter.Relayed {
    change(bytes[field.name], bytes[field.value], field.known, view, &out)
  }

  /// The same of a line that was taken apart by others.
  func change(
    _ name: Span<UInt8>, _ value: Span<UInt8>, _ known: FieldName, _ view: ServicePlace.View, _ out: inout ByteBuffer
  ) -> ResponseWriter.Relayed {
    if drops(name) { return .done }
    let start = out.count
    switch known {
    case .location, .contentLocation, .refresh, .link:
      guard mapsReferences else { return .kept }
    case .setCookie:
      guard wanted.contains(.cookies) else { return .kept }
    default:
      return .kept
    }
    out.append(name)
    out.append(": ")
    let isChanged: Bool
    switch known {
    case .refresh: isChanged = place.append(refresh: value, view, to: &out)
    case .link: isChanged = place.append(link: value, view, to: &out)
    case .setCookie:
      let client = view.clientHost
      isChanged = cookies.append(value, place, domains: domains, clientHost: client.span, to: &out)
    default: isChanged = place.append(location: value, view, to: &out)
    }
    guard isChanged else {
      out.truncate(to: start)
      return .kept
    }
    out.append("\r\n")
    return .done
  }
}

extension RouteRewriting.Host {
  var name: [UInt8]? {
    guard case .name(let name) = self else { return nil }
    return name
  }
}
