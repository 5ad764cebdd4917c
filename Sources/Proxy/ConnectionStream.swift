// A connection that is a stream of HTTP/2: where its bytes come from and go to, and what its ends are. The part of `Connection` that stands in for
// the socket.

import HTTP
import HTTP2
import Net
import Primitives
import Upstream

/// The stream that a request came by. Good until the connection is closed or the stream is, of which `streamClosed` tells: then there is none.
struct StreamCarrier: BitwiseCopyable {
  let session: HTTP2Session
  let stream: HTTP2Stream
  /// Bytes of the body that wait in the input: the client has credit for the others.
  var uncredited = 0
  /// Whether there is to be no body, which is known when the stream has ended: then the exchange begins.
  var awaitsEnd = false
  // Of a CONNECT.
  /// Whether the client sends no more.
  var hasEnded = false
  /// Whether as much waits for the client as may.
  var isFull = false

  init(_ session: HTTP2Session, _ stream: HTTP2Stream) {
    self.session = session
    self.stream = stream
  }
}

extension Connection {
  /// A request of HTTP/2.
  init(_ token: SlotToken, worker: Worker, _ carrier: StreamCarrier, peer: Peer) {
    self.init(token, worker: worker, stream: Stream.none, peer: peer)
    self.carrier = carrier
  }

  /// Another request of HTTP/2, in the place of one that is over.
  mutating func beginAgain(_ token: SlotToken, _ carrier: StreamCarrier, peer: Peer) {
    begin(as: token)
    self.carrier = carrier
    if self.peer !== peer { self.peer = peer }
  }

  // MARK: What comes

  /// The event's text is that of a head, or of its first line if its fault says what is wrong with the rest.
  mutating func takeHead(_ event: HTTP2Event, of session: HTTP2Session) {
    takeMemory()
    record.began = worker.now
    record.beganAt = worker.wallNow
    // Not the input, which is for a body: most requests have none.
    var text = ByteBuffer()
    worker.lendHeadText(&text)
    session.appendText(of: event, to: &text)
    let result = parser.parse(text, into: &head)
    let length = text.count
    text.removeAll()
    worker.lendHeadText(&text)
    head.cameByHTTP2(isHead: event.isHead, isExtendedConnect: event.isExtendedConnect)
    carrier?.hasEnded = event.isLast
    if let fault = event.fault {
      beginRecord()
      record.reason = "\(fault.reason)"
      perform(exchange.failed(status: fault.status ?? 400))
    } else {
      switch result {
      case .complete(let n) where n == length:
        // Of a body that is none no byte can be held back: the upstream would be told of a whole request, and then the content comes that makes it
        // malformed (RFC 9113 section 8.1.1).
        if case .length(0) = head.framing, !event.isLast {
          carrier?.awaitsEnd = true
          body.beginTold(head.framing)
          return settleDown()
        }
        beginExchange()
      case .failed(let failure):
        beginRecord()
        record.reason = "\(failure.reason)"
        perform(exchange.failed(status: failure.status))
      case .complete, .needMore:
        // What was made of fields is one whole head, or something is wrong with us.
        beginRecord()
        record.reason = "the fields make no head"
        perform(exchange.failed(status: 400))
      }
    }
    advance()
  }

  /// Bytes of the body.
  mutating func takeData(_ bytes: Span<UInt8>) {
    if isClosed { return }
    lastRead = worker.now
    if isExtendedConnect { return takeTunnelData(bytes) }
    carrier?.uncredited += bytes.count
    guard body.came(bytes.count) else { return breakRequest("more content than its Content-Length") }
    if exchange.isRequestComplete { return giveCredit(bytes.count) }
    input.append(bytes)
    advance()
  }

  /// The request is whole. `trailers` are a last chunk with fields, or empty.
  mutating func takeEnd(_ trailers: Span<UInt8>) {
    if isClosed { return }
    lastRead = worker.now
    if isExtendedConnect { return takeTunnelEnd(trailers) }
    if let failure = body.end(trailers) {
      return breakRequest(failure == .invalidContentLength ? "less content than its Content-Length" : "\(failure.reason)")
    }
    if carrier?.awaitsEnd == true {
      carrier?.awaitsEnd = false
      // By the users of now.
      adoptLatest()
      beginExchange()
    }
    if !exchange.isRequestComplete {
      body.completeIfEnded(input.count)
      if body.isComplete && (exchange.phase == .waiting || exchange.phase == .relaying || exchange.phase == .collecting || exchange.phase == .gathering) {
        completeRequest()
        if let transfer { worker.client.resume(transfer) }
      }
    }
    advance()
  }

  /// RFC 9113 section 8.1.1: a request that is not what it said is malformed. Nobody is told that it was whole.
  mutating func breakRequest(_ reason: String) {
    guard let carrier else { return }
    record.reason = reason
    record.status = 400
    carrier.stream.reset(.protocolError)
    perform(exchange.clientClosed())
    close()
  }

  /// Whether the refusal may wait for its time. Each takes a place while it does, and one connection has many streams: those beyond a few are reset
  /// at once.
  mutating func mayHoldRefusal(_ status: Int) -> Bool {
    guard let carrier else { return true }
    if carrier.session.heldRefusals < Limits.heldRefusals {
      carrier.session.heldRefusals += 1
      return true
    }
    record.status = status
    carrier.stream.reset(.enhanceYourCalm)
    perform(exchange.clientClosed())
    close()
    return false
  }

  /// The refusal is given, or nobody is there for it.
  mutating func noLongerHolds() {
    if let carrier { carrier.session.heldRefusals -= 1 }
  }

  /// The client has reset the stream, or its connection is gone. `isWhole`: both halves were ended in order.
  mutating func streamClosed(isWhole: Bool = false) {
    if isClosed { return }
    if tunnel != nil { return tunnelClosed(isWhole: isWhole) }
    perform(exchange.clientClosed())
    close()
  }

  /// The client did not take what waits for it.
  mutating func streamStalled() {
    if isClosed { return }
    record.reason = "the client did not read within send_timeout"
    perform(exchange.clientClosed())
    close()
  }

  /// What was taken from the input is credited to the client.
  mutating func giveCredit() {
    let waiting = input.count + later.count
    guard let held = carrier?.uncredited, held > waiting else { return }
    giveCredit(held - waiting)
  }

  private mutating func giveCredit(_ n: Int) {
    guard let carrier else { return }
    self.carrier?.uncredited -= n
    carrier.stream.consume(n)
    worker.markDirtyHTTP2(carrier.session)
  }

  /// The body is wanted: more of it may be on its way at once than from somebody of whom nothing is known yet.
  mutating func widenStream() {
    guard let carrier, stay?.care.terms.uploadBandwidth == nil else { return }
    let window = carrier.session.streamWindow
    if case .length(let n) = head.framing, n <= UInt64(window) { return }
    carrier.stream.widen(to: max(window, Limits.uploadWindow))
  }

  // MARK: What goes

  /// Whether more of the response's body may wait for the client.
  mutating func mayTakeMore() -> Bool {
    let waiting = output.count + (carrier?.stream.waiting ?? 0)
    let usual = carrier == nil ? Limits.outHigh : isOneOfMany() ? Limits.streamHigh : Limits.bodyChunk
    if let stay { return mayTakeMore(stay, waiting, usual: usual) }
    return waiting < usual
  }

  /// Whether the client has so many streams that each may hold only little. One that has few gets its bodies in large pieces, at half the cost.
  mutating func isOneOfMany() -> Bool {
    guard let carrier else { return false }
    return carrier.session.openStreams > Limits.fewStreams
  }

  /// How much of a response's body its transfer may hold; nil for as much as others.
  mutating func mostOfBody() -> Int? {
    guard let carrier, isOneOfMany() else { return nil }
    return carrier.session.openStreams > Limits.manyStreams ? Limits.streamBodyOfMany : Limits.streamBody
  }

  /// Hands the output to the session, and takes more of the response as far as that may be.
  mutating func flushToStream() {
    if tunnel != nil { return flushTunnel() }
    while true {
      handOver(isLast: false)
      if stay != nil && pumpFile() { continue }
      guard exchange.phase == .relaying, let transfer, !transfer.isBodyTaken || transfer.ending != nil, mayTakeMore() else { break }
      pump(transfer)
      if output.isEmpty { break }
    }
    if case .finished = exchange.phase { advance() }
    if !isClosed { arm() }
  }

  /// Gives what the output holds to the session: heads, then bytes of the body. `isLast`: there will be no more.
  mutating func handOver(isLast: Bool) {
    guard let carrier, !output.isEmpty else { return }
    let stream = carrier.stream
    if transfer != nil { stream.isServed = true }
    while !output.isEmpty && !stream.hasAnswered {
      guard !isExtendedConnect || mayAnswerConnect(), let end = Self.answer(stream, output, isLast: isLast) else {
        output.removeAll()
        stream.reset(.internalError)
        break
      }
      output.consume(end)
    }
    if !output.isEmpty { stream.give(&output) }
    worker.markDirtyHTTP2(carrier.session)
  }

  private static func answer(_ stream: HTTP2Stream, _ output: borrowing ByteBuffer, isLast: Bool) -> Int? {
    stream.answer(output.span, isLast: isLast)
  }

  /// The upstream's response is whole: its trailers follow.
  mutating func finishStream() {
    guard let carrier else { return }
    var trailers = ByteBuffer()
    // RFC 9113 section 8.1: whether or not the head has told the body's length. HTTP/1.1 has a place for them behind chunks alone.
    if let transfer, transfer.hasTrailers, exchange.mayHaveTrailers { transfer.appendTrailers(to: &trailers) }
    handOver(isLast: trailers.isEmpty)
    carrier.stream.finish(trailers: trailers)
    worker.markDirtyHTTP2(carrier.session)
  }

  // MARK: The end

  /// The exchange is over, and with it the stream, when the session has sent what it was given.
  mutating func endStream(_ ending: Exchange.Ending) {
    guard let carrier else { return }
    switch ending {
    case .again, .linger:
      handOver(isLast: true)
      carrier.stream.finish(trailers: ByteBuffer())
    case .abort:
      handOver(isLast: false)
      carrier.stream.breakOff()
    case .gone:
      carrier.stream.reset(.cancel)
    }
    close()
  }

  /// Closed: the worker may use its place again.
  mutating func leave(_ carrier: StreamCarrier) {
    if holdsMemory {
      holdsMemory = false
      if head.bytes.count > Limits.keptBuffer { head = RequestHead() } else { head.reset() }
      output.removeAll()
      worker.takeMemoryBack(&head, &output)
    }
    if input.capacity > 0 {
      var spare = ByteBuffer()
      swap(&spare, &input)
      spare.removeAll()
      worker.client.giveBuffer(spare)
    }
    later.removeAll()
    later.release()
    if heldRefusal != nil { carrier.session.heldRefusals -= 1 }
    // Nobody is left who could end it otherwise.
    if carrier.awaitsEnd { carrier.stream.reset(.cancel) }
    // The stream lives on until everything was sent.
    carrier.stream.owner = nil
    carrier.stream.leaveTunnel()
    worker.markDirtyHTTP2(carrier.session)
    // What is not used any more keeps no connection.
    self.carrier = nil
    inquiry = nil
    worker.removeStream(token, snapshot)
  }
}
