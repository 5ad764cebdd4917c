// What a client may send that costs it little and us more, and how much of each it may send. Counted for each connection.

import Primitives

/// Kinds of frames of which many are an attack.
public enum Flood: UInt8, CaseIterable, Sendable {
  /// RST_STREAM: requests that are begun and dropped ("rapid reset", CVE-2023-44487).
  case reset
  /// Errors that make us reset a stream ("MadeYouReset", CVE-2025-8671).
  case provoked
  case ping, settings, priority, windowUpdate
  /// DATA without a byte of data that does not end its stream.
  case emptyData
  /// DATA of so few bytes that the frame is most of it.
  case tinyData
  /// Frames of types that nobody knows, PRIORITY_UPDATE among them.
  case unknown
  /// A field block of too many frames or bytes (CVE-2024-27316).
  case continuation
  /// A frame longer than we said that we take, before its bytes came.
  case frameSize
  /// A field block that is far larger when it is read than when it was sent (HPACK's table).
  case fieldSize

  /// How many are taken at once, and how many more each second.
  var allowance: (burst: UInt64, perSecond: UInt64) {
    switch self {
    // A page that is left cancels all of its pictures; a person who searches while typing, a request for each key.
    case .reset: (200, 10)
    case .provoked: (100, 5)
    // Some clients measure the line with every read.
    case .ping: (250, 25)
    case .settings: (20, 1)
    // One or two for a request, from those who still send them.
    case .priority: (500, 50)
    // Two for each DATA frame that we sent, from clients that give credit at once: `refund`.
    case .windowUpdate: (2000, 200)
    case .emptyData: (100, 10)
    case .tinyData: (4000, 1000)
    case .unknown: (250, 25)
    case .continuation, .frameSize, .fieldSize: (1, 1)
    }
  }

  /// For the log.
  public var words: StaticString {
    switch self {
    case .reset: "too many requests reset by the client"
    case .provoked: "too many requests that had to be reset"
    case .ping: "too many PING frames"
    case .settings: "too many SETTINGS frames"
    case .priority: "too many PRIORITY frames"
    case .windowUpdate: "too many WINDOW_UPDATE frames"
    case .emptyData: "too many empty DATA frames"
    case .tinyData: "too many tiny DATA frames"
    case .unknown: "too many frames of unknown types"
    case .continuation: "header block of too many frames or bytes"
    case .fieldSize: "header block far larger than its limit"
    case .frameSize: "frame larger than SETTINGS_MAX_FRAME_SIZE"
    }
  }
}

/// A leaky bucket for each kind: one number each, the time at which it would be empty.
struct FloodCounts: Sendable {
  private var empty = InlineArray<12, UInt64>(repeating: 0)
  /// In place of `Flood.reset.allowance.burst`, and as many more as there are tunnels: their end is a reset as often as not.
  var resets: UInt64

  init(resets: UInt64) {
    self.resets = resets
  }

  /// Notes one of that kind. True when it is one too many.
  mutating func note(_ kind: Flood, at now: Instant) -> Bool {
    let (burst, perSecond) = kind.allowance
    let step = 1_000_000_000 / perSecond
    let level = max(empty[Int(kind.rawValue)], now.nanoseconds) + step
    empty[Int(kind.rawValue)] = level
    return level - now.nanoseconds > step * (kind == .reset ? resets : burst)
  }

  /// Forgives `n` of that kind, for something useful that was done.
  mutating func refund(_ kind: Flood, _ n: UInt64) {
    let back = n * (1_000_000_000 / kind.allowance.perSecond)
    let level = empty[Int(kind.rawValue)]
    empty[Int(kind.rawValue)] = level > back ? level - back : 0
  }
}
