// One request and its answer as a state machine: events in, one action out. No bytes, no sockets, no clock: `Connection` moves the bytes and
// asks here what to do with them.

import HTTP
import Primitives

/// Where an exchange stands, and what is to be done next.
struct Exchange: Equatable {
  /// The way of an exchange. It begins `idle`, ends `finished`, and never goes back.
  enum Phase: Equatable {
    /// The head is not complete. Followed by `judging`, `replying`.
    case idle
    /// The head is there; who asks, and whether they may, is being found out (a password check may be with the pool).
    /// Followed by `waiting`, `gathering`, `collecting`, `answering`, `replying`.
    case judging
    /// To be answered by ourselves: the request's body is read into memory. Followed by `answering`, `replying`.
    case collecting
    /// The body is there; the answer is being made, perhaps by another thread. Followed by `replying`.
    case answering
    /// To be forwarded, when so much of the request's body is in memory as the route wants. Followed by `waiting`, `replying`.
    case gathering
    /// Forwarded; no final head came yet. Followed by `relaying`, `replying`, `tunneling`.
    case waiting
    /// The final head is on its way to the client, the body follows. Followed by `draining`, `finished`.
    case relaying
    /// The upstream has switched to the protocol that was asked for: HTTP is over. Followed by `finished`.
    case tunneling
    /// An answer of our own is written; what is left of a short request body is read and dropped. Followed by `finished`.
    case draining
    /// Over. What becomes of the connection is in the payload.
    case finished(Ending)
  }

  /// What becomes of the connection.
  enum Ending: Equatable {
    /// The next request may come.
    case again
    /// Close, but let the client read what was written to it first.
    case linger
    /// Close at once, with a reset: the answer is visibly unfinished.
    case abort
    /// Close; nobody is there.
    case gone
  }

  enum Action: Equatable {
    case none
    /// Find out who asks and whether they may.
    case judge
    /// Compose the request and start the transfer.
    case forward
    /// Answer with a message of our own; `closes` says to write `Connection: close`. Cancel the transfer if there is one.
    case reply(status: Int, closes: Bool)
    /// The request is whole: make the answer, and say so by `answered`.
    case answer
    /// Write `HTTP/1.1 100 Continue`.
    case sendContinue
    /// Write the upstream's head, with this framing.
    case relayHead(ResponseFraming, closes: Bool)
    /// Write the upstream's 101, and pass bytes on from there.
    case openTunnel
    /// The response is whole: write the last chunk, if chunked, and end.
    case finish(Ending)
    /// End without another byte.
    case stop(Ending)
  }

  /// What the machine needs to know of a request's head.
  struct Request: Equatable {
    var framing: BodyFraming
    var method: Method
    var version: Version
    var isPersistent: Bool
    var expectsContinue: Bool
  }

  private(set) var phase = Phase.idle
  private(set) var request = Request(framing: .none, method: .get, version: .http11, isPersistent: false, expectsContinue: false)
  /// Whether the whole request body was taken from the client.
  private(set) var isRequestComplete = false
  /// How the response is framed towards the client.
  private(set) var responseFraming = ResponseFraming.none
  /// Whether body bytes follow the response's head.
  private(set) var responseHasBody = false
  private(set) var status = 0
  private var isContinueOwed = false
  private var bodyLimit: UInt64?
  private var bodyCount: UInt64 = 0
  private var closes = false
  /// Whether the connection may bring another request after this one, as far as the server is concerned.
  private var mayPersist = true

  // MARK: Events

  /// The request's head is complete. `mayPersist` is false for a connection's last request (its count is used up, or the server drains).
  mutating func began(_ request: Request, mayPersist: Bool) -> Action {
    assert(phase == .idle)
    self.request = request
    self.mayPersist = mayPersist
    switch request.framing {
    case .none, .length(0): isRequestComplete = true
    default: isContinueOwed = request.expectsContinue
    }
    phase = .judging
    // RFC 9110 section 9.3.6: a tunnel is not what a gateway offers. A tunnel's bytes must not be read as requests either, hence the close.
    if request.method == .connect { return reply(501, forcingClose: true) }
    // RFC 9110 section 9.3.2 gives the content of a HEAD request no meaning; forwarding it would only be a way to hide a request in it.
    if request.method == .head && !isRequestComplete { return reply(400, forcingClose: true) }
    return .judge
  }

  /// The head, or what follows it, can't be understood: where the next request would begin is unknown.
  mutating func failed(status: Int) -> Action {
    switch phase {
    case .idle, .judging, .collecting, .answering, .gathering, .waiting: return reply(status, forcingClose: true)
    case .relaying, .tunneling: return stop(.abort)
    case .draining: return stop(.linger)
    case .finished: return .none
    }
  }

  /// The request is ours to answer, once we have its body, which may have `bodyLimit` bytes.
  mutating func accepted(bodyLimit: UInt64) -> Action {
    guard phase == .judging else { return .none }
    self.bodyLimit = bodyLimit
    if case .length(let n) = request.framing, n > bodyLimit { return reply(413) }
    if isRequestComplete {
      phase = .answering
      return .answer
    }
    phase = .collecting
    guard isContinueOwed else { return .none }
    isContinueOwed = false
    return .sendContinue
  }

  /// The answer of our own is made. Whatever is left of the body is dealt with as for a refusal.
  mutating func answered(status: Int) -> Action {
    switch phase {
    case .judging, .collecting, .answering: return reply(status)
    default: return .none
    }
  }

  /// Forwarding is granted. `bodyLimit` is the route's.
  mutating func granted(bodyLimit: UInt64?) -> Action {
    guard phase == .judging else { return .none }
    self.bodyLimit = bodyLimit
    if let bodyLimit, case .length(let n) = request.framing, n > bodyLimit { return reply(413) }
    phase = .waiting
    return .forward
  }

  /// The same of a request whose body is to be in memory first, in whole or in part (`gathered`). `.none` when it may come.
  mutating func gathers(bodyLimit: UInt64?) -> Action {
    guard phase == .judging, !isRequestComplete else { return .none }
    self.bodyLimit = bodyLimit
    if let bodyLimit, case .length(let n) = request.framing, n > bodyLimit { return reply(413) }
    phase = .gathering
    guard isContinueOwed else { return .none }
    isContinueOwed = false
    return .sendContinue
  }

  /// So much of the body is there that the request goes on; the rest follows as it comes.
  mutating func gathered() -> Action {
    guard phase == .gathering else { return .none }
    phase = .waiting
    return .forward
  }

  /// A file is there to be sent. What follows is as with an upstream's answer; `length` is nil for a 304.
  mutating func served(status: Int, length: UInt64?) -> Action {
    guard phase == .judging else { return .none }
    phase = .waiting
    return upstreamAnswered(status: status, length: length)
  }

  /// The request is answered by ourselves: refused, or not ours to forward.
  mutating func refused(status: Int) -> Action {
    switch phase {
    case .judging, .collecting, .answering, .gathering, .waiting: return reply(status)
    default: return .none
    }
  }

  /// `n` bytes of the request's body were read and decoded.
  mutating func received(body n: Int) -> Action {
    bodyCount += UInt64(n)
    // Bytes that come although we never said 100 are as good as the 100 itself (RFC 9110 section 10.1.1).
    isContinueOwed = false
    guard let bodyLimit, bodyCount > bodyLimit else { return .none }
    switch phase {
    case .collecting, .gathering, .waiting: return reply(413, forcingClose: true)
    case .relaying: return stop(.abort)
    default: return .none
    }
  }

  /// The request's body is whole.
  mutating func requestCompleted() -> Action {
    isRequestComplete = true
    isContinueOwed = false
    switch phase {
    case .draining:
      return stop(mayPersist && request.isPersistent && !closes ? .again : .linger)
    case .collecting:
      phase = .answering
      return .answer
    case .gathering:
      return gathered()
    default:
      return .none
    }
  }

  /// The upstream is ready to take the request's body.
  mutating func upstreamWantsBody() -> Action {
    guard isContinueOwed, phase == .waiting else { return .none }
    isContinueOwed = false
    return .sendContinue
  }

  /// The final head came from the upstream. `length` is its Content-Length.
  mutating func upstreamAnswered(status: Int, length: UInt64?) -> Action {
    guard phase == .waiting else { return .none }
    self.status = status
    frame(status: status, length: length)
    // While the client is still sending, where its next request begins can't be promised: RFC 9112 section 9.6.
    closes = !mayPersist || !request.isPersistent || responseFraming == .untilClose || !isRequestComplete
    phase = .relaying
    return .relayHead(responseFraming, closes: closes)
  }

  /// The upstream has switched protocols, as the request asked it to. Only a request without a body asks (`UpgradeWish`).
  mutating func upstreamSwitched() -> Action {
    guard phase == .waiting, isRequestComplete else { return .none }
    status = 101
    phase = .tunneling
    return .openTunnel
  }

  /// The tunnel has ended, and both sides know.
  mutating func tunnelEnded() -> Action {
    guard phase == .tunneling else { return .none }
    return stop(.gone)
  }

  /// The upstream's response is whole.
  mutating func upstreamCompleted() -> Action {
    guard phase == .relaying else { return .none }
    let ending: Ending = closes ? .linger : .again
    phase = .finished(ending)
    return .finish(ending)
  }

  /// The upstream failed; `status` is the answer for a client that has had none.
  mutating func upstreamFailed(status: Int) -> Action {
    switch phase {
    case .gathering, .waiting: return reply(status)
    // RFC 9112 section 8: an incomplete message must be recognisable; a clean end would pass off a part for the whole.
    case .relaying: return stop(.abort)
    default: return .none
    }
  }

  /// A time limit on the client's side passed: the head (before its end), the body, or the reading of the answer.
  mutating func clientTimedOut() -> Action {
    switch phase {
    case .idle, .judging, .collecting, .answering, .gathering: return reply(408, forcingClose: true)
    case .waiting: return isRequestComplete ? stop(.gone) : reply(408, forcingClose: true)
    case .relaying, .tunneling: return stop(.abort)
    case .draining: return stop(.linger)
    case .finished: return .none
    }
  }

  /// The client closed its side, or is gone. Nobody waits for the answer: the transfer is to be cancelled.
  mutating func clientClosed() -> Action {
    if case .finished = phase { return .none }
    return stop(.gone)
  }

  /// The server drains: this is the connection's last request, unless its answer has already promised another.
  mutating func stopPersisting() {
    mayPersist = false
  }

  // MARK: Inside

  /// Answers with a message of our own. The unread rest of the body is read and dropped if it is short and sure to come; otherwise the
  /// connection can't be used again, since what follows might be read as a request (Pingora CVE-2025-4366).
  private mutating func reply(_ status: Int, forcingClose: Bool = false) -> Action {
    self.status = status
    var drains = false
    // A stream is reset for it (RFC 9113 section 8.1), and the others go on.
    if !isRequestComplete, request.version != .http2, case .length(let n) = request.framing, !request.expectsContinue {
      drains = n - min(n, bodyCount) <= Limits.drainBytes
    }
    closes = forcingClose || !mayPersist || !request.isPersistent || !(isRequestComplete || drains)
    if closes {
      phase = .finished(.linger)
    } else {
      phase = isRequestComplete ? .finished(.again) : .draining
    }
    return .reply(status: status, closes: closes)
  }

  private mutating func stop(_ ending: Ending) -> Action {
    phase = .finished(ending)
    return .stop(ending)
  }

  /// Whether fields may follow the response's body, which may have no byte: not what has no content by its nature (RFC 9110 section 6.4.1).
  var mayHaveTrailers: Bool { request.method != .head && status != 204 && status != 304 }

  /// RFC 9112 section 6.3, towards the client.
  private mutating func frame(status: Int, length: UInt64?) {
    // Rule 1: these have no body, whatever their fields say. A 304's or HEAD's Content-Length tells of another answer and is passed on.
    if request.method == .head || status == 204 || status == 304 {
      responseHasBody = false
      responseFraming = status == 204 ? .none : length.map { .length($0) } ?? .none
      return
    }
    responseHasBody = length != 0
    if let length {
      responseFraming = .length(length)
    } else {
      switch request.version {
      case .http11: responseFraming = .chunked
      case .http10: responseFraming = .untilClose
      case .http2: responseFraming = .byStream
      }
    }
  }
}
