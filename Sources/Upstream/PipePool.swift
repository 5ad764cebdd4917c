// The pipes of one worker: how many there are, and that those that nobody needs don't stay.

import Net
import Primitives

/// Each pipe has two descriptors and room in the kernel, of which a user has so much for all his pipes (pipe(7), pipe-user-pages-soft).
struct PipePool {
  /// Pipes at once, those that are not in use among them.
  let limit: Int
  /// How long one that nobody needs is kept.
  static let patience = Interval.seconds(10)
  /// Of them, those that are widened at once: a user's pipes share 64 MiB, unless he is privileged.
  static let wideLimit = 8
  /// How long none is asked for after the kernel has refused one.
  static let refusalPause = Interval.seconds(1)

  /// Those that are not in use, the newest last.
  private var spares: [(pipe: SplicePipe, since: Instant)] = []
  private(set) var count = 0
  private(set) var wideCount = 0
  private var refusedUntil = Instant(nanoseconds: 0)

  init(limit: Int) { self.limit = limit }

  /// An empty one; nil when there are as many as there may be, or the kernel grants none.
  mutating func take(at now: Instant) -> SplicePipe? {
    if let spare = spares.popLast() { return spare.pipe }
    guard count < limit, now >= refusedUntil else { return nil }
    guard let pipe = try? SplicePipe() else {
      refusedUntil = now.advanced(by: Self.refusalPause)
      return nil
    }
    count += 1
    return pipe
  }

  /// One in which something is left goes with it: what is in it is of no other request.
  mutating func giveBack(_ pipe: SplicePipe, at now: Instant) {
    if pipe.capacity > SplicePipe.usual {
      wideCount -= 1
      if pipe.isEmpty { pipe.resize(to: SplicePipe.usual) }
    }
    // One that the kernel would not narrow goes too, or it would be a wide one that is not counted as such.
    if pipe.isEmpty && pipe.capacity <= SplicePipe.usual { spares.append((pipe, now)) } else { count -= 1 }
  }

  /// For a flow that has proved fast: gives its pipe more room, where there is.
  mutating func widen(_ pipe: SplicePipe) {
    guard wideCount < Self.wideLimit, pipe.capacity <= SplicePipe.usual else { return }
    pipe.resize(to: SplicePipe.wide)
    if pipe.capacity > SplicePipe.usual { wideCount += 1 }
  }

  /// When `prune` has something to do: nil for never.
  var due: Instant? { spares.first.map { $0.since.advanced(by: Self.patience) } }

  /// Closes those that nobody has needed for a while.
  mutating func prune(at now: Instant) {
    while let due, due <= now {
      spares.removeFirst()
      count -= 1
    }
  }
}
