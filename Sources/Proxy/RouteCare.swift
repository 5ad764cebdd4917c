// What is kept for a route that asks more than who may pass and where to, by all workers together; and one request at such a route, for as long as it is
// under way. Routes that ask nothing of it have none, which is all that a request there looks at.

import Auth
import HTTP
import Net
import Primitives

final class RouteCare: Sendable {
  let terms: RouteTerms
  let maintenance: MaintenanceSwitch?
  let inFlight: InFlight
  /// By address: asked before who it is. The route's own, and those of the top level.
  let gatesBefore: [RateGate]
  /// By user and token.
  let gatesBehind: [RateGate]
  private let ownGates: [RateGate]
  /// Whether anybody may come in without credentials: what is said to him may be kept by caches.
  let isPublic: Bool

  /// - Parameter before: of the same route before a reload: counts go on.
  init(_ route: Route, _ top: [RateGate], _ switches: [MaintenanceSwitch], after before: RouteCare?) {
    terms = route.terms
    maintenance = route.terms.maintenance.flatMap { options in switches.first { $0.path == options.path } }
    inFlight = before?.inFlight ?? InFlight()
    let gates = top + RateGate.made(route.terms.rates, after: before?.ownGates ?? [])
    ownGates = Array(gates.dropFirst(top.count))
    gatesBefore = gates.filter { $0.limit.key == .address }
    gatesBehind = gates.filter { $0.limit.key != .address }
    isPublic = route.requirement == .nobody
  }

  /// Whose a request is, where users are counted.
  static func key(of user: User?, _ client: ClientAddress) -> UInt64 {
    var hasher = Hasher()
    if let user {
      hasher.combine(user.name)
    } else {
      hasher.combine(client.networkKey)
    }
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }

  static func key(of credential: Credential, _ user: User?, _ client: ClientAddress) -> UInt64 {
    var hasher = Hasher()
    switch credential {
    case .token(let token) where !token.identifier.isEmpty:
      hasher.combine(user?.name ?? [])
      hasher.combine(token.identifier)
    case .apiKey(let key):
      hasher.combine(user?.name ?? [])
      hasher.combine(key.name)
    case .token, .none, .password, .certificate:
      return key(of: user, client)
    }
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }

  static func key(of client: ClientAddress) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(client.networkKey)
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }
}

extension RateGate {
  /// Those that are left of `before` go on.
  static func made(_ limits: [RateLimit], after before: [RateGate]) -> [RateGate] {
    limits.map { limit in before.first { $0.limit == limit } ?? RateGate(limit) }
  }
}

/// One request. Belongs to a connection; what it holds is given back when that lets it go, however the request ends.
final class RouteStay {
  let care: RouteCare
  let began: Instant
  private var holdsPlace = false
  private var user: UInt64?

  /// The file that is being sent, and what of it is left.
  var file: ServedFile?
  var left: Range<UInt64> = 0..<0
  /// Bytes of it that were read in the turn of the loop that began then.
  var turn = Instant(nanoseconds: 0)
  var readInTurn = 0

  /// When all that was sent will have had its time, where the bandwidth is bounded.
  var due = Instant(nanoseconds: 0)
  var isPaceArmed = false
  /// The same of what the client sent.
  var uploadDue = Instant(nanoseconds: 0)
  /// When the timer's entry for it stands; nil when there is none.
  var uploadArmed: Instant?
  /// The request's body, while it is gathered.
  var gathering: UploadGathering?

  init(_ care: RouteCare, at now: Instant) {
    self.care = care
    began = now
  }

  deinit {
    if holdsPlace { care.inFlight.giveBack() }
    if let user { care.inFlight.giveBack(user) }
  }

  /// Takes the place of its user's, where the route counts them. False where there is none.
  func takePlace(of user: User?, _ client: ClientAddress) -> Bool {
    guard let most = care.terms.maxInFlightOfUser else { return true }
    let key = RouteCare.key(of: user, client)
    guard care.inFlight.take(key, most: most) else { return false }
    self.user = key
    return true
  }

  /// Takes the place of the route's, where it counts them. False where there is none.
  func takePlace() -> Bool {
    guard let most = care.terms.maxInFlight else { return true }
    guard care.inFlight.take(most: most) else { return false }
    holdsPlace = true
    return true
  }

  // MARK: Bandwidth

  /// Whether what was sent has had its time, or as good as.
  func mayGoOn(at now: Instant) -> Bool { due <= now }

  func took(_ count: Int, at now: Instant) {
    guard let bandwidth = care.terms.bandwidth else { return }
    due = max(due, now).advanced(by: Self.time(count, bandwidth))
  }

  private static func time(_ count: Int, _ bandwidth: Int) -> Interval {
    let time = UInt64(count).multipliedReportingOverflow(by: 1_000_000_000)
    return Interval(nanoseconds: time.overflow ? .max : time.partialValue / UInt64(bandwidth))
  }

  /// `count` bytes of the request's body have come.
  func received(_ count: Int, at now: Instant) {
    guard let bandwidth = care.terms.uploadBandwidth else { return }
    uploadDue = max(uploadDue, now).advanced(by: Self.time(count, bandwidth))
  }

  /// Whether no more of the request's body is to be taken yet.
  func holdsUpload(at now: Instant) -> Bool { uploadDue > now }

  /// Bytes of a response that are held at once where it is sent slowly: an eighth of a second's.
  var mostHeld: Int? { care.terms.bandwidth.map { max(4096, min($0 / 8, 128 << 10)) } }

  /// Bytes of a request's body that are read at once: the same where it is taken slowly.
  var readAtOnce: Int { care.terms.uploadBandwidth.map { max(4096, min($0 / 8, Limits.bodyChunk)) } ?? Limits.bodyChunk }

  /// Whether bodies may go by way of the kernel's pipes: not those that are taken ahead, nor those whose pace is bounded.
  var allowsPipes: Bool { care.terms.buffer == nil && care.terms.uploadBandwidth == nil }
}
