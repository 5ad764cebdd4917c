// A tunnel by a stream of HTTP/2 (RFC 8441): which CONNECT may ask for one, what becomes of bytes that come before there is one, and what stands for
// the client's socket in `ConnectionTunnel` then. Nothing here looks at what the bytes say.

import HTTP
import HTTP2
import Net
import Primitives
import Upstream

/// Until the service has switched, what the client sends waits in `input`, without credit for more than a stream's window; if it doesn't switch, it is
/// dropped there. So no byte of it can be read as a request by anybody.
extension Connection {
  /// Whether the request is a CONNECT that asks for WebSocket: of HTTP/2 alone.
  var isExtendedConnect: Bool {
    @inline(__always) mutating get { head.method == .extendedConnect }
  }

  // MARK: Who may

  /// Whoever asks may; the route may not. False when the request was refused for it.
  ///
  /// A route that answers by itself, or lets no WebSocket through, must not be asked: any answer of 2xx would say that there is a tunnel
  /// (RFC 8441 section 5).
  mutating func mayConnect(_ route: RouteTraits) -> Bool {
    guard route.upgrade != .off, route.care?.terms.answer == nil, snapshot.settings.upstreams[route.upstream].members[0].options.opensTunnels else {
      record.reason = "no WebSocket is let through here"
      perform(exchange.refused(status: 501))
      return false
    }
    if isHandshake(route.upgrade) { return true }
    record.reason = "CONNECT for a WebSocket without one Sec-WebSocket-Version"
    perform(exchange.refused(status: 400))
    return false
  }

  @inline(__always) private func isHandshake(_ policy: UpgradePolicy) -> Bool { UpgradeWish.of(head, policy) != nil }

  // MARK: What comes

  /// Bytes of a tunnel that there is, or is to be.
  mutating func takeTunnelData(_ bytes: Span<UInt8>) {
    switch exchange.phase {
    case .idle, .judging, .waiting:
      carrier?.uncredited += bytes.count
      input.append(bytes)
    case .tunneling:
      carrier?.uncredited += bytes.count
      record.bytesIn += UInt64(bytes.count)
      // What TLS has begun with must not move. Written at the end of the turn, however many frames there are by then: small ones cost one write together.
      if let tunnel, tunnel.isEncrypted && tunnel.blockedSince != nil { later.append(bytes) } else { input.append(bytes) }
      markDirty()
    case .collecting, .gathering, .answering, .relaying, .draining, .finished:
      // It was for a tunnel that there is not.
      carrier?.stream.discard(bytes.count)
    }
  }

  /// The client's half is over.
  mutating func takeTunnelEnd(_ trailers: Span<UInt8>) {
    // RFC 9113 section 8.5: nothing but DATA is sent in a tunnel.
    if trailers.count > 0 {
      if let tunnel { _ = writeUpstream(tunnel) }
      return breakRequest("fields in a tunnel")
    }
    carrier?.hasEnded = true
    guard tunnel != nil else { return }
    tunnelEnds.insert(.client)
    markDirty()
  }

  /// The stream is gone. `isWhole`: both halves were ended, and none broken off.
  mutating func tunnelClosed(isWhole: Bool) {
    guard isWhole, tunnelEnds.isSuperset(of: [.client, .toldClient]) else {
      // What came before it is the service's all the same: the words of parting, perhaps, of which browsers wait for no answer.
      if let tunnel { _ = writeUpstream(tunnel) }
      return breakTunnel(by: .client)
    }
    flushTunnel()
    if isClosed { return }
    // The service still has to take what came. It is nobody's stream any more: only the service can tell of something now, and the clock.
    detach()
    armed = nil
    arm()
  }

  private mutating func detach() {
    guard let carrier else { return }
    carrier.stream.leaveTunnel()
    carrier.stream.owner = nil
    self.carrier = nil
  }

  // MARK: What goes

  /// Appends the head that says that there is a tunnel, without its empty line: the service's, less what was proof for us alone.
  mutating func appendConnectAnswer(_ transfer: Transfer, _ scratch: inout FieldSet) {
    carrier?.stream.becomeTunnel()
    if carrier?.hasEnded == true { tunnelEnds.insert(.client) }
    // Once a tunnel.
    var text = ByteBuffer()
    transfer.relayHead(.none, scratch: &scratch, to: &text)
    ResponseWriter.statusLine(200, to: &output)
    Self.appendFields(of: text, to: &output)
  }

  private static func appendFields(of text: borrowing ByteBuffer, to out: inout ByteBuffer) {
    let lines = text.span
    var start = (ASCII.firstIndex(of: 0x0A, in: lines) ?? lines.count - 1) + 1
    while start < lines.count {
      let end = (ASCII.firstIndex(of: 0x0A, in: lines, from: start) ?? lines.count - 1) + 1
      let line = lines.extracting(start..<end)
      let name = line.extracting(0..<(ASCII.firstIndex(of: 0x3A, in: line) ?? 0))
      if !ASCII.equals(name, ignoringCaseOf: "sec-websocket-accept") { out.append(line) }
      start = end
    }
  }

  /// Hands over what the output holds: it is read from the service only as long as the stream may hold more. False when nobody takes it any more.
  mutating func writeToStream(_ carrier: StreamCarrier) -> Bool {
    let stream = carrier.stream
    if stream.isGone { return false }
    if !stream.hasAnswered {
      handOver(isLast: false)
    } else {
      Self.give(output, to: stream)
      output.removeAll()
      worker.markDirtyHTTP2(carrier.session)
    }
    if stream.waiting >= mostOfTunnel() {
      self.carrier?.isFull = true
      stream.tellWhenDrained()
    }
    return true
  }

  private static func give(_ bytes: borrowing ByteBuffer, to stream: HTTP2Stream) { stream.give(bytes.span) }

  /// Bytes waiting for the client from which on the service is not read: no fewer than those of which the session tells that they have gone.
  private mutating func mostOfTunnel() -> Int { isOneOfMany() ? Limits.streamHigh : Limits.bodyChunk }

  /// How much is read of the service at once.
  mutating func tunnelChunk() -> Int { mostOfBody() ?? Limits.readChunk }

  /// The client has taken some of what waited.
  mutating func streamDrained(_ tunnel: Tunnel) {
    guard let carrier, carrier.isFull, carrier.stream.waiting < mostOfTunnel() else { return }
    self.carrier?.isFull = false
    // Of what was read ahead the poller doesn't tell.
    if tunnel.isEncrypted { tunnel.readLater() }
  }

  /// Ends our half.
  mutating func endSendingToClient() {
    guard let carrier else { return stream.shutdownWrite() }
    if !output.isEmpty { handOver(isLast: false) }
    carrier.stream.finish(trailers: ByteBuffer())
    worker.markDirtyHTTP2(carrier.session)
  }

  /// One side is gone.
  mutating func breakStream(by side: TunnelEnds) {
    guard let carrier else { return }
    // RFC 9113 section 8.5.
    carrier.stream.reset(side == .client ? .cancel : .connectError)
    worker.markDirtyHTTP2(carrier.session)
  }

  // MARK: No tunnel

  /// Before a head is handed over: with the final one, what came for a tunnel is dropped where there is none. False, and the stream is reset, where the answer
  /// would pass for one, which nothing here lets come about.
  mutating func mayAnswerConnect() -> Bool {
    // An interim head decides nothing.
    if tunnel != nil || output.count < 12 || output[9] == 0x31 { return true }
    if let carrier, !input.isEmpty {
      carrier.stream.discard(input.count)
      self.carrier?.uncredited = 0
      input.removeAll()
      input.release()
    }
    return output[9] != 0x32
  }
}
