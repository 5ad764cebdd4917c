// All places that are listened on: which sockets a configuration keeps, which it needs anew, and which it leaves. Nothing changes for clients
// before everything is to be had.

import Net
import Primitives

/// Belongs to the main thread.
struct ListeningPlaces {
  /// In the order of the settings' listeners.
  private(set) var current: [ListeningPlace] = []
  /// What systemd has passed, whether a `listen` names it or not: a later configuration may.
  let passed: [SharedListener]
  let workers: Int
  /// Places that were left a moment ago, whose sockets may still be open: for who comes back to one.
  private var left: [(options: ListenOptions, at: Instant)] = []
  /// Longer than a worker takes to close what was left.
  private static let memory = Interval.seconds(10)

  /// - Parameter inherited: what another process left to us.
  init(workers: Int, passed: [SharedListener] = [], inherited: [ListeningPlace] = []) {
    self.workers = workers
    self.passed = passed
    current = inherited
  }

  /// What a configuration comes to.
  struct Plan {
    fileprivate(set) var places: [ListeningPlace] = []
    /// Indices of those among `places` that are new.
    fileprivate(set) var opened: [Int] = []
    /// Those that it leaves.
    fileprivate(set) var closed: [ListeningPlace] = []
    /// What is to be said of it.
    fileprivate(set) var notices: [String] = []
    fileprivate var changed: [(socket: SharedListener, before: ListenOptions?)] = []
  }

  /// Gets all sockets that `listeners` ask for: those there are, and new ones. Throws when one is not to be had, and all is then as it was.
  func plan(_ listeners: [ListenerSettings], now: Instant) throws(NetError) -> Plan {
    var plan = Plan()
    plan.closed = current
    do throws(NetError) {
      for listener in listeners { try add(listener.socket, to: &plan, now: now) }
    } catch {
      undo(plan)
      throw error
    }
    return plan
  }

  /// What was changed where it stands is set back. New sockets close as the plan goes; their files go now.
  private func undo(_ plan: Plan) {
    for i in plan.opened { for socket in plan.places[i].sockets where socket.passedName == nil { socket.listener.removeFile() } }
    for (socket, before) in plan.changed.reversed() {
      if let before { try? socket.listener.apply(before) }
    }
  }

  /// The plan holds from now on. Who listened on what it closes is to be told.
  mutating func adopt(_ plan: Plan, now: Instant) {
    current = plan.places
    left.removeAll { now >= $0.at.advanced(by: Self.memory) }
    left += plan.closed.compactMap { place in place.bound.map { ($0, now) } }
  }

  /// Names of what systemd has passed and nobody wants.
  var unused: [String] {
    passed.filter { socket in !current.contains { $0.sockets.contains { $0 === socket } } }.compactMap(\.passedName)
  }

  /// Has listen whatever waited until nothing can fail any more. Throws the first error, after all were tried.
  mutating func open() throws(NetError) {
    var failure: NetError?
    for i in current.indices { do throws(NetError) { try current[i].open() } catch { failure = failure ?? error } }
    if let failure { throw failure }
  }

  /// Sets back what a process has changed that was to take over, and did not. Throws the first error, after all were tried.
  func reassert() throws(NetError) {
    var failure: NetError?
    for place in current { do throws(NetError) { try place.reassert() } catch { failure = failure ?? error } }
    if let failure { throw failure }
  }

  /// Lets go of all.
  mutating func clear() { current = [] }

  private func add(_ options: ListenOptions, to plan: inout Plan, now: Instant) throws(NetError) {
    if let i = plan.closed.firstIndex(where: { $0.name == options.place }) {
      return try keep(plan.closed.remove(at: i), options, &plan)
    }
    let sockets = if let found = try passed(for: options, plan) { found } else { try bind(options, now: now) }
    plan.opened.append(plan.places.count)
    plan.places.append(ListeningPlace(options, sockets))
  }

  /// The sockets that are there go on; what can be changed of them is.
  private func keep(_ place: ListeningPlace, _ options: ListenOptions, _ plan: inout Plan) throws(NetError) {
    var place = place
    let before = place.options
    place.options = options
    if before != options {
      for socket in place.sockets where socket.passedName == nil {
        plan.changed.append((socket, before))
        try socket.listener.apply(options)
      }
    }
    if let first = place.sockets.first, first.passedName == nil, !first.address.isUnix, first.isShared == options.reusesPort {
      plan.notices.append("`reuseport` of \(place.name) stays as it was: changing it takes a start")
    }
    // While another process serves by these sockets, this one may yet fail, and nobody then accepts from those of its own.
    try place.complete(for: workers, listening: before != nil)
    plan.places.append(place)
  }

  /// What systemd has passed for it: under the name that it asks for, or bound to its very address. Nil where it is ours to bind.
  private func passed(for options: ListenOptions, _ plan: Plan) throws(NetError) -> [SharedListener]? {
    let found: [SharedListener]
    if case .passed(let name) = options.address {
      found = passed.filter { $0.passedName == name }
      if found.isEmpty { throw .notPassed(name: name) }
    } else {
      let isFixed = options.interface == nil && (options.address.port != 0 || options.address.isUnix)
      found = isFixed ? passed.filter { $0.address == options.address } : []
      if found.isEmpty { return nil }
    }
    for place in plan.places + plan.closed where place.sockets.contains(where: { socket in found.contains { $0 === socket } }) {
      // One that is left by its other name may be taken over; two at once not.
      if plan.places.contains(where: { $0.name == place.name }) { throw .passedTwice(place: options.place, other: place.name) }
    }
    return found
  }

  private func bind(_ options: ListenOptions, now: Instant) throws(NetError) -> [SharedListener] {
    if options.address.isUnix || !options.reusesPort { return [SharedListener(try Listener.bind(options), isShared: true)] }
    // Where we listen ourselves, on an address that covers this one or the other way round, the kernel can't tell us from others.
    let isOurs =
      current.contains { $0.bound?.overlaps(options) ?? true }
      || left.contains { $0.options.overlaps(options) && now < $0.at.advanced(by: Self.memory) }
    if !isOurs { try Listener.ensureFree(options) }
    var place = ListeningPlace(options, [SharedListener(try Listener.bind(options, reusePort: true), isShared: false)])
    // Port 0: the kernel chose for the first, the others follow.
    try place.complete(for: workers)
    return place.sockets
  }
}
