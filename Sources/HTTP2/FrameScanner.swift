// Looks at the frames that a client sends before libnghttp2 does: what kind each is and how much of it there is (RFC 9113 section 4.1), nothing
// else. What is an attack by its mere number is told here, before it has cost anything.

public import Primitives

/// Follows the frames of one connection, however their bytes were cut.
public struct FrameScanner: Sendable {
  /// The client's preface is left (RFC 9113 section 3.4), which libnghttp2 checks.
  private var prefaceLeft = 24
  /// Bytes of a frame's header that came so far.
  private var header = InlineArray<9, UInt8>(repeating: 0)
  private var headerCount = 0
  private var payloadLeft = 0
  /// The next byte says how much of the DATA frame is padding.
  private var awaitsPadding = false
  private var length = 0
  private var type: UInt8 = 0
  private var flags: UInt8 = 0
  private var blockFrames = 0
  private var blockBytes = 0
  private var isBlockOpen = false
  private var counts: FloodCounts
  private let blockLimit: Int
  /// Streams that are tunnels.
  private var tunnels: [Int32] = []
  /// The one that was looked for last.
  private var lastTunnel: Int32 = 0
  /// Whether many small pieces of a body are too many.
  private let countsTinyData: Bool

  /// Since when a field block is on its way that is not complete; nil when none is.
  public private(set) var blockBegan: Instant?
  /// Frames that were seen.
  public private(set) var frames: UInt64 = 0

  /// Most CONTINUATION frames of one block.
  static let continuations = 8
  /// Bytes of DATA below which a frame is hardly more than its header.
  static let tiny = 16
  /// SETTINGS_MAX_FRAME_SIZE, of which we send none: the default (RFC 9113 section 6.5.2).
  public static let frameSize = 16_384

  /// - Parameters:
  ///   - blockLimit: most bytes of one field block, as they are sent.
  ///   - resets: how many streams may be reset in one go.
  public init(blockLimit: Int, resets: Int) {
    self.blockLimit = blockLimit
    countsTinyData = true
    counts = FloodCounts(resets: UInt64(max(1, resets)))
  }

  /// For what a service sends us. It sends no preface; and how small the messages are in which it answers is its own affair.
  init(ofServerWith blockLimit: Int, resets: Int) {
    self.blockLimit = blockLimit
    countsTinyData = false
    prefaceLeft = 0
    counts = FloodCounts(resets: UInt64(max(1, resets)))
  }

  /// Follows `bytes`, which come after those of the last call. When it answers a flood nothing of them is to be read any more.
  public mutating func scan(_ bytes: Span<UInt8>, at now: Instant) -> Flood? {
    var i = 0
    if prefaceLeft > 0 {
      i = min(prefaceLeft, bytes.count)
      prefaceLeft -= i
    }
    while i < bytes.count {
      if payloadLeft > 0 {
        if awaitsPadding {
          awaitsPadding = false
          if let flood = tookData(length - 1 - Int(bytes[i]), now) { return flood }
        }
        let n = min(payloadLeft, bytes.count - i)
        payloadLeft -= n
        i += n
        if payloadLeft == 0 { endFrame() }
        continue
      }
      header[headerCount] = bytes[i]
      headerCount += 1
      i += 1
      guard headerCount == 9 else { continue }
      headerCount = 0
      if let flood = beginFrame(now) { return flood }
      if payloadLeft == 0 { endFrame() }
    }
    return nil
  }

  /// Whether the last byte that was scanned ended a frame.
  public var isBetweenFrames: Bool { prefaceLeft == 0 && headerCount == 0 && payloadLeft == 0 }

  private mutating func beginFrame(_ now: Instant) -> Flood? {
    length = Int(header[0]) << 16 | Int(header[1]) << 8 | Int(header[2])
    type = header[3]
    flags = header[4]
    payloadLeft = length
    frames &+= 1
    // libnghttp2 says so as well, but only now is it known before the frame's other bytes are waited for.
    if length > Self.frameSize { return .frameSize }
    switch type {
    case 0:
      let isPadded = flags & 0x8 != 0 && length > 0
      awaitsPadding = isPadded
      return isPadded ? nil : tookData(length, now)
    case 1:
      blockFrames = 0
      blockBytes = length
      isBlockOpen = true
      blockBegan = now
      return blockBytes > blockLimit ? .continuation : nil
    case 2: return note(.priority, now)
    case 3: return note(.reset, now)
    case 4: return note(.settings, now)
    case 6: return note(.ping, now)
    case 8: return note(.windowUpdate, now)
    case 9:
      blockFrames += 1
      blockBytes += length
      return blockFrames > Self.continuations || blockBytes > blockLimit ? .continuation : nil
    // PUSH_PROMISE and GOAWAY: the first is an error of the connection, the second of no use more than once.
    default: return note(.unknown, now)
    }
  }

  private mutating func tookData(_ count: Int, _ now: Instant) -> Flood? {
    // The end of a stream is worth a frame, and there is one for a request.
    if flags & 0x1 != 0 || count >= Self.tiny || count > 0 && !countsTinyData { return nil }
    // Messages are as short as people write them. What comes together goes on in one piece, and more comes when the service has taken it: such a
    // frame is no dearer than its bytes.
    if count > 0 && !tunnels.isEmpty && isTunnels() { return nil }
    return note(count > 0 ? .tinyData : .emptyData, now)
  }

  /// Whether the frame is a tunnel's.
  private mutating func isTunnels() -> Bool {
    let id = (0..<4).reduce(Int32(0)) { $0 << 8 | Int32(header[5 + $1]) } & 0x7FFF_FFFF
    if id == lastTunnel { return true }
    guard tunnels.contains(id) else { return false }
    lastTunnel = id
    return true
  }

  private mutating func endFrame() {
    // END_HEADERS, of HEADERS and CONTINUATION.
    if isBlockOpen && (type == 1 || type == 9) && flags & 0x4 != 0 {
      isBlockOpen = false
      blockBegan = nil
    }
  }

  // MARK: Counting

  /// One more of a kind that is counted elsewhere. True when it is one too many.
  mutating func notes(_ kind: Flood, at now: Instant) -> Bool { counts.note(kind, at: now) }

  private mutating func note(_ kind: Flood, _ now: Instant) -> Flood? { counts.note(kind, at: now) ? kind : nil }

  /// A response went out whole. One that cost us as little as it did the client pays for no other request.
  mutating func answered(isServed: Bool) {
    if isServed { counts.refund(.reset, 1) }
    counts.refund(.priority, 2)
    counts.refund(.unknown, 1)
    counts.refund(.windowUpdate, 4)
  }

  /// A stream has become a tunnel.
  public mutating func opened(_ tunnel: Int32) {
    tunnels.append(tunnel)
    counts.resets += 1
  }

  /// A tunnel's stream is closed: something useful was done, as with a response, and whoever reset it has dropped nothing.
  public mutating func closed(_ tunnel: Int32) {
    guard let i = tunnels.firstIndex(of: tunnel) else { return }
    tunnels.remove(at: i)
    if lastTunnel == tunnel { lastTunnel = 0 }
    counts.resets -= 1
    answered(isServed: true)
  }

  /// A DATA frame of `count` bytes went out. Some measure the line by a PING with each that they get (gRPC).
  mutating func sent(_ count: Int) {
    counts.refund(.windowUpdate, 2 + UInt64(count) / 2048)
    counts.refund(.ping, 1)
  }
}
