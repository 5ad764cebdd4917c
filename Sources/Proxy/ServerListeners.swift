// Where the server listens: at its start, at a reload, and at its end. What it takes, `ListeningPlaces` finds out; here it is done, and said.

import Net
import Primitives

extension Server {
  /// Gets every socket that the settings ask for before the first worker starts, so that a taken port stops the start: from the process whose
  /// place we take, from systemd, or from the kernel.
  func openPlaces(workers count: Int) throws {
    let passed: [SharedListener]
    let inherited: [ListeningPlace]
    if let arrival {
      passed = try arrival.sockets.filter { $0.role == .passed }.map { try Self.take($0, passedName: $0.place) }
      let sockets = Dictionary(grouping: arrival.sockets.filter { $0.role == .shared || $0.role == .own }, by: \.index)
      inherited = try sockets.sorted { $0.key < $1.key }.map { index, sockets in
        ListeningPlace(name: sockets[0].place, index: index, try sockets.map { try Self.take($0) })
      }
    } else {
      inherited = []
      passed = try activated.compactMap { one in
        do {
          return SharedListener(try .taking(FileDescriptor(owning: one.descriptor)), isShared: true, passedName: one.name)
        } catch {
          // What nobody asks for may be of any kind.
          guard !settings.listeners.contains(where: { $0.socket.address == .passed(name: one.name) }) else { throw error }
          errors.warning("\(error); systemd calls it '\(one.name)'")
          return nil
        }
      }
    }
    places = ListeningPlaces(workers: count, passed: passed, inherited: inherited)
    let plan = try places.plan(settings.listeners, now: Instant.now())
    for notice in plan.notices { errors.warning(notice) }
    unwanted = plan.closed.compactMap(\.index)
    places.adopt(plan, now: Instant.now())
    for name in places.unused { errors.warning("systemd passed a socket '\(name)' that no `listen` uses") }
    if settings.listeners.contains(where: { $0.socket.fastOpen > 0 }) && !KernelFile.servesFastOpen {
      errors.warning("`fastopen` has no effect: this machine does not take data with the first packet (sysctl net.ipv4.tcp_fastopen=3)")
    }
  }

  private static func take(_ socket: Handover.Socket, passedName: String? = nil) throws(NetError) -> SharedListener {
    SharedListener(
      try .taking(FileDescriptor(owning: socket.descriptor), file: socket.file), isShared: socket.role != .own, passedName: passedName)
  }

  /// Has the workers accept by the settings of now, and at the places of now but for some, and at no others.
  func tellListeners(without left: [Int] = []) {
    for (i, worker) in workers.enumerated() {
      let listeners = places.current.indices.filter { !left.contains($0) }.flatMap { place in
        places.current[place].sockets(of: i, among: workers.count).map { WorkerListener(socket: $0, traits: snapshot.listeners[place]) }
      }
      worker.mailbox.post(.listen(listeners))
    }
  }

  /// What a reload has made sure of. The settings are the new ones already; the workers hear of it next.
  func adopt(_ plan: ListeningPlaces.Plan, _ old: Settings) {
    places.adopt(plan, now: Instant.now())
    for place in plan.closed {
      for socket in place.sockets { socket.refuseNewcomers() }
      for text in place.description(old.listeners.first { $0.socket.place == place.name }) {
        errors.notice("no longer listening on \(text)")
      }
    }
    for i in plan.opened {
      for text in plan.places[i].description(settings.listeners[i]) { errors.notice("listening on \(text)") }
    }
    for notice in plan.notices { errors.warning("reload: \(notice)") }
  }

  /// Every address that is listened on, as a URL.
  var listening: [String] { zip(places.current, settings.listeners).flatMap { $0.description($1) } }

  /// The end: nobody listens at our places any more, but where another process has taken over.
  ///
  /// - Parameter left: with another process in our place, the indices of those that it did not take; nil without.
  func leavePlaces(left: [Int]?) {
    for (i, place) in places.current.enumerated() where left?.contains(i) ?? true {
      // Without a successor TCP sockets are closed at once: whoever comes is refused, and looks for another server.
      for socket in place.sockets where left != nil || socket.address.isUnix { socket.refuseNewcomers() }
    }
    if let left { tellListeners(without: left) }
    places.clear()
  }
}
