// The session: frames in, events out; answers in, frames out. Frames are made by hand.

import HTTP
import HTTP2
import Primitives
import Testing

@Suite final class SessionTests {
  /// Whose sessions a test works with: they end with it.
  private var owners: [Owner] = []

  private final class Owner {
    let owner: HTTP2SessionOwner

    init(_ options: HTTP2Options) {
      owner = HTTP2SessionOwner(
        options, limits: HeadLimits(), scheme: .http, workroom: HTTP2Workroom(), now: Instant(nanoseconds: 1_000_000_000_000))
    }
  }

  private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  private static func frame(_ type: UInt8, _ flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let n = payload.count
    return [UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255), type, flags] + (0..<4).map { UInt8(stream >> (24 - 8 * $0) & 255) }
      + payload
  }

  /// GET / of example.test: indexed but for the authority.
  private static let get: [UInt8] = [0x82, 0x86, 0x84, 0x01, 12] + "example.test".utf8
  private static let post: [UInt8] = [0x83] + get.dropFirst()

  private func begin(_ options: HTTP2Options = HTTP2Options()) throws -> HTTP2Session {
    let owner = Owner(options)
    owners.append(owner)
    let session = owner.owner.session
    #expect(try Self.events(session, Self.preface + Self.frame(4)).isEmpty)
    return session
  }

  /// What the session makes of `bytes`, in words.
  private static func events(_ session: HTTP2Session, _ bytes: [UInt8]) throws -> [String] {
    guard session.inspect(bytes.span) else { return ["flood \(session.flood!)"] }
    var left = bytes[...]
    var found: [String] = []
    while !left.isEmpty {
      let count = session.receive(Array(left).span)
      found += words(session)
      guard let count else { return found + ["over"] }
      left = left.dropFirst(count)
    }
    return found
  }

  private static func words(_ session: HTTP2Session) -> [String] {
    var found: [String] = []
    for i in 0..<session.eventCount {
      let event = session.event(i)
      var text = ByteBuffer()
      switch event.kind {
      case .head, .refused, .end: session.appendText(of: event, to: &text)
      default: break
      }
      let id = session.stream(event.slot).id
      switch event.kind {
      case .head: found.append("head \(id) \(event.isLast ? "last " : "")\(ASCII.string(text.span).prefix { $0 != "\r\n" })")
      case .refused: found.append("refused \(id) \(event.fault!)")
      case .data: found.append("data \(id) \(event.count)")
      case .end: found.append("end \(id)")
      case .drained: found.append("drained \(id)")
      case .closed:
        found.append("closed \(id) \(event.code)")
        session.release(event.slot)
      }
    }
    session.forgetEvents()
    return found
  }

  /// Types, flags and streams of the frames that are to be written.
  private static func sent(_ session: HTTP2Session) -> [String] {
    #expect(session.produce())
    let bytes = session.out.array()
    session.out.removeAll()
    var found: [String] = []
    var i = 0
    while i + 9 <= bytes.count {
      let length = Int(bytes[i]) << 16 | Int(bytes[i + 1]) << 8 | Int(bytes[i + 2])
      found.append("\(bytes[i + 3]) \(bytes[i + 4]) \(bytes[i + 8]) \(length)")
      i += 9 + length
    }
    return found
  }

  private static func answer(_ session: HTTP2Session, _ head: String) -> Bool {
    session.stream(0).answer([UInt8](head.utf8).span, isLast: false) == head.utf8.count
  }

  private static func give(_ session: HTTP2Session, _ slot: Int32, _ count: Int) {
    var bytes = ByteBuffer()
    bytes.append(Array(repeating: 1, count: count))
    session.stream(slot).give(&bytes)
  }

  @Test func aRequestIsOneEventHoweverItIsCut() throws {
    let bytes = Self.frame(1, 5, stream: 1, Self.get)
    for cut in 0...bytes.count {
      let session = try begin()
      let found = try Self.events(session, Array(bytes[..<cut])) + Self.events(session, Array(bytes[cut...]))
      #expect(found == ["head 1 last GET / HTTP/1.1"])
    }
  }

  @Test func aBodyIsToldAndCreditIsGivenAsItIsUsed() throws {
    let session = try begin()
    _ = Self.sent(session)
    #expect(try Self.events(session, Self.frame(1, 4, stream: 1, Self.post)) == ["head 1 POST / HTTP/1.1"])
    let data = Self.frame(0, 0, stream: 1, Array(repeating: 1, count: 16_000))
    for _ in 0..<3 { #expect(try Self.events(session, data) == ["data 1 16000"]) }
    // Nothing was used: nothing is given back.
    #expect(Self.sent(session).isEmpty)
    session.stream(0).consume(48_000)
    #expect(Self.sent(session) == ["8 0 1 4"])
    #expect(try Self.events(session, Self.frame(0, 1, stream: 1)) == ["end 1"])
  }

  /// RFC 9113 section 8.1: trailers end the stream, and a request has them once.
  @Test func whatFollowsABodyEndsTheStream() throws {
    let session = try begin()
    _ = Self.sent(session)
    let trailers: [UInt8] = [0x00, 1] + "a".utf8 + [1] + "b".utf8
    #expect(
      try Self.events(session, Self.frame(1, 4, stream: 1, Self.post) + Self.frame(1, 5, stream: 1, trailers))
        == ["head 1 POST / HTTP/1.1", "end 1"])
    #expect(try Self.events(session, Self.frame(1, 4, stream: 3, Self.post)) == ["head 3 POST / HTTP/1.1"])
    #expect(try Self.events(session, Self.frame(1, 4, stream: 3, trailers)).isEmpty)
    #expect(Self.sent(session) == ["3 0 3 4"])
  }

  /// Credit for the connection in the frames that are to be written, in bytes.
  private static func credit(_ session: HTTP2Session) -> Int {
    #expect(session.produce())
    let bytes = session.out.array()
    session.out.removeAll()
    var credit = 0
    var i = 0
    while i + 9 <= bytes.count {
      let length = Int(bytes[i]) << 16 | Int(bytes[i + 1]) << 8 | Int(bytes[i + 2])
      if bytes[i + 3] == 8 && bytes[(i + 5)..<(i + 9)].allSatisfy({ $0 == 0 }) {
        credit += bytes[(i + 9)..<(i + 13)].reduce(0) { $0 << 8 | Int($1) }
      }
      i += 9 + length
    }
    return credit
  }

  @Test(arguments: [false, true]) func aBodyIsPaidForOnceThoughItsStreamIsReset(_ isWanted: Bool) throws {
    let session = try begin()
    _ = Self.sent(session)
    let data = Array(repeating: UInt8(1), count: 16_000)
    var (came, given) = (0, 0)
    for turn in 0..<150 {
      let id = UInt32(2 * turn + 1)
      // All in one read: the body is used when its stream is gone already.
      let bytes =
        Self.frame(1, 4, stream: id, Self.post) + Self.frame(0, 0, stream: id, data) + Self.frame(0, 0, stream: id, data)
        + Self.frame(3, 0, stream: id, [0, 0, 0, 8])
      let isFine = session.inspect(bytes.span)
      #expect(isFine)
      let count = session.receive(bytes.span)
      #expect(count == bytes.count)
      came += 2 * data.count
      for i in 0..<session.eventCount {
        let event = session.event(i)
        switch event.kind {
        case .data: if isWanted { session.stream(event.slot).consume(Int(event.count)) } else { session.stream(event.slot).discard(Int(event.count)) }
        case .closed: session.release(event.slot)
        default: break
        }
      }
      session.forgetEvents()
      given += Self.credit(session)
    }
    #expect(given > came / 2 && given <= came, "\(given) for \(came)")
    // Nor is credit stored up for what comes later and is not used.
    var id: UInt32 = 301
    var open = came - given
    while open + 3 * data.count < HTTP2Limits.connectionWindow {
      let bytes = Self.frame(1, 4, stream: id, Self.post) + Array(repeating: Self.frame(0, 0, stream: id, data), count: 3).joined()
      id += 2
      open += 3 * data.count
      let found = try Self.events(session, bytes)
      #expect(found.last == "data \(id - 2) 16000")
    }
    // The last of them is, and with it goes what credit there may be.
    let last = try #require((0..<session.slotCount).last { session.streamIfUsed(Int32($0))?.id == Int32(id - 2) })
    session.stream(Int32(last)).consume(data.count)
    given += Self.credit(session)
    #expect(given <= came + data.count, "\(given) for \(came)")
  }

  @Test(arguments: [false, true]) func aStreamThatIsGoneStallsNoMore(_ breaksOff: Bool) throws {
    let session = try begin()
    _ = try Self.events(session, Self.frame(4, 0, [0, 4, 0, 0, 0, 10]) + Self.frame(4, 1) + Self.frame(1, 5, stream: 1, Self.get))
    Self.answer(session, 20)
    _ = Self.sent(session)
    #expect(session.stalled == 1)
    let reset = Self.frame(3, 0, stream: 1, [0, 0, 0, 8])
    let isFine = session.inspect(reset.span)
    let count = session.receive(reset.span)
    #expect(isFine && count == reset.count && session.stalled == 0)
    // Its owner, who does not know yet, is done with it.
    if breaksOff { session.stream(0).breakOff() } else { session.stream(0).finish(trailers: ByteBuffer()) }
    #expect(session.stalled == 0 && session.stalledSince == nil)
    #expect(Self.words(session).last == "closed 1 8")
    #expect(session.stalled == 0)
  }

  @Test func anAnswerIsFramesAndClosesItsStream() throws {
    let session = try begin()
    _ = Self.sent(session)
    _ = try Self.events(session, Self.frame(1, 5, stream: 1, Self.get))
    #expect(Self.answer(session, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"))
    Self.give(session, 0, 5)
    session.stream(0).finish(trailers: ByteBuffer())
    #expect(Self.sent(session).map { $0.split(separator: " ").prefix(3).joined(separator: " ") } == ["1 4 1", "0 1 1"])
    #expect(Self.words(session) == ["closed 1 0"])
    #expect(session.openStreams == 0 && session.waiting == 0)
  }

  @Test func anAnswerThatBreaksOffIsSentAsFarAsItCameAndReset() throws {
    let session = try begin()
    _ = Self.sent(session)
    _ = try Self.events(session, Self.frame(1, 5, stream: 1, Self.get))
    #expect(Self.answer(session, "HTTP/1.1 200 OK\r\n\r\n"))
    Self.give(session, 0, 5)
    session.stream(0).breakOff()
    #expect(Self.sent(session).map { $0.split(separator: " ")[0] } == ["1", "0", "3"])
    #expect(Self.words(session) == ["closed 1 2"])
  }

  @Test func whatIsNoHeadIsNotSent() throws {
    let session = try begin()
    _ = try Self.events(session, Self.frame(1, 5, stream: 1, Self.get))
    #expect(!Self.answer(session, "no head") && !Self.answer(session, "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"))
  }

  @Test func textsOfHeadsDoNotPileUp() throws {
    // Each names a field of almost 4 KiB by one byte; what is recorded at once stays small all the same.
    let session = try begin()
    let large: [UInt8] = Self.get + [0x40, 1, 0x61, 127, 0x9D, 0x1D] + Array(repeating: 0x62, count: 3868)
    _ = try Self.events(session, Self.frame(1, 5, stream: 1, large))
    var frames: [UInt8] = []
    for i in 1...120 { frames += Self.frame(1, 5, stream: UInt32(2 * i + 1), Self.get + Array(repeating: 0xBE, count: 7)) }
    let isFine = session.inspect(frames.span)
    #expect(isFine)
    var left = frames[...]
    var heads = 0
    while !left.isEmpty {
      guard let count = session.receive(Array(left).span) else {
        Issue.record("over")
        return
      }
      left = left.dropFirst(count)
      heads += session.eventCount
      #expect(session.eventCount <= 8)
      session.forgetEvents()
    }
    #expect(heads == 120)
  }

  @Test func aRequestThatIsMalformedIsResetAndNoEvent() throws {
    let session = try begin()
    _ = Self.sent(session)
    let upper: [UInt8] = [0, 1, 0x58, 1, 0x59]
    #expect(try Self.events(session, Self.frame(1, 5, stream: 1, Self.get + upper)).isEmpty)
    #expect(Self.sent(session) == ["3 0 1 4"])
    #expect(Self.words(session) == ["closed 1 1"])
  }

  @Test func nothingIsReadAfterTheEnd() throws {
    let session = try begin()
    // Even what follows in the same bytes is no event.
    let request = Self.frame(1, 5, stream: 1, Self.get)
    #expect(try Self.events(session, Self.frame(0, 0, stream: 0, [1]) + request).filter { $0 != "over" }.isEmpty)
    #expect(Self.sent(session).contains { $0.hasPrefix("7 ") } && session.goawayCode == 1)
    let count = session.receive(request.span)
    let isFine = session.inspect(Self.frame(6, 0, Array(repeating: 0, count: 8)).span)
    #expect(session.isDeaf && count == nil && !isFine)
  }

  // MARK: Clients who don't read

  /// A window as large as there is, for connection and streams.
  private static let endlessWindow =
    frame(4, 0, [0, 4, 0x7F, 0xFF, 0xFF, 0xFF]) + frame(8, 0, [0x7F, 0xFE, 0, 0]) + frame(4, 1)

  private static func answer(_ session: HTTP2Session, _ count: Int) {
    #expect(answer(session, "HTTP/1.1 200 OK\r\n\r\n"))
    give(session, 0, count)
  }

  @Test func aStreamThatIsResetWhileItsFrameWaitsForRoomTakesNothingDown() throws {
    let session = try begin()
    _ = try Self.events(session, Self.endlessWindow + Self.frame(1, 4, stream: 1, Self.post))
    // More than fits: the library has been offered a frame that stays with it.
    Self.answer(session, 4 * HTTP2Limits.outHigh)
    #expect(session.produce() && session.out.count >= HTTP2Limits.outHigh)
    session.stream(0).reset(.protocolError)
    session.out.removeAll()
    #expect(Self.sent(session).allSatisfy { $0.hasPrefix("3 ") })
    #expect(Self.words(session).contains { $0.hasPrefix("closed 1 ") })
    #expect(session.waiting == 0 && session.stalledSince == nil)
  }

  @Test func whatIsOwedToWhoNeverReadsIsBounded() throws {
    var options = HTTP2Options()
    options.maxStreams = 1
    let session = try begin(options)
    var id: UInt32 = 1
    var left = 100_000
    // Neither settings are acknowledged nor a byte is read: each further request is refused by a frame that nobody takes.
    while session.flood == nil && left > 0 {
      _ = try Self.events(session, Self.frame(1, 4, stream: id, Self.post))
      id += 2
      left -= 1
    }
    #expect(session.flood == .provoked)
    #expect(left > 90_000)
  }

  @Test func anEndThatWaitsForTheWindowIsNotForgotten() throws {
    let session = try begin()
    // A window of ten bytes, and as many of a body: its end has no room.
    _ = try Self.events(session, Self.frame(4, 0, [0, 4, 0, 0, 0, 10]) + Self.frame(4, 1) + Self.frame(1, 5, stream: 1, Self.get))
    Self.answer(session, 10)
    _ = Self.sent(session)
    #expect(session.stalledSince == nil)
    session.stream(0).finish(trailers: ByteBuffer())
    #expect(Self.sent(session).isEmpty)
    #expect(session.stalledSince != nil)
    // The window opens.
    _ = try Self.events(session, Self.frame(8, 0, stream: 1, [0, 0, 0, 1]))
    #expect(Self.sent(session) == ["0 1 1 0"] || session.openStreams == 0)
    #expect(session.stalledSince == nil)
  }

  @Test func aHeadThatFillsTheListIsReadToItsEndWithoutAnotherByte() throws {
    let session = try begin()
    // The last field is one too many for what is recorded at once, and all of its bytes have been taken by then.
    let value = Array(repeating: UInt8(0x61), count: 15_000)
    // Literal with indexing would not fit the table: without, x: value, with a length of 15,000 (RFC 7541 section 5.1).
    let field: [UInt8] = [0, 1, 0x78, 0x7F] + [UInt8((15_000 - 127) & 127 | 128), UInt8((15_000 - 127) >> 7)] + value
    var bytes: [UInt8] = []
    for stream in [1, 3, 5, 7, 9] as [UInt32] { bytes += Self.frame(1, 5, stream: stream, Self.get + field) }
    let isFine = session.inspect(bytes.span)
    #expect(isFine)
    var heads = 0
    var left = bytes[...]
    while !left.isEmpty || session.isPaused {
      let part = Array(left)
      let taken = session.receive(part.span)
      let count = try #require(taken)
      for i in 0..<session.eventCount where session.event(i).kind == .head { heads += 1 }
      session.forgetEvents()
      left = left.dropFirst(count)
    }
    #expect(heads == 5)
  }
}
