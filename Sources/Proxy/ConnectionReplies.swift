// How a connection ends an exchange: our own answers, the log's line, and what becomes of the connection then.

import Auth
import HTTP
import Net
import Primitives
import Upstream

extension Connection {
  // MARK: Answers of our own

  mutating func writeReply(_ status: Int, closes: Bool) {
    var details = beginReply(status, closes: closes)
    if let i = head.firstIndex(of: .accept) { details.wantsJSON = Replies.wantsJSON(accept: head.bytes[head.fields[i].value]) }
    details.words = record.words
    switch status {
    case 401: details.challenge = challenge
    case 429: details.retryAfter = retryAfter
    case 503: details.retryAfter = record.refusal == .maintenance ? Limits.maintenancePause : 5
    case 405: details.allow = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
    default: break
    }
    sentBearer = false
    details.isOverBound = record.refusal == .bound
    if !details.wantsJSON { details.page = page(status) }
    let date = worker.date
    record.bytesOut += UInt64(Replies.write(status, details, date: date.span, requestID: requestID, to: &output))
    markDirty()
  }

  /// What an operator has written for such an answer, for people to read.
  private mutating func page(_ status: Int) -> [UInt8]? {
    if record.refusal == .maintenance, let route = record.route, let page = snapshot.traits[route].care?.terms.maintenance?.page { return page }
    return snapshot.errorPages.isEmpty ? nil : snapshot.errorPages[status]
  }

  private var challenge: Replies.Challenge {
    let isSilent = record.route.map { snapshot.router.routes[$0].isSilentForScripts } ?? snapshot.settings.isSilentForScripts
    if isSilent && ScriptRequest.isOne(head) {
      return sentBearer ? snapshot.silentInvalidTokenChallenge : snapshot.silentChallenge
    }
    return sentBearer ? snapshot.invalidTokenChallenge : snapshot.challenge
  }

  mutating func beginReply(_ status: Int, closes: Bool) -> Replies.Details {
    endTransfer()
    record.status = status
    repliedAt = worker.now
    var details = Replies.Details()
    details.isHead = head.method == .head
    details.closes = closes && head.version != .http2
    details.transportSecurity = transportSecurity
    details.saysKeepAlive = !closes && head.version == .http10
    return details
  }

  // MARK: The end of an exchange

  mutating func end(_ ending: Exchange.Ending) {
    log(ending)
    endTransfer()
    stay = nil
    if carrier != nil { return endStream(ending) }
    switch ending {
    case .again:
      reset()
    case .linger:
      closesWhenFlushed = exchange.isRequestComplete && input.isEmpty ? .gone : .linger
      markDirty()
    case .abort:
      // What is delimited by length or chunks is recognisably cut short by the mere end; what is delimited by the end needs a reset.
      if exchange.responseFraming == .untilClose { stream.resetOnClose() }
      closesWhenFlushed = .abort
      markDirty()
    case .gone:
      close()
    }
  }

  mutating func log(_ ending: Exchange.Ending) {
    guard serial != 0 else { return }
    if ending == .gone && record.status == 0 { record.status = 499 }
    serial = 0
    guard snapshot.logsRequests else { return }
    let duration = worker.now.since(record.began)
    // Of a request about another, the other is of interest.
    if record.isInquiry, let inquiry {
      worker.log(record, inquiry.head, peer, client, requestID, snapshot, duration)
    } else {
      worker.log(record, head, peer, client, requestID, snapshot, duration)
    }
  }

  /// Ready for the next request of the connection.
  mutating func reset() {
    exchange = Exchange()
    heldRefusal = nil
    own = nil
    parser.reset()
    // What a large one took is given back at once: there are many heads, and few of them are large.
    if head.bytes.count > Limits.keptBuffer { head = RequestHead() } else { head.reset() }
    record = ExchangeRecord()
    lastRead = worker.now
  }

  /// Goes by the configuration of now, in all its parts: limits, users, and whether the peer is trusted. Not in the middle of a head.
  mutating func adoptLatest() {
    guard snapshot !== worker.snapshot else { return }
    snapshot = worker.snapshot
    parser = HeadParser(limits: snapshot.headLimits)
    peer = Peer(peer, in: snapshot)
  }
}
