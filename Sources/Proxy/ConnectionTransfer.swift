// How a connection and its transfer feed each other: the request's body up, the response down, each no faster than the other side takes it.

import HTTP
import Login
import Net
import Primitives
import Upstream

extension Connection {
  // MARK: The request's body

  /// Decodes what the input holds of the body, and hands it to the transfer, keeps it for an answer of our own, or drops it.
  mutating func takeBody() {
    if exchange.isRequestComplete {
      // Of what waits in the input since then it is the client's credit.
      if carrier != nil { giveCredit() }
      return
    }
    // A stream's body may have ended before it was wanted, with nothing of it waiting.
    if carrier != nil {
      body.completeIfEnded(input.count)
      if body.isComplete { completeRequest() }
    }
    reading: while !isClosed && !exchange.isRequestComplete && !input.isEmpty {
      if let transfer, transfer.uploadRoom == 0 { break }
      if stay != nil && holdsUpload() { break }
      let piece = body.next(input)
      switch piece {
      case .needMore(let consumed):
        input.consume(consumed)
        // The last byte of a stream's body waits until the stream has ended.
        if consumed == 0 { break reading }
      case .data(let start, let count):
        record.bytesIn += UInt64(count)
        let action = exchange.received(body: count)
        if action == .none {
          if let transfer, transfer.isUploadTaken { lastUpstream = worker.now }
          // Where the upstream may ask for a login first.
          if let transfer, transfer.keepsUpload { transfer.keepForLogin(input.span.extracting(start..<(start + count))) }
          transfer?.send(input.span.extracting(start..<(start + count)))
          if exchange.phase == .collecting { own?.append(input.span.extracting(start..<(start + count))) }
          stay?.gathering?.append(input.span.extracting(start..<(start + count)))
          input.consume(start + count)
          if stay != nil { keepUploadsPace(count) }
          if exchange.phase == .gathering && !gathersOn() { return }
        } else {
          record.reason = own == nil ? "the content is larger than the route's body_limit" : Self.tooMuchForUs
          perform(action)
          return
        }
      case .end(let consumed):
        input.consume(consumed)
        completeRequest()
      case .failed(let failure):
        record.reason = "\(failure.reason)"
        perform(exchange.failed(status: failure.status))
        return
      }
      if body.isComplete && !exchange.isRequestComplete { completeRequest() }
    }
    if let transfer { worker.client.resume(transfer) }
    if carrier != nil { giveCredit() }
  }

  /// Whether a client may say this behind a body: nothing that he may not say in the head, where some services put it, and nothing that he said to us alone.
  private mutating func mayTrail(_ name: Span<UInt8>) -> Bool {
    if snapshot.rules.isOurs(name) || logsIn(by: name) || MethodOverride.isName(name) { return false }
    if HopByHop.isNamed(name, by: head.fields, head.bytes) { return false }
    guard let route = record.route else { return true }
    let traits = snapshot.traits[route]
    if traits.login != nil && SigV4.isBeyond(name) { return false }
    return !(traits.rewriting?.drops(name) ?? false)
  }

  mutating func completeRequest() {
    if let transfer { endUpload(transfer) }
    perform(exchange.requestCompleted())
  }

  mutating func endUpload(_ transfer: Transfer) {
    let trailers = body.trailers
    for field in trailers.fields where mayTrail(trailers.bytes[field.name]) {
      transfer.addTrailer(trailers.bytes[field.name], trailers.bytes[field.value])
    }
    transfer.endUpload()
    lastUpstream = worker.now
  }

  /// Moves body bytes on without reading them, where the transfer offers a pipe for it. False: they are to be read.
  mutating func pipeBody() -> Bool {
    guard exchange.phase == .waiting || exchange.phase == .relaying, input.isEmpty, !exchange.isRequestComplete, let transfer,
      let left = body.bytesLeft, left > 0, let pipe = transfer.pipeForUpload(left: left)
    else { return false }
    switch pipe.fill(from: stream.descriptor, atMost: Int(clamping: left)) {
    case .bytes(let n):
      lastRead = worker.now
      // Nothing waited for the upstream until now: it is not to answer for the client's pause. Nor can it be helped by this while it stalls,
      // since nothing more goes into a pipe before it has taken all that is in it.
      lastUpstream = worker.now
      body.took(n)
      transfer.filledPipe(n, left: left - UInt64(n), from: stream.descriptor)
      if transfer.uploadMark.isRaised { armLook() }
      record.bytesIn += UInt64(n)
      let action = exchange.received(body: n)
      guard action == .none else {
        record.reason = "the content is larger than the route's body_limit"
        perform(action)
        advance()
        return true
      }
      if body.isComplete { completeRequest() }
      worker.client.resume(transfer)
      advance()
      return true
    case .wouldBlock, .closed, .failed:
      // The socket says the same again to whoever reads. Or more: splice(2) stops before an urgent byte for good, and recv(2) skips it.
      return false
    }
  }

  /// Writes to the client what stands in the transfer's pipe. Answers what became of it; nil when there is none.
  mutating func drainPipe(_ transfer: Transfer) -> IOResult? {
    guard exchange.phase == .relaying, transfer.bodyCount == 0, let pipe = transfer.pipeToClient, !pipe.isEmpty else { return nil }
    let result = pipe.drain(to: stream.descriptor)
    if case .bytes(let n) = result { record.bytesOut += UInt64(n) }
    return result
  }

  // MARK: The upstream

  /// Something happened to our transfer.
  mutating func transferReady(_ ready: Transfer) {
    guard !isClosed, transfer === ready else { return }
    if tunnel != nil { return tunnelFed() }
    lastUpstream = worker.now
    if ready.mayBegin { return begin(ready) }
    if ready.asksForBody { perform(exchange.upstreamWantsBody()) }
    relayInterim(ready)
    if ready.hasAnswered && exchange.phase == .waiting && !hasFailed(ready) {
      // Where there is nothing to choose nothing is asked.
      if ready.member != nil {
        if ready.noteAnswer() { worker.isBack(ready.options.place, of: upstreamName) }
        if goesElsewhere(UpstreamGroup.Retry.Causes(status: ready.status)) { return advance() }
        ready.settles()
      }
      if ready.status == 401 && ready.isLoggedIn {
        loginRefused(ready)
      } else {
        if ready.isLoggedIn { ready.noteLogin() }
        perform(
          ready.status != 101 || ready.openedTunnel == nil
            ? exchange.upstreamAnswered(status: ready.status, length: ready.contentLength) : exchange.upstreamSwitched())
      }
    }
    if transfer === ready { pump(ready) }
    advance()
  }

  /// A server has room for the request, which waited for it.
  private mutating func begin(_ waiting: Transfer) {
    guard let begun = worker.client.begin(waiting) else { return }
    transfer = begun
    record.member = begun.member
    advance()
  }

  /// A head that was refused in the same turn in which it became complete must not be relayed. One that only its body's end belies is.
  func hasFailed(_ transfer: Transfer) -> Bool {
    guard case .failed(let failure)? = transfer.ending else { return false }
    return failure.kind != .truncated && failure.kind != .unserved
  }

  /// RFC 9110 section 15.2: interim responses go to a client of HTTP/1.1, and to no other.
  mutating func relayInterim(_ transfer: Transfer) {
    let isWanted = exchange.phase == .waiting && head.version != .http10 && output.count < Limits.interimBytes
    let start = output.count
    guard transfer.takeInterim(to: &output, isWanted: isWanted) else { return }
    record.hasInterim = true
    rewriteInterim(from: start)
  }

  mutating func relayHead(_ framing: ResponseFraming, closes: Bool) {
    guard let transfer else { return }
    record.status = transfer.status
    var scratch = FieldSet()
    worker.lendFieldScratch(&scratch)
    if let route = record.route, let answers = snapshot.traits[route].answers, answers.concerns(transfer.notable) {
      relayRewritten(transfer, answers, framing, &scratch)
    } else {
      transfer.relayHead(framing, scratch: &scratch, to: &output)
    }
    worker.lendFieldScratch(&scratch)
    if record.status == 426 { relayUpgrade(transfer) }
    // What the service says of itself stands: of two fields browsers take the first (RFC 6797 section 8.1).
    let security = transportSecurity
    if !security.isEmpty && !transfer.hasAnswered(with: "strict-transport-security") { output.append(security) }
    ResponseWriter.connection(persistent: !closes, client: head.version, to: &output)
    ResponseWriter.end(to: &output)
  }

  /// What a service asks for that does not go on in HTTP/1.1 (RFC 9110 section 15.5.22): no other answer is without sense where that is left out. Whether
  /// the client's next request may ask for it is the route's to say.
  private mutating func relayUpgrade(_ transfer: Transfer) {
    guard head.version == .http11, transfer.appendUpgrade(to: &output) else { return }
    ResponseWriter.field("Connection", "upgrade", to: &output)
  }

  /// Moves the response's body on, as far as the client keeps up, and notices the response's end.
  mutating func pump(_ transfer: Transfer) {
    guard exchange.phase == .relaying || exchange.phase == .waiting else { return }
    if exchange.phase == .relaying { moveBody(transfer) }
    switch transfer.ending {
    case nil:
      // While we did not read it was not the upstream that was idle.
      if worker.client.resume(transfer) { lastUpstream = worker.now }
    case .complete:
      if transfer.isBodyTaken {
        transfer.noteEnd()
        perform(exchange.upstreamCompleted())
      }
    case .failed(let failure):
      if transfer.isBodyTaken || exchange.phase == .waiting { failed(failure) }
    }
  }

  mutating func moveBody(_ transfer: Transfer) {
    let count = transfer.bodyCount
    if count == 0 { return }
    let isRelayed = exchange.responseHasBody
    guard !isRelayed || mayTakeMore() else { return }
    var bytes = ByteBuffer()
    transfer.lendBody(&bytes)
    if isRelayed {
      record.bytesOut += UInt64(count)
      stay?.took(count, at: worker.now)
      if exchange.responseFraming == .chunked {
        ChunkedEncoder.appendHeader(count: count, to: &output)
        output.append(bytes.span)
        ChunkedEncoder.appendEnd(to: &output)
      } else if output.isEmpty {
        // Large bodies change hands without a copy.
        swap(&output, &bytes)
      } else {
        output.append(bytes.span)
      }
    }
    bytes.removeAll()
    transfer.lendBody(&bytes)
  }

  mutating func failed(_ failure: UpstreamFailure) {
    record.reason = failure.reason
    if failure.kind == .refusedLogin { record.words = Self.notLetIn }
    if failure.kind == .unserved { record.words = "The service behind this gateway can't give that" }
    if failure.kind == .noToken { record.words = "The service behind this gateway can't be logged in to at present" }
    let place = transfer.flatMap { $0.member == nil ? nil : $0.options.place + ": " } ?? ""
    worker.complain(about: upstreamName, "\(place)\(failure.reason) (request \(requestID.text))")
    // It has answered, if not with what was asked for.
    if failure.kind == .unserved, let transfer, transfer.noteAnswer() { worker.isBack(transfer.options.place, of: upstreamName) }
    // What we have no room for is not the server's fault, nor is it a failure to have nothing to say for a while, or not to know our account.
    if let transfer, let pause = transfer.noteFailure(failure) {
      worker.ejected(transfer.options.place, of: upstreamName, for: pause, failure.reason)
    }
    if exchange.phase == .waiting, let transfer, let cause = Self.cause(of: failure, transfer), goesElsewhere(cause) { return }
    if exchange.phase == .relaying { record.isAborted = true }
    perform(exchange.upstreamFailed(status: failure.status))
  }

  private static func cause(of failure: UpstreamFailure, _ transfer: Transfer) -> UpstreamGroup.Retry.Causes? {
    if failure.kind == .exhausted || failure.kind == .refusedLogin || failure.kind == .noToken { return nil }
    if !transfer.wasSent { return .connect }
    return failure.kind == .unreachable && !transfer.hasBegunToAnswer ? .reset : nil
  }

  /// Has another server answer the request, if the upstream has one and its `retry` says so.
  private mutating func goesElsewhere(_ cause: UpstreamGroup.Retry.Causes) -> Bool {
    // What the client has of one server's answer, a 103, another's does not belong to.
    guard !cause.isEmpty, !record.hasInterim, let failed = transfer, failed.member != nil, let route = record.route else { return false }
    let balancer = worker.balancer(for: snapshot.traits[route].upstream, in: snapshot)
    guard let next = worker.client.again(failed, at: balancer, key: balanceKey(for: balancer), cause: cause) else { return false }
    transfer = next
    record.member = next.member
    record.retries += 1
    record.reason = nil
    lastUpstream = worker.now
    return true
  }

  var upstreamName: String {
    guard let index = record.route, let upstream = snapshot.router.routes[index].upstream else { return "-" }
    return snapshot.settings.upstreams[upstream].name
  }

  mutating func endTransfer() {
    var last: Transfer?
    swap(&last, &transfer)
    guard let ended = last.take() else { return }
    if carrier == nil { ended.lowerUploadMark(stream.descriptor) }
    if snapshot.logsRequests {
      let times = ended.times
      record.upstreamConnect = times.connect
      record.upstreamFirstByte = times.firstByte
      record.isReusedConnection = times.isReusedConnection
    }
    worker.client.end(ended)
  }
}
