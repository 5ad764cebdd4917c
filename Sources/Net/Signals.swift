// Signals as events of a loop instead of interruptions of whatever ran.

internal import CLinux
internal import Glibc

/// The signals that mean something to us; see signal(7).
public enum Signal: Int32, CaseIterable, Sendable {
  /// SIGHUP
  case hangup = 1
  /// SIGINT
  case interrupt = 2
  /// SIGUSR1
  case user1 = 10
  /// SIGUSR2
  case user2 = 12
  /// SIGTERM
  case terminate = 15
}

public enum Signals {
  /// Keeps `signals` from interrupting: they wait until a `SignalReader` takes them. To be called in `main` before any thread starts:
  /// a thread begins with the mask of the one that started it. A program that we execute inherits the mask too.
  public static func block(_ signals: [Signal]) throws(NetError) {
    let numbers = signals.map(\.rawValue)
    try NetError.check(unsafe gh_signals_block(numbers, numbers.count), "block signals")
  }

  /// Makes writing to a socket or pipe whose reader is gone an error (EPIPE) instead of the process's end, in libraries too.
  public static func ignoreBrokenPipe() {
    _ = signal(SIGPIPE, SIG_IGN)
  }
}

/// Takes blocked signals one by one (signalfd(2)).
@safe public struct SignalReader: ~Copyable, Sendable {
  private let descriptorOwned: FileDescriptor

  /// For signals that are blocked in every thread.
  public init(_ signals: [Signal]) throws(NetError) {
    let numbers = signals.map(\.rawValue)
    let raw = unsafe gh_signalfd_create(numbers, numbers.count)
    try NetError.check(raw, "create a signalfd")
    descriptorOwned = FileDescriptor(owning: raw)
  }

  /// To be polled for reading.
  public var descriptor: Int32 { descriptorOwned.raw }

  /// The next pending signal, or nil. One that is sent again before it was taken comes once.
  public func next() -> Signal? {
    Signal(rawValue: gh_signalfd_next(descriptorOwned.raw))
  }
}
