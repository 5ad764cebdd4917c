// The easy handles of one upstream in one worker: everything that doesn't change is set already, so a request sets only what differs.

import Primitives

/// Transfers of one upstream that wait for their next request.
public final class HandlePool {
  public let options: UpstreamOptions
  private var idle: [Transfer] = []
  /// Transfers under way.
  var running = 0
  /// Handles kept for later: a burst's worth, not its peak. One holds some 10 KiB.
  static let idleLimit = 256

  /// No request will be started with it any more: handles end when their transfers do. Without this a pool and its idle transfers, which know
  /// each other, would stay for ever.
  private var isRetired = false

  init(options: UpstreamOptions) {
    self.options = options
  }

  /// A reload has put another pool in its place.
  public func retire() {
    isRetired = true
    idle.removeAll()
  }

  func take() -> Transfer? { idle.popLast() }

  func give(_ transfer: Transfer) {
    if isRetired { return }
    if idle.count < Self.idleLimit { idle.append(transfer) }
  }
}
