// One connection on which HTTP/2 is spoken with an upstream, for many requests at once: its bytes go to and come from an `HTTP2ClientSession`, and what
// that has recorded goes to the transfers. What an answer may be is theirs to say.

import Glibc
import HTTP2
import Net
import Primitives

/// Made by libcurl, as those of HTTP/1.1 are. Lives until the server ends it, or until it has been unused for a while.
@safe final class MultiplexedConnection {
  /// Moves the bytes.
  let wire: HTTP1Connection
  /// Not the pool, which may be going.
  let multiplex: Multiplex
  private unowned let client: UpstreamClient
  private let session: HTTP2ClientSession
  /// Whether it is for one request, whose credentials may become the connection's.
  private let isExclusive: Bool
  /// That request, until it has a stream.
  private var only: HTTP2Transfer?
  /// Frames that were begun to be written. With TLS, OpenSSL may have looked at them, and they must neither change nor move.
  private var sending = ByteBuffer()
  /// Heads and trailers, one at a time.
  private var text = ByteBuffer()
  private var idleSince: Instant?
  private var isOpen = true
  private var hasGreeted = false
  /// Whether a request was answered on it.
  private(set) var hasServed = false
  private var isFlushDue = false
  private var isReadDue = false
  /// The server takes nothing more.
  private var isMute = false
  /// When something came last, when the first request was sent since, and whether either is too long ago: requests were given up meanwhile.
  private var heardAt = Instant(nanoseconds: 0)
  private var askedAt: Instant?
  private var isSilent = false
  /// Since when the server takes nothing of what waits to be written; nil while nothing does.
  private(set) var blockedSince: Instant?

  init(_ wire: HTTP1Connection, _ multiplex: Multiplex, for only: HTTP2Transfer?, client: UpstreamClient) {
    self.wire = wire
    self.multiplex = multiplex
    self.only = only
    isExclusive = only != nil
    self.client = client
    session = HTTP2ClientSession(limits: client.headLimits, now: client.now)
  }

  // MARK: Requests

  /// Whether it may take a request now.
  var mayTake: Bool { isOpen && hasGreeted && !isMute && !isSilent && !isExclusive && !isTooOld && !isStalled && session.room > 0 }

  /// Whether somebody's request is under way.
  var hasRequests: Bool { session.openStreams > 0 }

  /// Whether the server has said that it takes no more requests here.
  var isGoingAway: Bool { session.isGoingAway }

  private var isTooOld: Bool {
    guard let most = multiplex.options.longestConnection else { return false }
    return wire.madeAt.advanced(by: most) <= client.now
  }

  /// Whether the server has taken nothing for as long as a connection may take to be made: on another one it may.
  private var isStalled: Bool {
    guard let blockedSince else { return false }
    return blockedSince.advanced(by: multiplex.options.connectTimeout) <= client.now
  }

  /// False when the request can't be sent here.
  func take(_ transfer: HTTP2Transfer) -> Bool {
    guard isOpen, session.room > 0, let storage = transfer.storage else { return false }
    session.now = client.now
    // It may have waited for this connection.
    if storage.assertion != nil { _ = storage.renewAssertion() }
    let scheme: RequestFields.Scheme = multiplex.options.scheme == .https ? .https : .http
    guard
      let stream = session.request(
        storage.texts.span, scheme: scheme, authority: multiplex.authority, body: transfer.bodyForm, takesTrailers: transfer.shape.takesTrailers,
        owner: transfer)
    else { return false }
    idleSince = nil
    if askedAt == nil { askedAt = client.now }
    multiplex.askedAt = client.now
    transfer.attached(to: self, stream)
    flushLater()
    return true
  }

  /// A request that went out at `sent` got no answer for as long as somebody waited. Where nothing else came either, for as long as a connection may take
  /// to be made, nobody may be there any more: others go onto a new one. Others may have been given up before it, each too soon to tell.
  func gaveUp(_ sent: Instant) {
    let since = min(max(heardAt, sent), askedAt ?? .distantFuture)
    if since.advanced(by: multiplex.options.connectTimeout) <= client.now { isSilent = true }
  }

  /// A transfer has its whole answer.
  func answered() {
    hasServed = true
    session.answered()
  }

  // MARK: When

  /// The connection stands: we say what we take, and the server has to say what it does, of which `word` was read already.
  func begin(with word: borrowing ByteBuffer) {
    client.prune(at: wire.madeAt.advanced(by: multiplex.options.connectTimeout))
    flush()
    if isOpen && !word.isEmpty { took(word) }
    isReadDue = wire.isEncrypted
    flushLater()
  }

  /// Has what there is written at the end of this turn.
  func flushLater() {
    isFlushDue = true
    client.readLater(wire)
  }

  /// Its turn has come, as it had asked for.
  func goOn() {
    if isReadDue {
      isReadDue = false
      read()
    }
    if isFlushDue { flush() }
  }

  func ready(_ readiness: Readiness) {
    if readiness.contains(.writable) { flush() }
    if !readiness.isDisjoint(with: [.readable, .hangup, .peerClosed, .error]) { read() }
  }

  /// Looks at the clock: the server has to have said something, and who is not used goes.
  func prune() {
    guard isOpen else { return }
    if !session.hasSettings {
      let due = wire.madeAt.advanced(by: multiplex.options.connectTimeout)
      if due > client.now { return client.prune(at: due) }
      return lost(UpstreamFailure(.timeout, "the server has said nothing of HTTP/2 within connect_timeout"))
    }
    // Not even that a request was given up can be told: it would be there for as long as the server likes.
    if let blockedSince {
      let due = blockedSince.advanced(by: multiplex.options.idleTimeout)
      if due > client.now { return client.prune(at: due) }
      return lost(UpstreamFailure(.timeout, "the server has taken nothing within idle_timeout"))
    }
    guard let idleSince else { return }
    let due = idleSince.advanced(by: multiplex.options.reuseWithin)
    if due > client.now { return client.prune(at: due) }
    say(.noError)
    close()
  }

  // MARK: Bytes in

  private func read() {
    guard isOpen else { return }
    session.now = client.now
    // So many reads, then others have their turn.
    for _ in 0..<8 {
      var input = ByteBuffer()
      swap(&input, &client.readBuffer.value)
      let result = wire.read(into: &input, atMost: UpstreamClient.readSize)
      let isDrained = input.count < UpstreamClient.readSize
      if !input.isEmpty {
        heardAt = client.now
        askedAt = nil
        isSilent = false
        took(input)
      }
      input.removeAll()
      swap(&input, &client.readBuffer.value)
      guard isOpen else { return }
      switch result {
      case .bytes:
        // In clear text the poller tells of more; what OpenSSL holds it doesn't know.
        if isDrained && !wire.isEncrypted { return settle() }
      case .wouldBlock: return settle()
      case .closed: return lost("connection closed")
      case .failed: return lost("connection broken")
      }
    }
    isReadDue = true
    client.readLater(wire)
    settle()
  }

  private func took(_ input: borrowing ByteBuffer) {
    guard session.inspect(input.span) else { return breakOff() }
    var position = 0
    repeat {
      let count = session.receive(input.span.extracting(position..<input.count))
      work(session.takeEvents(), input, position)
      session.forgetTexts()
      guard let count else { return endSession() }
      position += count
    } while isOpen && (position < input.count || session.mustGoOn)
  }

  private func work(_ events: [HTTP2ClientSession.Event], _ input: borrowing ByteBuffer, _ position: Int) {
    for event in events {
      guard let owner = event.stream.owner else {
        // Its answer is used elsewhere, or not at all.
        if case .data = event.kind { event.stream.discard() }
        continue
      }
      let transfer = unsafe unsafeDowncast(owner, to: HTTP2Transfer.self)
      switch event.kind {
      case .head:
        session.appendText(of: event, to: &text)
        transfer.tookHead(text)
        text.removeAll()
      case .trailers:
        session.appendText(of: event, to: &text)
        transfer.tookTrailers(text)
        text.removeAll()
      case .data: transfer.tookBody(input.span.extracting((position + event.start)..<(position + event.start + event.count)))
      case .end: transfer.tookEnd()
      case .malformed(let fault): transfer.breakOff(.malformed, "\(fault.reason)")
      case .drained: transfer.drained()
      case .closed: transfer.closed(by: event.code)
      }
    }
  }

  /// What is to follow upon what came.
  private func settle() {
    guard isOpen else { return }
    if session.wantsToWrite { flushLater() }
    if !hasGreeted && session.hasSettings {
      hasGreeted = true
      var waiting: HTTP2Transfer?
      swap(&waiting, &only)
      if let waiting, !take(waiting) { waiting.lost(UpstreamFailure(.unreachable, "the server takes no request (HTTP/2 SETTINGS)")) }
    }
    if hasGreeted && !isExclusive && (multiplex.greeting === self || !multiplex.waiting.isEmpty) { client.serveWaiting(multiplex, with: self) }
    guard hasGreeted, isOpen, session.openStreams == 0 else { return }
    // One that takes no stream at all is of no use to anybody.
    if isExclusive || session.isGoingAway || isTooOld || isSilent || multiplex.isRetired || session.room == 0 {
      say(.noError)
      return close()
    }
    if idleSince == nil {
      idleSince = client.now
      client.prune(at: client.now.advanced(by: multiplex.options.reuseWithin))
    }
  }

  // MARK: Bytes out

  private func flush() {
    isFlushDue = false
    guard isOpen, !isMute else { return }
    session.now = client.now
    while true {
      if sending.isEmpty {
        guard session.produce() else { return lost("HTTP/2 came to nothing") }
        work(session.takeEvents(), ByteBuffer(), 0)
        guard isOpen else { return }
        swap(&sending, &session.out)
        if sending.isEmpty { break }
      }
      switch wire.write(sending) {
      case .bytes(let n):
        sending.consume(n)
        blockedSince = nil
      case .wouldBlock:
        wire.watchWriting(true)
        return stall()
      case .closed, .failed:
        // It may have answered before it hung up, which is then read.
        isMute = true
        wire.watchWriting(false)
        read()
        if isOpen { stall() }
        return
      }
    }
    wire.watchWriting(false)
    if session.isOver { return endSession() }
    // What was reset is closed by it.
    if hasGreeted && session.openStreams == 0 && idleSince == nil { settle() }
  }

  /// What waits is not taken.
  private func stall() {
    // Nobody waits for anything of it either.
    if hasGreeted && session.openStreams == 0 { return close() }
    guard blockedSince == nil else { return }
    blockedSince = client.now
    client.prune(at: client.now.advanced(by: multiplex.options.idleTimeout))
  }

  /// Tells the server why, as far as there is room for it.
  private func say(_ code: HTTP2ErrorCode) {
    // Of what is closed, the descriptor may be another connection's.
    guard isOpen, !isMute else { return }
    session.end(code)
    guard sending.isEmpty, session.produce() else { return }
    swap(&sending, &session.out)
    if !sending.isEmpty { _ = wire.write(sending) }
  }

  // MARK: The end

  /// Nothing more is to be read.
  private func endSession() {
    // So it is after the server's GOAWAY when nothing is under way.
    guard isOpen else { return }
    guard session.flood == nil, session.isGoingAway, session.openStreams == 0 else { return breakOff() }
    // Where it goes away with its first words, there are those who wait for it.
    if hasGreeted { close() } else { lost(UpstreamFailure(.unreachable, "the server goes away before it takes a request")) }
  }

  /// The server does what nobody may.
  private func breakOff() {
    let why: String
    let isFlood = session.flood != nil
    if !session.hasSettings {
      why = "the server does not speak HTTP/2"
    } else if let flood = session.flood {
      why = flood == .reset ? "too many streams reset by the server" : "\(flood.words) (from the server)"
    } else {
      why = "the server breaks HTTP/2's rules"
    }
    say(isFlood ? .enhanceYourCalm : .protocolError)
    lost(UpstreamFailure(.malformed, why))
  }

  private func lost(_ what: String) {
    lost(UpstreamFailure(.unreachable, session.hasSettings ? what : "\(what) before the server said anything of HTTP/2"))
  }

  private func lost(_ failure: UpstreamFailure) {
    guard isOpen else { return }
    let left = session.closeAll()
    let isGreeting = multiplex.greeting === self
    var waiting: HTTP2Transfer?
    swap(&waiting, &only)
    close()
    for stream in left {
      if let owner = stream.owner { unsafe unsafeDowncast(owner, to: HTTP2Transfer.self).lost(failure) }
    }
    if isGreeting { client.failWaiting(multiplex, failure) }
    waiting?.lost(failure)
  }

  func closeIfIdle() {
    guard session.openStreams == 0, only == nil else { return }
    if !hasGreeted && !multiplex.waiting.isEmpty { return }
    say(.noError)
    close()
  }

  /// A request that it had wants nothing more of it.
  func letGo() {
    guard isExclusive else { return }
    only = nil
    if session.openStreams == 0 { close() }
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    multiplex.forget(self)
    wire.close()
  }

  /// Whoever closed the wire tells of it.
  func wireIsGone() { isOpen = false }

  /// Nobody has a request here any more, nor will: what was to be said of those that were given up is said by the end.
  func closeAbandoned() {
    say(.noError)
    close()
  }
}
