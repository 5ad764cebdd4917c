// Bodies of responses: how each is delimited (RFC 9112 section 6.3), wherever it is cut, whichever way it is read.

import HTTP
import Primitives
import Testing

@Suite struct ResponseBodyReaderTests {
  private func head(_ lines: String...) -> ResponseHead {
    var head = ResponseHead()
    var last = ResponseLine.more
    for line in lines + [""] { last = head.line(bytes(line + "\r\n").span, limits: HeadLimits()) }
    #expect(last == .final)
    return head
  }

  private struct Read: Equatable {
    var body: [UInt8] = []
    /// Bytes consumed when it was complete; nil when it isn't.
    var end: Int?
    var failure: HeadFailure?
    var trailers: [String] = []
  }

  /// Reads `input` in pieces that end at `ends`, keeping what was not consumed, as a transfer does.
  private func read(_ reader: inout ResponseBodyReader, _ input: [UInt8], ends: [Int]) -> Read {
    var out = Read()
    var start = 0
    for end in ends {
      feeding: while true {
        switch reader.next(input.span.extracting(start..<end)) {
        case .needMore(let n):
          start += n
          break feeding
        case .data(let at, let count):
          #expect(count > 0)
          out.body += input[(start + at)..<(start + at + count)]
          start += at + count
        case .end(let n):
          out.end = start + n
          let trailers = reader.trailers
          out.trailers = trailers.fields.map { text(trailers.bytes[$0.name]) + ": " + text(trailers.bytes[$0.value]) }
          return out
        case .failed(let failure):
          out.failure = failure
          return out
        }
      }
    }
    return out
  }

  /// In one piece, in two at every place, and byte by byte.
  private func read(_ head: ResponseHead, _ input: String, isHead: Bool = false, sourceLocation: SourceLocation = #_sourceLocation) -> Read
  {
    let input = bytes(input)
    var reader = ResponseBodyReader()
    reader.begin(head, isHead: isHead)
    let whole = read(&reader, input, ends: [input.count])
    for cut in 0...input.count {
      // The same reader for all: a body that was not finished leaves nothing behind.
      reader.begin(head, isHead: isHead)
      let found = read(&reader, input, ends: [cut, input.count])
      if found != whole { Issue.record("cut at \(cut): \(found), whole: \(whole)", sourceLocation: sourceLocation) }
    }
    reader.reset()
    reader.begin(head, isHead: isHead)
    let found = read(&reader, input, ends: Array(0...input.count))
    if found != whole { Issue.record("byte by byte: \(found), whole: \(whole)", sourceLocation: sourceLocation) }
    return whole
  }

  @Test func aLengthEndsTheBody() {
    let head = head("HTTP/1.1 200 OK", "Content-Length: 5")
    #expect(read(head, "hello") == Read(body: bytes("hello"), end: 5))
    #expect(read(head, "hello, and more") == Read(body: bytes("hello"), end: 5))
    #expect(read(head, "hell") == Read(body: bytes("hell")))
    #expect(read(head, "") == Read())
  }

  @Test func aLengthOfNothingEndsAtOnce() {
    let head = head("HTTP/1.1 200 OK", "Content-Length: 0")
    #expect(read(head, "") == Read(end: 0))
    #expect(read(head, "more") == Read(end: 0))
  }

  @Test func aBodyWithoutFramingEndsWithTheConnection() {
    let head = head("HTTP/1.1 200 OK")
    #expect(read(head, "until the end") == Read(body: bytes("until the end")))
    var reader = ResponseBodyReader()
    reader.begin(head, isHead: false)
    #expect(reader.endsWithConnection && reader.directLimit == Int.max)
    #expect(reader.took(1 << 40) == (0, false))
  }

  @Test(arguments: ["204 No Content", "304 Not Modified"], ["Content-Length: 5", "X: y"])
  func answersOfSomeStatusHaveNoBody(_ status: String, _ field: String) {
    #expect(read(head("HTTP/1.1 \(status)", field), "hello") == Read(end: 0))
  }

  @Test(arguments: ["Content-Length: 5", "Transfer-Encoding: chunked", "X: y"]) func answersToHeadHaveNoBody(_ field: String) {
    #expect(read(head("HTTP/1.1 200 OK", field), "5\r\nhello\r\n0\r\n\r\n", isHead: true) == Read(end: 0))
    var reader = ResponseBodyReader()
    reader.begin(head("HTTP/1.1 200 OK", field), isHead: true)
    #expect(!reader.endsWithConnection)
  }

  @Test func aNotModifiedAnswerMayNameChunks() {
    #expect(read(head("HTTP/1.1 304 x", "Transfer-Encoding: chunked"), "0\r\n\r\n") == Read(end: 0))
  }

  @Test func chunksEndWithTheLastOneAndItsTrailers() {
    let head = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
    #expect(read(head, "0\r\n\r\n") == Read(end: 5))
    #expect(read(head, "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\nmore") == Read(body: bytes("abcde"), end: 24))
    #expect(
      read(head, "1\r\na\r\n00\r\nX: y\r\nX-More:\r\n\r\n") == Read(body: bytes("a"), end: 27, trailers: ["X: y", "X-More: "]))
    #expect(read(head, "5\r\nhel") == Read(body: bytes("hel")))
    #expect(read(head, "3\r\nabc\r\n0\r\n") == Read(body: bytes("abc")))
  }

  @Test(arguments: [
    ("3\r\nabcX\r\n", HeadFailure.missingChunkEnd), ("3\nabc\r\n", .bareLineFeed), ("-3\r\nabc\r\n", .invalidChunkSize),
    ("0x3\r\nabc\r\n", .invalidChunkSize), ("10000000000000000\r\n", .chunkSizeTooLarge), ("8000000000000000\r\n", .chunkSizeTooLarge),
    ("0\r\nContent-Length: 5\r\n\r\n", .forbiddenTrailer), ("0\r\nTransfer_Encoding: x\r\n\r\n", .framingLookAlike),
    ("0\r\nX: a\nY: b\r\n\r\n", .bareLineFeed), ("0\r\n X: a\r\n\r\n", .obsoleteFold), ("1;\u{0}\r\na\r\n", .invalidChunkExtension),
  ])
  func chunksAreAsStrictAsARequests(_ input: String, _ failure: HeadFailure) {
    #expect(read(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), input).failure == failure)
  }

  @Test func trailersAreBounded() {
    let head = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
    var reader = ResponseBodyReader()
    for (line, failure) in [
      ("X: y\r\n", HeadFailure.tooManyTrailers), ("X: " + String(repeating: "y", count: 1 << 16) + "\r\n", .trailersTooLarge),
    ] {
      reader.begin(head, isHead: false)
      let input = bytes("0\r\n" + String(repeating: line, count: 257))
      #expect(read(&reader, input, ends: [input.count]).failure == failure)
    }
    // And nothing of them is there for the next body.
    reader.begin(head, isHead: false)
    #expect(read(&reader, bytes("0\r\n\r\n"), ends: [5]) == Read(end: 5))
  }

  @Test func trailersOfABodyAreNotTheNextOnes() {
    var reader = ResponseBodyReader()
    let chunked = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")
    reader.begin(chunked, isHead: false)
    #expect(read(&reader, bytes("0\r\nX: y\r\n\r\n"), ends: [11]).trailers == ["X: y"])
    reader.reset()
    #expect(reader.trailers.isEmpty)
    reader.begin(head("HTTP/1.1 200 OK", "Content-Length: 1"), isHead: false)
    #expect(read(&reader, bytes("a"), ends: [1]) == Read(body: bytes("a"), end: 1))
  }

  // MARK: Read without a look at the bytes

  @Test func whatMayBeReadUnseenIsOneByteMoreThanTheBody() {
    var reader = ResponseBodyReader()
    reader.begin(head("HTTP/1.1 200 OK", "Content-Length: 10"), isHead: false)
    #expect(reader.directLimit == 11)
    #expect(reader.took(4) == (0, false))
    #expect(reader.directLimit == 7)
    #expect(reader.took(7) == (1, true))
    #expect(reader.directLimit == 1)
    reader.begin(head("HTTP/1.1 200 OK", "Content-Length: 10"), isHead: false)
    #expect(reader.took(10) == (0, true))
    reader.begin(head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), isHead: false)
    #expect(reader.directLimit == nil)
  }

  @Test func aLengthOfAllThatCanBeDoesNotOverflow() {
    var reader = ResponseBodyReader()
    reader.begin(head("HTTP/1.1 200 OK", "Content-Length: \(Int64.max)"), isHead: false)
    #expect(reader.directLimit == Int.max)
    #expect(reader.took(1 << 30) == (0, false))
    #expect(reader.directLimit == Int.max - (1 << 30) + 1)
    #expect(reader.next(bytes("abc").span) == .data(start: 0, count: 3))
  }
}
