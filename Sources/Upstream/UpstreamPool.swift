// What one worker keeps for one upstream between requests: transfers whose memory and fixed options are used again, and idle connections.

import Primitives

/// Transfers and connections of one upstream that wait for their next request.
public final class UpstreamPool {
  public let options: UpstreamOptions
  private var idle: [Transfer] = []
  /// Transfers under way.
  var running = 0
  /// Transfers kept for later: a burst's worth, not its peak. One of libcurl's holds some 10 KiB.
  static let idleLimit = 256

  /// Idle connections of our own engine, the newest last: that is used first, so that those beyond what is needed grow old and go.
  var connections: [HTTP1Connection] = []
  /// Handles that libcurl makes connections with, everything set.
  var connectors: [Connector] = []

  /// No request will be started with it any more: transfers and connections end when they are done. Without this a pool and what it keeps,
  /// which know each other, would stay for ever.
  private(set) var isRetired = false

  init(options: UpstreamOptions) {
    self.options = options
  }

  deinit {
    closeIdle()
  }

  /// A reload has put another pool in its place.
  public func retire() {
    isRetired = true
    idle.removeAll()
    connectors.removeAll()
    closeIdle()
  }

  private func closeIdle() {
    for connection in connections { connection.closeIdle() }
    connections.removeAll()
  }

  func take() -> Transfer? { idle.popLast() }

  func give(_ transfer: Transfer) {
    if isRetired { return }
    if idle.count < Self.idleLimit { idle.append(transfer) }
  }
}
