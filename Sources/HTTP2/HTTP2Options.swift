// The bounds of this room, in one place. Config may change the first ones; the rest is fixed.

/// What a client may do with one connection.
public struct HTTP2Options: Equatable, Sendable {
  /// Requests that may be under way at once, those that the client has reset and that are not ended yet included (RFC 9113 section 5.1.2), 1 to 1,000.
  public var maxStreams = 128
  /// Bytes of a request's body that may come before any of them was used (RFC 9113 section 6.9.2), 16,384 to 16 MiB.
  public var streamWindow = 64 << 10
  /// Requests that a client may reset in one go, and as many more as were answered; beyond ten a second its connection ends. 10 to 100,000.
  public var resets = 200

  public init() {}

  /// What is wrong with these numbers: empty when nothing is. Each line names the directive.
  public func contradictions() -> [String] {
    var found: [String] = []
    if !(1...1000).contains(maxStreams) { found.append("max_streams must be 1 to 1000") }
    if !(16_384...(16 << 20)).contains(streamWindow) { found.append("stream_window must be 16k to 16m bytes") }
    if !(10...100_000).contains(resets) { found.append("resets must be 10 to 100000") }
    return found
  }
}

/// What no operator has asked to turn.
public enum HTTP2Limits {
  /// Bytes of bodies that may come on all streams of a connection together before any of them was used. Beyond it other uploads of the same client
  /// wait as well; below it no stream keeps another one waiting.
  public static let connectionWindow = 4 << 20
  /// Bytes of frames that wait to be written beyond which no more are made.
  public static let outHigh = 128 << 10
  /// Bytes of an answer's body that wait on a stream below which its owner is asked for more.
  static let drainedBelow = 16 << 10
  /// Bytes that a client must take of what waits on a stream for it to be taken for reading; or all of it.
  static let progress = 4 << 10
  /// Bytes of texts of heads that are recorded before they are taken.
  static let recordedBytes = 64 << 10
  /// Answers to PING and SETTINGS that may wait for a client who doesn't read (nghttp2_option_set_max_outbound_ack).
  static let waitingAcknowledgements = 100
  /// Frames that may wait for a client who doesn't read, beside four for each stream.
  static let queuedFrames = 1000
  /// Of an upstream's head, as `nghttp2_hd_deflate_bound` counts: beyond what a ResponseHead may hold.
  static let responseHeadBytes = 512 << 10
  /// Settings in one SETTINGS frame.
  static let settings = 32
  /// Streams whose memory a connection keeps for the next.
  static let keptStreams = 16
  /// Memory that each of them may keep.
  static let keptBuffer = 4 << 10
}
