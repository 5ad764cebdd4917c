// When and from where API keys were last used: noted by workers in passing, taken and written down by somebody who may wait.

internal import Crypto
public import Primitives
internal import Synchronization

/// Shared by all workers and kept over reloads. Bounded: what is not taken in time is noted again a minute later.
public final class KeyUses: Sendable {
  public struct Use: Equatable, Sendable {
    public var user: [UInt8]
    public var key: [UInt8]
    /// The beginning of the digest, which tells a key from one of the same name that came before it.
    public var identity: UInt64
    public var time: Timestamp
    public var client: ClientAddress

    public init(user: [UInt8], key: [UInt8], identity: UInt64, time: Timestamp, client: ClientAddress) {
      self.user = user
      self.key = key
      self.identity = identity
      self.time = time
      self.client = client
    }
  }

  /// Uses that wait to be taken.
  static let most = 65_536

  private let waiting = Mutex<[Use]>([])

  public init() {}

  /// Notes that `key` was used, at most once a minute for each key: all other times this is one relaxed load. The lock is held for an append.
  func note(_ key: APIKey, of owner: User, _ context: RequestContext) {
    let minute = UInt32(truncatingIfNeeded: context.now.seconds / 60)
    let noted = key.notedMinute.load(ordering: .relaxed)
    if noted == minute { return }
    // Of several workers one goes on.
    guard key.notedMinute.compareExchange(expected: noted, desired: minute, ordering: .relaxed).exchanged else { return }
    let use = Use(user: owner.name, key: key.name, identity: key.digest.prefix, time: context.now, client: context.client)
    waiting.withLock { waiting in
      if waiting.count < Self.most { waiting.append(use) }
    }
  }

  /// What was noted since the last taking, in order.
  public func take() -> [Use] {
    waiting.withLock { waiting in
      defer { waiting = [] }
      return waiting
    }
  }
}
