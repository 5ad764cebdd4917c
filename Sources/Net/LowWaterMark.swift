// How much has to wait on a socket before we are woken for it (SO_RCVLOWAT, socket(7)). While a large body comes fast, a wake-up for every
// packet costs more than moving the bytes.

internal import CLinux
internal import Glibc
public import Primitives

/// For the socket from which one large body is read. Raised only while bytes come fast, and never for longer than `patience` without
/// looking: a flow that falters is relayed as it comes.
public struct LowWaterMark: Sendable {
  /// A read of so many bytes is a large one.
  static let large = 128 << 10
  /// Bytes by large reads in a row after which a flow has proved fast. More than the kernel takes off our hands for a client that doesn't read:
  /// a higher mark also lets more wait in the kernel.
  static let proof = 16 << 20
  /// How long bytes below the mark may wait.
  static let patience = Interval.milliseconds(10)

  public private(set) var isRaised = false
  /// The mark while it is raised: what a pipe takes at once.
  private var bytes = SplicePipe.usual
  /// When to look although nothing was told: nil for never.
  public private(set) var due: Instant?
  /// Bytes by large reads in a row; below 0 after a flow has faltered.
  private var streak = 0

  public init() {}

  /// `n` bytes were read from `socket`, and `left` are to come. True when the flow has proved fast: then it is to be raised.
  public mutating func took(_ n: Int, left: UInt64, from socket: Int32, at now: Instant) -> Bool {
    streak = n >= Self.large ? min(streak + n, Self.proof) : min(streak, 0)
    if left < UInt64(2 * bytes) || (isRaised && n < Self.large) {
      lower(socket)
      return false
    }
    due = isRaised ? now.advanced(by: Self.patience) : nil
    // Its pipe may be widened for it: a mark that what is left can't reach would hold its end up until `patience` is over.
    return !isRaised && streak >= Self.proof && left >= UInt64(2 * SplicePipe.wide)
  }

  /// From now on `bytes` have to wait on `socket` before we are woken.
  public mutating func raise(to bytes: Int, _ socket: Int32, at now: Instant) {
    self.bytes = bytes
    set(socket, bytes)
    due = now.advanced(by: Self.patience)
  }

  /// `due` has passed. Look at the socket, then say `looked`.
  public mutating func lapsed() {
    due = nil
  }

  /// After such a look, for which there was room: when it brought nothing, the flow has faltered.
  public mutating func looked(_ socket: Int32) {
    guard isRaised && due == nil else { return }
    streak = -Self.proof
    lower(socket)
  }

  /// Any byte wakes us again, as it must whoever reads next.
  public mutating func lower(_ socket: Int32) {
    due = nil
    if isRaised { set(socket, 1) }
  }

  private mutating func set(_ socket: Int32, _ bytes: Int) {
    isRaised = bytes > 1
    _ = gh_socket_set(socket, Int32(SOL_SOCKET), Int32(SO_RCVLOWAT), Int32(bytes))
  }
}
