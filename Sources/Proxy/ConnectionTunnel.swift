// A connection whose request was answered by a 101: bytes from the client to the service and back, each no faster than the other side takes them.
// Nothing here looks at what they say.

import HTTP
import Net
import Primitives
import Upstream

/// Which ends of a tunnel are over.
struct TunnelEnds: OptionSet {
  let rawValue: UInt8

  /// The client sends no more.
  static let client = Self(rawValue: 1)
  /// The service sends no more.
  static let upstream = Self(rawValue: 2)
  /// The service was told of the client's end, the client of the service's.
  static let toldUpstream = Self(rawValue: 4)
  static let toldClient = Self(rawValue: 8)
  /// The poller knows the client's socket no longer: all that will come is with the kernel, and it would wake us for that in circles.
  static let unwatched = Self(rawValue: 16)
}

/// A small message costs one event, one read and one write. What the other side does not take at once waits in `input` or `output`, and until it is gone
/// nothing more is read: an idle tunnel has no buffer, a stalled one at most a read's bytes each way.
extension Connection {
  /// Reads of one side in one turn, before others have theirs.
  private static let reads = 8

  /// Writes the 101, and all is a tunnel's from here on. Bytes that the client sent too early were kept, and are the tunnel's first.
  mutating func openTunnel() {
    guard let transfer, let opened = transfer.openedTunnel else { return }
    tunnel = opened
    // A stream has no socket.
    tunnelEnds = carrier == nil ? [] : .unwatched
    worker.tunnels += 1
    record.status = transfer.status
    var scratch = FieldSet()
    worker.lendFieldScratch(&scratch)
    if carrier != nil {
      appendConnectAnswer(transfer, &scratch)
    } else {
      transfer.relayHead(.none, scratch: &scratch, to: &output)
      ResponseWriter.field("Connection", "Upgrade", to: &output)
      transfer.appendUpgrade(to: &output)
    }
    worker.lendFieldScratch(&scratch)
    ResponseWriter.end(to: &output)
    var first = ByteBuffer()
    transfer.lendBody(&first)
    record.bytesOut += UInt64(first.count)
    output.append(first.span)
    first.release()
    transfer.lendBody(&first)
    lastRead = worker.now
    record.bytesIn += UInt64(input.count)
    if opened.isEncrypted { opened.readLater() }
    markDirty()
    // What is armed may be for something that comes later than its silence would be noticed.
    arm()
  }

  // MARK: Events

  /// Something happened to the client's socket.
  mutating func tunnelReady(_ readiness: Readiness) {
    guard let tunnel else { return }
    if readiness.contains(.error) { return breakTunnel(by: .client) }
    if !output.isEmpty && readiness.contains(.writable) {
      guard writeToClient() else { return breakTunnel(by: .client) }
    }
    if input.isEmpty && !tunnelEnds.contains(.client) {
      if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup]) { takeFromClient(tunnel) }
    } else if readiness.contains(.hangup) {
      // Both directions of the socket are over, and what the client said before waits for the service.
      tunnelEnds.insert(.unwatched)
      worker.poller.remove(stream.descriptor)
    }
    settleTunnel()
  }

  /// Something happened to the service's socket.
  mutating func tunnelFed() {
    guard let tunnel else { return }
    if !input.isEmpty {
      guard writeUpstream(tunnel) else { return breakTunnel(by: .upstream) }
      // What the poller does not tell of any more.
      if carrier == nil && input.isEmpty && !tunnelEnds.contains(.client) && (tunnelEnds.contains(.unwatched) || stream.hasBufferedInput) {
        takeFromClient(tunnel)
      }
    }
    if !isClosed && self.tunnel != nil && takesMore && !tunnelEnds.contains(.upstream) { takeFromUpstream(tunnel) }
    settleTunnel()
  }

  /// What waits is written: the 101 and what came with it, or what a side did not take before.
  mutating func flushTunnel() {
    guard let tunnel else { return }
    if carrier != nil { streamDrained(tunnel) }
    if !output.isEmpty && !writeToClient() { return breakTunnel(by: .client) }
    if !input.isEmpty && !writeUpstream(tunnel) { return breakTunnel(by: .upstream) }
    settleTunnel()
  }

  // MARK: Bytes

  /// Reads what the client sent, and hands it on.
  private mutating func takeFromClient(_ tunnel: Tunnel) {
    worker.lendReadBuffer(&input)
    var isBroken: TunnelEnds = []
    reading: for turn in 1...Self.reads {
      switch stream.read(into: &input, atMost: Limits.readChunk) {
      case .bytes(let n):
        lastRead = worker.now
        record.bytesIn += UInt64(n)
        guard writeUpstream(tunnel) else {
          isBroken = .upstream
          break reading
        }
        if !input.isEmpty || (n < Limits.readChunk && !stream.hasBufferedInput) { break reading }
        if turn == Self.reads && stream.hasBufferedInput { readAgain() }
      case .wouldBlock:
        break reading
      case .closed:
        tunnelEnds.insert(.client)
        break reading
      case .failed:
        isBroken = .client
        break reading
      }
    }
    // With TLS towards the service what was begun must not move: it keeps the buffer that was lent, and the worker gets another.
    if input.isEmpty || !tunnel.isEncrypted { returnReadBuffer() }
    if !isBroken.isEmpty { breakTunnel(by: isBroken) }
  }

  /// Reads what the service sent, and hands it on.
  private mutating func takeFromUpstream(_ tunnel: Tunnel) {
    var own = ByteBuffer()
    worker.lendReadBuffer(&own)
    swap(&own, &output)
    var isBroken: TunnelEnds = []
    let most = carrier == nil ? Limits.readChunk : tunnelChunk()
    reading: for turn in 1...Self.reads {
      switch tunnel.read(into: &output, atMost: most) {
      case .bytes(let n):
        lastUpstream = worker.now
        record.bytesOut += UInt64(n)
        guard writeToClient() else {
          isBroken = .client
          break reading
        }
        if !takesMore || (n < most && !tunnel.isEncrypted) { break reading }
        if turn == Self.reads && tunnel.isEncrypted { tunnel.readLater() }
      case .wouldBlock:
        break reading
      case .closed:
        tunnelEnds.insert(.upstream)
        break reading
      case .failed:
        isBroken = .upstream
        break reading
      }
    }
    if !output.isEmpty {
      own.reserve(output.count)
      own.append(output.span)
      output.removeAll()
    }
    swap(&own, &output)
    worker.lendReadBuffer(&own)
    if !isBroken.isEmpty { breakTunnel(by: isBroken) }
  }

  /// Whether what the service sends next may be read.
  private var takesMore: Bool {
    @inline(__always) mutating get { output.isEmpty && carrier?.isFull != true }
  }

  /// False when nobody takes it any more.
  mutating func writeUpstream(_ tunnel: Tunnel) -> Bool {
    while !input.isEmpty {
      switch tunnel.write(input) {
      case .bytes(let n):
        input.consume(n)
        if input.isEmpty && !later.isEmpty { swap(&input, &later) }
      case .wouldBlock: return true
      case .closed, .failed: return false
      }
    }
    return true
  }

  private mutating func writeToClient() -> Bool {
    if let carrier { return writeToStream(carrier) }
    while !output.isEmpty {
      switch stream.write(output) {
      case .bytes(let n):
        output.consume(n)
        blockedSince = nil
      case .wouldBlock:
        if blockedSince == nil { blockedSince = worker.now }
        return true
      case .closed, .failed:
        return false
      }
    }
    return true
  }

  // MARK: What follows

  /// Passes ends on, and asks the poller for what is wanted now. For a message that went through this is a few comparisons.
  private mutating func settleTunnel() {
    guard !isClosed, let tunnel else { return }
    if carrier != nil { giveCredit() }
    if input.isEmpty {
      // A stream's is its own, and the next message needs it again.
      if input.capacity > (carrier == nil ? 0 : Limits.keptBuffer) { input.release() }
      if tunnelEnds.contains(.client) && !tunnelEnds.contains(.toldUpstream) {
        tunnelEnds.insert(.toldUpstream)
        tunnel.endSending()
      }
    }
    if output.isEmpty {
      if output.capacity > 0 { output.release() }
      if tunnelEnds.contains(.upstream) && !tunnelEnds.contains(.toldClient) {
        tunnelEnds.insert(.toldClient)
        endSendingToClient()
      }
    }
    if tunnelEnds.isSuperset(of: [.toldUpstream, .toldClient]) { return endTunnel() }
    tunnel.watch(reading: takesMore && !tunnelEnds.contains(.upstream), writing: !input.isEmpty)
    if !tunnelEnds.contains(.unwatched) {
      var wanted: Interest = input.isEmpty && !tunnelEnds.contains(.client) ? [.read, .peerClosed] : []
      if !output.isEmpty { wanted.insert(.write) }
      if wanted != interest { applyInterest(wanted) }
    }
    if !isClosed && (armed == nil || blockedSince != nil || !input.isEmpty) { arm() }
  }

  /// When the tunnel has been silent for too long. Looked at when the timer fires, which is set anew only then.
  mutating func tunnelDeadline() -> Instant {
    guard let transfer else { return .distantFuture }
    let silent = max(lastRead, lastUpstream).advanced(by: transfer.tunnelTimeout)
    // As with an upload: else a client could leave, and what it sent would hold both connections.
    guard let blocked = tunnel?.blockedSince else { return silent }
    return min(silent, blocked.advanced(by: transfer.idleTimeout))
  }

  // MARK: The end

  /// Ends what is in order: both sides have said all, or are told that nothing more comes.
  mutating func endTunnel(_ reason: String? = nil) {
    if let reason { record.reason = reason }
    if !tunnelEnds.contains(.toldClient) { endSendingToClient() }
    if let tunnel, !tunnelEnds.contains(.toldUpstream) { tunnel.endSending() }
    endTransfer()
    perform(exchange.tunnelEnded())
    close()
  }

  /// One side is gone: the other gets to see that it was not an end.
  mutating func breakTunnel(by side: TunnelEnds) {
    if isClosed { return }
    record.reason = side == .client ? "the client's connection broke" : "the upstream's connection broke"
    if carrier != nil { breakStream(by: side) } else if side == .upstream { stream.resetOnClose() }
    perform(exchange.clientClosed())
    close()
  }
}
