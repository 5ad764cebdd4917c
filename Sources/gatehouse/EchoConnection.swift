// One connection of the echo upstream: reads requests, hashes their bodies as they come, writes answers as fast as they are taken.
// Sockets and timers are EchoServer's; what a path means is EchoAnswer's.

import Crypto
import HTTP
import Net
import Primitives

final class EchoConnection {
  private enum Phase {
    /// Reading a head. Then `sized`, `chunked`, or the answer.
    case head
    /// Reading a body of which so much is left. Then the answer.
    case sized(UInt64)
    /// Reading a body in chunks. Then the answer.
    case chunked
    /// Waiting for `wakeAt` before answering with the report.
    case waiting
    /// Writing a body. Then `head`, or `ending`.
    case bytes(EchoBytes)
    case events(EchoEvents)
    /// The last answer is in the output. Then `lingering`.
    case ending
    /// All is said, and what still comes is thrown away: a close with unread bytes would reset the connection, and the client might lose
    /// the answer (RFC 9112 section 9.6).
    case lingering(bytesLeft: Int)
  }

  let token: SlotToken
  /// What the poller is to tell of.
  private(set) var interest = Interest.read
  /// When the connection ends if nothing happens until then.
  private(set) var deadline: Instant
  /// When it has to be given a turn whatever the socket does.
  private(set) var wakeAt: Instant?

  private var stream: Stream
  private let number: UInt64
  private var requests: UInt64 = 0
  private var input = ByteBuffer()
  private var output = ByteBuffer()
  private var inputEnded = false

  private var phase = Phase.head
  private var parser = HeadParser(limits: HeadLimits())
  private var head = RequestHead()
  private var decoder = ChunkedDecoder(limits: ChunkLimits())
  private var hasher = SHA256.Hasher()
  private var bodyLength: UInt64 = 0

  init(_ stream: consuming Stream, _ token: SlotToken, number: UInt64, _ now: Instant) {
    self.stream = stream
    self.token = token
    self.number = number
    deadline = now.advanced(by: EchoLimits.idle)
  }

  var descriptor: Int32 { stream.descriptor }

  /// Reads, answers, writes, each as far as it goes. False when the connection is over.
  func turn(_ readiness: Readiness, _ now: Instant) -> Bool {
    // Both directions are over, so nobody reads what we would say.
    if !readiness.isDisjoint(with: [.hangup, .error]) { return false }
    if readiness.contains(.readable) && interest.contains(.read) {
      guard receive(now) else { return false }
    }
    // Some rounds, not all there are: others wait too.
    var hasMore = true
    for _ in 0..<4 {
      hasMore = advance(now)
      guard send(now) else { return false }
      guard hasMore && output.isEmpty else { break }
    }
    if case .ending = phase, output.isEmpty {
      stream.shutdownWrite()
      phase = .lingering(bytesLeft: EchoLimits.lingeringBytes)
      deadline = now.advanced(by: EchoLimits.lingering)
    }
    // A client that is gone between requests, or in the middle of one.
    if inputEnded && output.isEmpty && wantsInput && !hasMore { return false }
    interest = []
    if wantsInput && !inputEnded && output.count < EchoLimits.output { interest.insert(.read) }
    if !output.isEmpty || hasMore { interest.insert(.write) }
    return true
  }

  private var wantsInput: Bool {
    switch phase {
    case .head, .sized, .chunked, .lingering: true
    case .waiting, .bytes, .events, .ending: false
    }
  }

  // MARK: - Bytes in and out

  private func receive(_ now: Instant) -> Bool {
    switch stream.read(into: &input, atMost: EchoLimits.read) {
    case .bytes(let count):
      if case .lingering(let left) = phase {
        input.removeAll()
        phase = .lingering(bytesLeft: left - count)
        return left > count
      }
      deadline = now.advanced(by: EchoLimits.idle)
    case .closed: inputEnded = true
    case .wouldBlock: break
    case .failed: return false
    }
    return true
  }

  private func send(_ now: Instant) -> Bool {
    while !output.isEmpty {
      switch stream.write(output.span) {
      case .bytes(let count):
        output.consume(count)
        deadline = now.advanced(by: EchoLimits.idle)
      case .wouldBlock: return true
      case .closed, .failed: return false
      }
    }
    return true
  }

  /// Goes from phase to phase until input, time or room is wanting. True when it is room.
  private func advance(_ now: Instant) -> Bool {
    var goes = true
    while goes && output.count < EchoLimits.output {
      switch phase {
      case .head: goes = readHead(now)
      case .sized(let left): goes = readSized(left, now)
      case .chunked: goes = readChunked(now)
      case .waiting: goes = wait(now)
      case .bytes(let bytes): goes = write(bytes)
      case .events(let events): goes = write(events, now)
      case .ending, .lingering: goes = false
      }
    }
    if input.isEmpty { input.release() }
    if output.isEmpty { output.release() }
    return goes
  }

  // MARK: - Requests

  private func readHead(_ now: Instant) -> Bool {
    switch parser.parse(input.span, into: &head) {
    case .needMore:
      return false
    case .failed(let failure):
      refuse(failure)
      return true
    case .complete(let consumed):
      input.consume(consumed)
    }
    requests += 1
    hasher = SHA256.Hasher()
    bodyLength = 0
    decoder.reset()
    if head.method == .connect {
      refuse(status: 501, "CONNECT is for proxies")
      return true
    }
    if head.expectsContinue {
      ResponseWriter.statusLine(100, to: &output)
      ResponseWriter.end(to: &output)
    }
    switch head.framing {
    case .none, .length(0): answer(now)
    case .length(let length): phase = .sized(length)
    case .chunked: phase = .chunked
    }
    return true
  }

  private func readSized(_ left: UInt64, _ now: Instant) -> Bool {
    guard !input.isEmpty else { return false }
    let count = Int(min(left, UInt64(input.count)))
    hasher.update(input.span.extracting(0..<count))
    input.consume(count)
    bodyLength += UInt64(count)
    if left > UInt64(count) {
      phase = .sized(left - UInt64(count))
    } else {
      answer(now)
    }
    return true
  }

  private func readChunked(_ now: Instant) -> Bool {
    guard !input.isEmpty else { return false }
    switch decoder.next(input.span) {
    case .needMore(let consumed):
      input.consume(consumed)
      return false
    case .data(let start, let count):
      hasher.update(input.span.extracting(start..<(start + count)))
      input.consume(start + count)
      bodyLength += UInt64(count)
    case .end(let consumed):
      input.consume(consumed)
      answer(now)
    case .failed(let failure):
      refuse(failure)
    }
    return true
  }

  // MARK: - Answers

  /// The request is here whole.
  private func answer(_ now: Instant) {
    switch EchoAnswer(path: head.bytes[head.target.path], query: head.bytes[head.target.query]) {
    case .echo: report()
    case .status(let status): report(status: status)
    case .delay(let interval):
      phase = .waiting
      wait(until: now.advanced(by: interval))
    case .trailers: reportWithTrailers()
    case .malformed: refuse(status: 400, "the path asks for something that can't be")
    case .earlyHints(let delay):
      // RFC 8297; RFC 9110 section 15.2: not to HTTP/1.0.
      if head.version == .http11 {
        ResponseWriter.statusLine(103, to: &output)
        ResponseWriter.field("Link", "</style.css>; rel=preload; as=style", to: &output)
        ResponseWriter.end(to: &output)
      }
      phase = .waiting
      wait(until: now.advanced(by: delay))
    case .bytes(let count, let chunked):
      let framing: ResponseFraming = !chunked ? .length(count) : head.version == .http11 ? .chunked : .untilClose
      begin(status: 200, "application/octet-stream", framing)
      if head.method == .head { finish(framing) } else { phase = .bytes(EchoBytes(count: count, framing)) }
    case .events(let count, let interval):
      let framing: ResponseFraming = head.version == .http11 ? .chunked : .untilClose
      begin(status: 200, "text/event-stream", framing)
      if head.method == .head { return finish(framing) }
      phase = .events(EchoEvents(count: count, every: interval, framing))
      wait(until: now)
    }
  }

  /// It is our turn until then, not the client's.
  private func wait(until instant: Instant) {
    wakeAt = instant
    deadline = instant.advanced(by: EchoLimits.idle)
  }

  private func wait(_ now: Instant) -> Bool {
    guard let wake = wakeAt, wake <= now else { return false }
    wakeAt = nil
    report()
    return true
  }

  private func report(status: Int = 200) {
    // RFC 9110 section 8.6: no Content-Length with 204; section 15.4.5: a 304 has no body.
    let hasBody = status != 204 && status != 304
    var body = ByteBuffer()
    if hasBody { appendReport(to: &body) }
    let framing: ResponseFraming = hasBody ? .length(UInt64(body.count)) : .none
    begin(status: status, "application/json", framing)
    if head.method != .head { output.append(body.span) }
    finish(framing)
  }

  private func reportWithTrailers() {
    guard head.version == .http11 else { return report() }
    var body = ByteBuffer()
    appendReport(to: &body)
    begin(status: 200, "application/json", .chunked, trailer: true)
    if head.method != .head {
      ChunkedEncoder.appendChunk(body.span, to: &output)
      output.append("0\r\n")
      ResponseWriter.field("X-Echo-Trailer", "after the body", to: &output)
      ResponseWriter.field("X-Echo-Length", decimal: UInt64(body.count), to: &output)
      ResponseWriter.end(to: &output)
    }
    finish(.chunked)
  }

  private func appendReport(to body: inout ByteBuffer) {
    let digest = hasher.finish()
    EchoReport.append(
      head, decoder.trailers, bodyLength: bodyLength, digest: digest, connection: number, request: requests, to: &body)
  }

  private func begin(status: Int, _ type: StaticString, _ framing: ResponseFraming, trailer: Bool = false) {
    ResponseWriter.statusLine(status, to: &output)
    ResponseWriter.date(.now(), to: &output)
    ResponseWriter.field("Server", "gatehouse-echo", to: &output)
    if framing != .none { ResponseWriter.field("Content-Type", type, to: &output) }
    if trailer { ResponseWriter.field("Trailer", "X-Echo-Trailer, X-Echo-Length", to: &output) }
    ResponseWriter.framing(framing, to: &output)
    ResponseWriter.connection(persistent: isPersistent(framing), client: head.version, to: &output)
    ResponseWriter.end(to: &output)
  }

  private func isPersistent(_ framing: ResponseFraming) -> Bool {
    head.isPersistent && framing != .untilClose
  }

  /// The answer is in the output whole.
  private func finish(_ framing: ResponseFraming) {
    wakeAt = nil
    phase = isPersistent(framing) ? .head : .ending
  }

  private func refuse(_ failure: HeadFailure) {
    refuse(status: failure.status, failure.reason)
  }

  /// Answers with an error, and ends the connection: where a next request would begin is not known.
  private func refuse(status: Int, _ reason: StaticString) {
    var body = ByteBuffer()
    body.append("{\"error\": \"")
    body.append(reason)
    body.append("\"}\n")
    ResponseWriter.statusLine(status, to: &output)
    ResponseWriter.field("Content-Type", "application/json", to: &output)
    ResponseWriter.framing(.length(UInt64(body.count)), to: &output)
    ResponseWriter.connection(persistent: false, client: .http11, to: &output)
    ResponseWriter.end(to: &output)
    if !(head.hasRequestLine && head.method == .head) { output.append(body.span) }
    phase = .ending
  }

  // MARK: - Bodies

  private func write(_ bytes: EchoBytes) -> Bool {
    var bytes = bytes
    bytes.append(to: &output)
    if bytes.left > 0 { phase = .bytes(bytes) } else { finish(bytes.framing) }
    return true
  }

  private func write(_ events: EchoEvents, _ now: Instant) -> Bool {
    guard let wake = wakeAt, wake <= now else { return false }
    var events = events
    if !events.isOver { events.append(to: &output) }
    if events.isOver {
      if events.framing == .chunked { ChunkedEncoder.appendLast(to: &output) }
      finish(events.framing)
    } else {
      phase = .events(events)
      wait(until: now.advanced(by: events.interval))
    }
    return true
  }
}
