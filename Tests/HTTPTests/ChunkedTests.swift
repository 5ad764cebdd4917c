// Chunked coding in both directions. Every input is also read cut at every byte, and byte by byte.

import HTTP
import Primitives
import Testing

/// What a decoder makes of a whole input.
struct Decoded: Equatable {
  var body: [UInt8] = []
  var trailers: [String] = []
  var failure: HeadFailure?
  /// The number of bytes that the message took, when it ended.
  var consumed: Int?
}

/// Feeds `pieces` one after the other.
func decode(_ pieces: [[UInt8]], _ limits: ChunkLimits = ChunkLimits()) -> Decoded {
  var decoder = ChunkedDecoder(limits: limits)
  var decoded = Decoded()
  var total = 0
  for piece in pieces {
    var start = 0
    feeding: while true {
      switch decoder.next(piece.span.extracting(start..<piece.count)) {
      case .needMore(let n):
        // All that can be used is taken.
        #expect(start + n == piece.count)
        total += n
        break feeding
      case .data(let at, let count):
        #expect(count > 0)
        decoded.body += piece[(start + at)..<(start + at + count)]
        start += at + count
        total += at + count
      case .end(let n):
        decoded.consumed = total + n
        for field in decoder.trailers.fields {
          decoded.trailers.append(text(decoder.trailers.bytes[field.name]) + ": " + text(decoder.trailers.bytes[field.value]))
        }
        #expect(decoded.body.count == Int(decoder.bodyCount))
        return decoded
      case .failed(let failure):
        // How far the body was answered before the failure depends on the cuts; that it failed, and how, must not.
        return Decoded(failure: failure)
      }
    }
  }
  return decoded
}

func decodeAtEverySplit(
  _ input: [UInt8], _ limits: ChunkLimits = ChunkLimits(), sourceLocation: SourceLocation = #_sourceLocation
) -> Decoded {
  let whole = decode([input], limits)
  for n in 0...input.count {
    let cut = decode([Array(input[..<n]), Array(input[n...])], limits)
    if cut != whole { Issue.record("cut at \(n): \(cut), whole: \(whole)", sourceLocation: sourceLocation) }
  }
  let single = decode(input.map { [$0] }, limits)
  if single != whole { Issue.record("byte by byte: \(single), whole: \(whole)", sourceLocation: sourceLocation) }
  return whole
}

@Suite struct ChunkedTests {
  @Test(arguments: [
    ("0\r\n\r\n", ""), ("000\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
    ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"), ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"), ("5;ext\r\nhello\r\n0;x=y\r\n\r\n", "hello"),
    ("5 ; a=\"b c\"\r\nhello\r\n0\t;\r\n\r\n", "hello"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
  ])
  func chunksAreReadAndNothingBehindThem(_ input: String, _ body: String) {
    let decoded = decodeAtEverySplit(bytes(input + "GET / HTTP/1.1"))
    #expect(decoded == Decoded(body: bytes(body), consumed: input.utf8.count))
  }

  @Test(arguments: [
    ("\r\n", HeadFailure.invalidChunkSize), ("g\r\n", .invalidChunkSize), ("-5\r\n", .invalidChunkSize), ("+5\r\n", .invalidChunkSize),
    ("0x5\r\n", .invalidChunkSize), (" 5\r\n", .invalidChunkSize), ("5 \r\n", .invalidChunkSize), ("5\t\r\n", .invalidChunkSize),
    (";x\r\n", .invalidChunkSize), ("5,\r\n", .invalidChunkSize), ("5h\r\n", .invalidChunkSize), ("5 5\r\n", .invalidChunkSize),
    ("\n", .invalidChunkSize), ("5\n", .bareLineFeed), ("5;x\n", .bareLineFeed), ("5\rx", .bareCarriageReturn),
    ("5;x\ry", .bareCarriageReturn),
    ("5;\u{0}\r\n", .invalidChunkExtension), ("5;a\u{7F}\r\n", .invalidChunkExtension), ("00000000000000005\r\n", .chunkSizeTooLarge),
    ("10000000000000000\r\n", .chunkSizeTooLarge), ("ffffffffffffffff\r\n", .chunkSizeTooLarge),
    ("8000000000000000\r\n", .chunkSizeTooLarge),
    ("5\r\nhelloX\r\n", .missingChunkEnd), ("5\r\nhello\n0\r\n", .missingChunkEnd), ("5\r\nhello\r0\r\n", .missingChunkEnd),
    ("5\r\nhello0\r\n\r\n", .missingChunkEnd), ("5\r\nhello\r\n\r\n", .invalidChunkSize),
    ("1\r\na\r\n7fffffffffffffff\r\n", .chunkSizeTooLarge),
    ("\u{0}", .invalidChunkSize), ("0\r\n\r", nil), ("7fffffffffffffff\r\nabc", nil), ("", nil), ("5\r\nhello", nil), ("0\r\n", nil),
  ])
  func badChunkSizeIsRefused(_ input: String, _ failure: HeadFailure?) {
    let decoded = decodeAtEverySplit(bytes(input))
    #expect(decoded.failure == failure)
    #expect(decoded.consumed == nil)
  }

  @Test func chunkLineIsBounded() {
    let limits = ChunkLimits(line: 32)
    #expect(decodeAtEverySplit(bytes("5;" + String(repeating: "x", count: 28) + "\r\nhello\r\n0\r\n\r\n"), limits).body == bytes("hello"))
    #expect(decodeAtEverySplit(bytes("5;" + String(repeating: "x", count: 29) + "\r\n"), limits).failure == .chunkLineTooLong)
    #expect(decodeAtEverySplit(bytes("5" + String(repeating: " ", count: 31)), limits).failure == .chunkLineTooLong)
  }

  /// One byte of body in each chunk with a long extension: the sender's right is bounded for the message, not for the line alone.
  @Test func chunkExtensionsAreBoundedInAll() {
    let limits = ChunkLimits(line: 64, extensions: 100)
    let chunk = "1;" + String(repeating: "x", count: 19) + "\r\na\r\n"
    #expect(decodeAtEverySplit(bytes(String(repeating: chunk, count: 5) + "0\r\n\r\n"), limits).body.count == 5)
    #expect(decodeAtEverySplit(bytes(String(repeating: chunk, count: 6) + "0\r\n\r\n"), limits).failure == .tooManyChunkExtensions)
    // As many again as there is body.
    let large = "40;" + String(repeating: "x", count: 19) + "\r\n" + String(repeating: "a", count: 64) + "\r\n"
    #expect(decode([bytes(String(repeating: large, count: 50) + "0\r\n\r\n")], limits).body.count == 3200)
  }

  @Test func trailersAreRead() {
    let decoded = decodeAtEverySplit(bytes("1\r\na\r\n0\r\nX-Checksum: abc \r\nx-b:\r\n\r\nrest"))
    #expect(decoded.body == bytes("a"))
    #expect(decoded.trailers == ["X-Checksum: abc", "x-b: "])
    #expect(decoded.consumed == 35)
  }

  @Test(arguments: [
    "Transfer-Encoding: chunked", "Content-Length: 5", "Host: b", "Authorization: Basic eA==", "Connection: close", "TE: x", "Trailer: x",
    "content-type: x", "X-Forwarded-For: 1", "Forwarded: for=1", "Cookie: a", "Expect: x", "Proxy-Authorization: x", "Upgrade: x",
    "Set-Cookie: a", "Content-Encoding: gzip", "Keep-Alive: 1",
  ])
  func framingRoutingAndIdentityFieldsInTrailersAreRefused(_ line: String) {
    #expect(decodeAtEverySplit(bytes("0\r\n\(line)\r\n\r\n")).failure == .forbiddenTrailer)
  }

  @Test(arguments: [
    (": x", HeadFailure.emptyFieldName), ("X : y", .spaceBeforeColon), ("X: y\r\n z", .obsoleteFold), ("X", .invalidFieldName),
    ("X: a\nY: b", .bareLineFeed), ("X: a\rb", .bareCarriageReturn), ("X: \u{0}", .invalidFieldValue),
    ("Content_Length: 5", .framingLookAlike),
    ("\rX", .bareCarriageReturn), ("\nX", .bareLineFeed),
  ])
  func trailersAreAsStrictAsFields(_ line: String, _ failure: HeadFailure) {
    #expect(decodeAtEverySplit(bytes("0\r\n\(line)\r\n\r\n")).failure == failure)
  }

  @Test func trailersAreBounded() {
    let limits = ChunkLimits(trailers: 32, trailerCount: 2)
    #expect(decodeAtEverySplit(bytes("0\r\nX: " + String(repeating: "a", count: 27) + "\r\n\r\n"), limits).trailers.count == 1)
    #expect(decodeAtEverySplit(bytes("0\r\nX: " + String(repeating: "a", count: 28) + "\r\n\r\n"), limits).failure == .trailersTooLarge)
    #expect(decodeAtEverySplit(bytes("0\r\n" + String(repeating: "a", count: 200)), limits).failure == .trailersTooLarge)
    #expect(decodeAtEverySplit(bytes("0\r\nA: b\r\nC: d\r\n\r\n"), limits).trailers.count == 2)
    #expect(decodeAtEverySplit(bytes("0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"), limits).failure == .tooManyTrailers)
    #expect(HeadFailure.tooManyTrailers.status == 431 && HeadFailure.trailersTooLarge.status == 431)
  }

  @Test func aDecoderIsUsedAgainAfterReset() {
    var decoder = ChunkedDecoder(limits: ChunkLimits())
    var event = decoder.next(bytes("0\r\nX: y\r\n\r\n").span)
    #expect(event == .end(consumed: 11))
    event = decoder.next(bytes("more").span)
    #expect(event == .end(consumed: 0))
    decoder.reset()
    #expect(decoder.trailers.isEmpty)
    event = decoder.next(bytes("1\r\na").span)
    #expect(event == .data(start: 3, count: 1))
    event = decoder.next(bytes("x").span)
    #expect(event == .failed(.missingChunkEnd))
    event = decoder.next(bytes("\r\n").span)
    #expect(event == .failed(.missingChunkEnd))
  }

  @Test func whatIsEncodedIsDecoded() {
    var random = SeededGenerator(seed: 7)
    for _ in 0..<50 {
      var out = ByteBuffer()
      var body: [UInt8] = []
      for _ in 0..<Int.random(in: 0..<6, using: &random) {
        let part = (0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        body += part
        ChunkedEncoder.appendChunk(part.span, to: &out)
      }
      ChunkedEncoder.appendLast(to: &out)
      #expect(decodeAtEverySplit(out.array()) == Decoded(body: body, consumed: out.count))
    }
  }

  @Test func trailersAreWrittenAsTheyCame() {
    var decoder = ChunkedDecoder(limits: ChunkLimits())
    _ = decoder.next(bytes("0\r\nX-Sum:  a\r\nX-sum: b\r\n\r\n").span)
    var out = ByteBuffer()
    ChunkedEncoder.appendLast(decoder.trailers, to: &out)
    #expect(text(out.span) == "0\r\nX-Sum: a\r\nX-sum: b\r\n\r\n")
    out.removeAll()
    ChunkedEncoder.appendHeader(count: 0xABC, to: &out)
    ChunkedEncoder.appendEnd(to: &out)
    #expect(text(out.span) == "abc\r\n\r\n")
  }
}
