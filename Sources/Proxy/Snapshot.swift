// One state of the configuration, whole and immutable. A reload makes another; an exchange keeps the one that it began with.
//
// The users are not in it: they may be a million, and a connection that stays for hours would keep a table in memory that nobody asks any
// more. Workers hold the gatekeeper of now beside it, and only while a request is judged is it looked at.

import Auth
import HTTP
import Login
import Net
import Primitives
import Upstream

/// What workers read while they serve.
final class Snapshot: Sendable {
  let settings: Settings
  let router: Router
  /// By index of the router's routes.
  let traits: [RouteTraits]
  /// Of the top level's `rate`.
  let gates: [RateGate]
  /// Files whose being there closes routes, each once.
  let switches: [MaintenanceSwitch]
  let errorPages: [Int: [UInt8]]
  /// In the settings' order: how the servers fare. The same object for a server that a reload has left.
  let groups: [GroupState]
  /// In the settings' order.
  let listeners: [ListenerTraits]
  /// Whether there is a log to write lines for.
  let logsRequests: Bool
  // Of the settings' limits, beside them: reading one field of so large a struct may copy half of it.
  let headLimits: HeadLimits
  let headerTimeout: Interval
  let keepAliveTimeout: Interval
  let sendTimeout: Interval
  let bodyTimeout: Interval
  let keepAliveRequests: Int
  let trustedProxies: [Network]
  let originField: OriginField
  let rehashes: Bool
  let endpoints: Endpoints
  /// The JWK Set of all upstreams' assertions.
  let keySet: [UInt8]
  /// What is asked of passwords that are set over HTTP.
  let passwords: PasswordRules?
  let rules: ForwardingRules
  /// By index of the router's routes.
  let logTexts: [AccessLogFormat.RouteTexts]
  /// By index of the router's routes, and of the members of its upstream.
  let serverTexts: [[AccessLogFormat.ServerText]]
  /// The parameter of a query that holds a ticket; empty for none.
  let ticketParameter: [UInt8]
  /// The line of `Strict-Transport-Security`; empty for none.
  let transportSecurity: [UInt8]
  let challenge: Replies.Challenge
  let invalidTokenChallenge: Replies.Challenge
  /// The same for scripts that are not to be challenged by Basic.
  let silentChallenge: Replies.Challenge
  let silentInvalidTokenChallenge: Replies.Challenge

  /// - Parameter before: what is left of it goes on as it was.
  init(settings: Settings, passwords: PasswordRules? = nil, tls: [TLSServerContext?] = [], after before: Snapshot? = nil) {
    self.settings = settings
    let tokens = AccessTokenState.made(settings.upstreams, after: before?.groups.map(\.tokens) ?? [])
    let tickets = TicketState.made(settings.upstreams, after: before?.groups.map(\.tickets) ?? [])
    groups = settings.upstreams.indices.map { i in
      let group = settings.upstreams[i]
      return GroupState(group, after: before?.groups.first { $0.name == group.name }, tokens: tokens[i], tickets: tickets[i])
    }
    self.passwords = passwords
    router = Router(settings.routes)
    let gates = RateGate.made(settings.rates, after: before?.gates ?? [])
    self.gates = gates
    var switches: [MaintenanceSwitch] = []
    for path in router.routes.compactMap({ $0.terms.maintenance?.path }) where !switches.contains(where: { $0.path == path }) {
      switches.append(before?.switches.first { $0.path == path } ?? MaintenanceSwitch(path: path))
    }
    self.switches = switches
    let cares = before?.cares ?? [:]
    traits = router.routes.map { route in
      let care = route.terms == RouteTerms() && gates.isEmpty ? nil : RouteCare(route, gates, switches, after: cares[route.label])
      return RouteTraits(route, route.upstream.map { settings.upstreams[$0] }, care)
    }
    errorPages = settings.errorPages
    listeners = settings.listeners.indices.map { ListenerTraits(settings.listeners[$0], tls: $0 < tls.count ? tls[$0] : nil, index: $0) }
    logsRequests = settings.accessLog.target != .off
    headLimits = settings.limits.head
    headerTimeout = settings.limits.headerTimeout
    keepAliveTimeout = settings.limits.keepAliveTimeout
    sendTimeout = settings.limits.sendTimeout
    bodyTimeout = settings.limits.bodyTimeout
    keepAliveRequests = settings.limits.keepAliveRequests
    trustedProxies = settings.forwarding.trustedProxies
    originField = settings.forwarding.originField
    rehashes = settings.rehashes
    endpoints = Endpoints(settings)
    keySet = UserAssertion.keySet(settings.upstreams.compactMap(\.assertion))
    let ticketParameter = settings.tokens?.ticketParameter ?? []
    self.ticketParameter = ticketParameter
    transportSecurity = settings.transportSecurity?.line ?? []
    rules = ForwardingRules(
      settings.forwarding, apiKeyField: settings.gatekeeper.apiKeyField, ticketParameter: ticketParameter)
    logTexts = router.routes.map { AccessLogFormat.RouteTexts(route: $0.label, upstream: $0.upstream.map { settings.upstreams[$0].name } ?? "-") }
    serverTexts = router.routes.map { route in
      route.upstream.map { settings.upstreams[$0].members.map { AccessLogFormat.ServerText($0.options.place) } } ?? []
    }
    (challenge, invalidTokenChallenge) = Replies.renderChallenges(realm: settings.gatekeeper.realm, offersBearer: true)
    (silentChallenge, silentInvalidTokenChallenge) = Replies.renderSilentChallenges(realm: settings.gatekeeper.realm)
  }
}

extension Snapshot {
  /// By the routes' labels, of which no two are the same: what goes on after a reload.
  fileprivate var cares: [String: RouteCare] {
    Dictionary(zip(router.routes, traits).compactMap { route, traits in traits.care.map { (route.label, $0) } }) { first, _ in first }
  }

  /// The listener that `other` is by this configuration: that of the same address, and where several have one (port 0), the one in its place.
  func listener(like other: ListenerTraits) -> ListenerTraits? {
    let socket = other.settings.socket
    if other.index < listeners.count, listeners[other.index].settings.socket.isSamePlace(as: socket) { return listeners[other.index] }
    return listeners.first { $0.settings.socket.isSamePlace(as: socket) }
  }
}

/// What every forwarded request asks of its route. A class, so that asking copies nothing: a `Route` has ten references to be counted.
final class RouteTraits: Sendable {
  /// Index into `Settings.upstreams`.
  let upstream: Int
  let bodyLimit: UInt64?
  let allowsTrace: Bool
  let authorization: Route.AuthorizationPolicy
  let upgrade: UpgradePolicy
  /// Whether the route is for some methods only.
  let judgesMethod: Bool
  let passesPreflights: Bool
  let requiresTLS: Bool
  /// What its requests are changed to; nil where they go as they came.
  let rewriting: RequestRewriting?
  /// What its responses are changed to.
  let answers: ResponseRewriting?
  /// Nil where nothing of it is asked, which is all that is looked at then.
  let care: RouteCare?
  /// How we log in to its upstream; nil where we don't.
  let login: UpstreamLogin?
  /// What signs who the user is; nil where nothing does.
  let assertion: UserAssertion?

  init(_ route: Route, _ group: UpstreamGroup? = nil, _ care: RouteCare? = nil) {
    rewriting = RequestRewriting(route.rewriting)
    answers = group.flatMap { ResponseRewriting(route.rewriting, $0) }
    self.care = care
    login = group?.login
    assertion = group?.assertion
    // Where there is none, `care` answers before it is asked for.
    upstream = route.upstream ?? -1
    bodyLimit = route.bodyLimit
    allowsTrace = route.allowsTrace
    authorization = route.authorization
    upgrade = route.upgrade
    judgesMethod = !route.methods.isEmpty
    passesPreflights = route.passesPreflights
    requiresTLS = route.requiresTLS
  }
}

/// What other threads tell a worker.
enum WorkerMessage: Sendable {
  /// A password check that one of its exchanges waits for.
  case checked(SlotToken, serial: UInt64, PasswordCheck, CheckOutcome)
  /// The answer that one of its exchanges waits for.
  case answered(SlotToken, serial: UInt64, OwnReply)
  /// What the answer to one of its exchanges waited for has been done, or could not be.
  case goOn(SlotToken, serial: UInt64, isDone: Bool)
  /// From now on serve by this. Who posts it keeps the gatekeeper before until no worker has it, so that no worker is the one that takes a
  /// million users apart.
  case adopt(Snapshot, Gatekeeper)
  /// Requests that wait for a server may find room.
  case roomCame
  /// Say that everything that was told before has been done.
  case sign(Adoption)
  /// Accept by these from now on, and by no others.
  case listen([WorkerListener])
  /// Accept no more, finish what runs until then. With `isReplaced` another process has the listening sockets.
  case drain(until: Instant, isReplaced: Bool)
}
