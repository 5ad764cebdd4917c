// What a client sends too much of is found by looking at the frames alone.

import HTTP2
import Primitives
import Testing

@Suite struct FrameScannerTests {
  private let begin = Instant(nanoseconds: 1_000_000_000_000)
  private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  private static func frame(_ type: UInt8, _ flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let n = payload.count
    return [UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255), type, flags] + (0..<4).map { UInt8(stream >> (24 - 8 * $0) & 255) }
      + payload
  }

  private static func flood(of frame: [UInt8], _ count: Int, at begin: Instant, every interval: Interval = .seconds(0)) -> Flood? {
    var scanner = FrameScanner(blockLimit: 40_000, resets: 200)
    var now = begin
    _ = scanner.scan(preface.span, at: now)
    for _ in 0..<count {
      if let flood = scanner.scan(frame.span, at: now) { return flood }
      now = now.advanced(by: interval)
    }
    return nil
  }

  @Test(arguments: [
    (frame(6, 0, [0, 0, 0, 0, 0, 0, 0, 0]), Flood.ping), (frame(4), .settings), (frame(2, 0, stream: 1, [0, 0, 0, 0, 16]), .priority),
    (frame(3, 0, stream: 1, [0, 0, 0, 8]), .reset), (frame(8, 0, [0, 0, 0, 1]), .windowUpdate), (frame(0, 0, stream: 1), .emptyData),
    (frame(0, 8, stream: 1, [3, 0, 0, 0]), .emptyData), (frame(0, 0, stream: 1, [1]), .tinyData), (frame(0x10, 0, [0, 0, 0, 1]), .unknown),
    (frame(0xEE), .unknown),
  ])
  func manyOfOneKindAreAFlood(_ frame: [UInt8], _ kind: Flood) {
    #expect(Self.flood(of: frame, 10_000, at: begin) == kind)
    // A few now and then are not.
    #expect(Self.flood(of: frame, 10_000, at: begin, every: .seconds(2)) == nil)
    #expect(Self.flood(of: frame, 15, at: begin) == nil)
  }

  /// Messages are small; what costs nothing to send is none.
  @Test func tunnelsMayHaveTinyDataAndEndByResets() {
    var scanner = FrameScanner(blockLimit: 40_000, resets: 10)
    _ = scanner.scan(Self.preface.span, at: begin)
    for id in 1...50 { scanner.opened(Int32(2 * id - 1)) }
    let messages = Self.frame(0, 0, stream: 99, [1]) + Self.frame(0, 0, stream: 1, [1]) + Self.frame(0, 8, stream: 7, [3, 1, 0, 0, 0])
    let many = Array(repeatElement(messages, count: 2000).joined())
    #expect(scanner.scan(many.span, at: begin) == nil)
    // All at once, as when a page is left.
    for id in 1...50 { #expect(scanner.scan(Self.frame(3, 0, stream: UInt32(2 * id - 1), [0, 0, 0, 8]).span, at: begin) == nil) }
    for id in 1...50 { scanner.closed(Int32(2 * id - 1)) }
    for _ in 0..<10 { #expect(scanner.scan(Self.frame(3, 0, stream: 101, [0, 0, 0, 8]).span, at: begin) == nil) }
    var flooded = scanner
    #expect(flooded.scan(Self.frame(3, 0, stream: 101, [0, 0, 0, 8]).span, at: begin) == .reset)
    // Empty ones say nothing, and other streams are no tunnels; nor are those that were.
    scanner.opened(201)
    for frame in [Self.frame(0, 0, stream: 201), Self.frame(0, 0, stream: 203, [1]), Self.frame(0, 0, stream: 1, [1])] {
      var copy = scanner
      #expect(copy.scan(Array(repeatElement(frame, count: 5000).joined()).span, at: begin) != nil)
    }
  }

  @Test func dataAndEndsOfStreamsAreNone() {
    #expect(Self.flood(of: Self.frame(0, 1, stream: 1), 100_000, at: begin) == nil)
    #expect(Self.flood(of: Self.frame(0, 0, stream: 1, Array(repeating: 1, count: 100)), 100_000, at: begin) == nil)
    #expect(Self.flood(of: Self.frame(1, 5, stream: 1, [0x82]), 100_000, at: begin) == nil)
  }

  @Test func aFieldBlockIsBounded() {
    var frames = FrameScanner(blockLimit: 40_000, resets: 200)
    _ = frames.scan(Self.preface.span, at: begin)
    #expect(frames.scan(Self.frame(1, 0, stream: 1).span, at: begin) == nil)
    #expect(frames.blockBegan == begin)
    for _ in 0..<8 { #expect(frames.scan(Self.frame(9, 0, stream: 1).span, at: begin) == nil) }
    #expect(frames.scan(Self.frame(9, 0, stream: 1).span, at: begin) == .continuation)
    var bytes = FrameScanner(blockLimit: 40_000, resets: 200)
    _ = bytes.scan(Self.preface.span, at: begin)
    #expect(bytes.scan(Self.frame(1, 0, stream: 1, Array(repeating: 0, count: 16_000)).span, at: begin) == nil)
    #expect(bytes.scan(Self.frame(9, 0, stream: 1, Array(repeating: 0, count: 16_000)).span, at: begin) == nil)
    #expect(bytes.scan(Self.frame(9, 0, stream: 1, Array(repeating: 0, count: 16_000)).span, at: begin) == .continuation)
    var whole = FrameScanner(blockLimit: 40_000, resets: 200)
    _ = whole.scan(Self.preface.span, at: begin)
    _ = whole.scan((Self.frame(1, 0, stream: 1, [0x82]) + Self.frame(9, 4, stream: 1, [0x82])).span, at: begin)
    #expect(whole.blockBegan == nil && whole.isBetweenFrames)
  }

  @Test func aFrameTooLargeIsFoundAtItsHeader() {
    var scanner = FrameScanner(blockLimit: 40_000, resets: 200)
    _ = scanner.scan(Self.preface.span, at: begin)
    #expect(scanner.scan([0, 0x40, 1, 0, 0, 0, 0, 0, 1].span, at: begin) == .frameSize)
  }

  @Test func everyCutIsReadTheSame() {
    let frames =
      Self.preface + Self.frame(4) + Self.frame(1, 0, stream: 1, [0x82, 0x84]) + Self.frame(9, 4, stream: 1, [0x86])
      + Self.frame(0, 8, stream: 1, [1, 65, 0]) + Self.frame(0, 1, stream: 1) + Self.frame(6, 0, Array(repeating: 7, count: 8))
    for cut in 0...frames.count {
      var scanner = FrameScanner(blockLimit: 40_000, resets: 200)
      #expect(scanner.scan(Array(frames[..<cut]).span, at: begin) == nil)
      #expect(scanner.scan(Array(frames[cut...]).span, at: begin) == nil)
      #expect(scanner.frames == 6 && scanner.isBetweenFrames && scanner.blockBegan == nil)
    }
  }
}
