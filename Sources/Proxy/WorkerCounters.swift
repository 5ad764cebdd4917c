// What a worker tells of itself while it serves: for `gatehouse status`.

import Synchronization

/// Written by one worker once a turn of its loop, read by the main thread.
final class WorkerCounters: Sendable {
  private let openConnections = Atomic<Int>(0)
  private let openTunnels = Atomic<Int>(0)
  private let begunRequests = Atomic<UInt64>(0)

  /// Clients' connections that are open.
  var connections: Int { openConnections.load(ordering: .relaxed) }
  /// Those of them that are tunnels.
  var tunnels: Int { openTunnels.load(ordering: .relaxed) }
  /// Requests whose heads were read, since the start.
  var requests: UInt64 { begunRequests.load(ordering: .relaxed) }

  func set(connections: Int, requests: UInt64, tunnels: Int) {
    openConnections.store(connections, ordering: .relaxed)
    openTunnels.store(tunnels, ordering: .relaxed)
    begunRequests.store(requests, ordering: .relaxed)
  }
}
