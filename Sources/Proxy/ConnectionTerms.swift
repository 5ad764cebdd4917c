// Requests at routes that ask more than who may pass (`RouteCare`): refusals for maintenance and bounds, answers that are known beforehand, and the times and
// pace of those that are forwarded.

import Auth
import HTTP
import Net
import Primitives
import Upstream

extension Connection {
  // MARK: Who is refused

  /// Counts the request where its route counts addresses, before anybody is asked who he is. True when it was refused.
  mutating func refusesByRate(_ care: RouteCare) -> Bool {
    if care.gatesBefore.isEmpty { return false }
    return refuses(care.gatesBefore, RouteCare.key(of: client))
  }

  private mutating func refuses(_ gates: [RateGate], _ key: UInt64) -> Bool {
    for gate in gates {
      guard let seconds = gate.take(key, now: worker.now) else { continue }
      refuseForNow("over the rate", retryAfter: seconds)
      return true
    }
    return false
  }

  mutating func refuseForNow(_ reason: String, retryAfter seconds: UInt64) {
    record.reason = reason
    record.refusal = .bound
    retryAfter = seconds
    perform(exchange.refused(status: 429))
  }

  /// Who asks may. True when that was the end of it: the request was refused all the same, or answered by ourselves.
  mutating func settles(_ care: RouteCare, _ user: User?, _ credential: Credential) -> Bool {
    if let maintenance = care.maintenance, maintenance.isOn {
      record.reason = "maintenance"
      record.refusal = .maintenance
      perform(exchange.refused(status: 503))
      return true
    }
    for gate in care.gatesBehind {
      let key = gate.limit.key == .user ? RouteCare.key(of: user, client) : RouteCare.key(of: credential, user, client)
      if let seconds = gate.take(key, now: worker.now) {
        refuseForNow("over the rate", retryAfter: seconds)
        return true
      }
    }
    // An object a request, where a route counts or answers: what it holds has to be given back whatever becomes of the request.
    let stay = RouteStay(care, at: worker.now)
    // Who is slow to send holds none of the route's places meanwhile, but one of his own.
    guard stay.takePlace(of: user, client), gathers(care) || stay.takePlace() else {
      refuseForNow("too many requests at once", retryAfter: 1)
      return true
    }
    self.stay = stay
    switch care.terms.answer {
    case nil: return false
    case .respond(let answer): respond(answer)
    case .redirect(let template): redirect(template)
    case .root(let folder): serve(folder, stay)
    }
    return true
  }

  // MARK: What is known beforehand

  private mutating func respond(_ fixed: FixedAnswer) {
    guard case .reply(let status, let closes) = exchange.answered(status: fixed.status) else { return }
    let details = beginReply(status, closes: closes)
    let date = worker.date
    record.bytesOut += UInt64(Replies.write(fixed, details, date: date.span, to: &output))
    markDirty()
  }

  private mutating func redirect(_ template: RedirectTemplate) {
    var target = ByteBuffer()
    worker.lendTarget(&target)
    let location = template.location(
      host: head.bytes[head.host], path: target.span.extracting(0..<pathLength), query: target.span.extracting(pathLength..<target.count))
    worker.lendTarget(&target)
    guard let location else {
      record.reason = "a redirect needs to know the host, and HTTP/1.0 without Host names none"
      return perform(exchange.refused(status: 400))
    }
    redirect(template.status, to: location)
  }

  mutating func redirect(_ status: Int, to location: [UInt8]) {
    var reply = OwnReply(status)
    reply.fields = [OwnReply.Field("Location", location)]
    answer(reply)
  }

  // MARK: Times

  mutating func idleTimeout(_ transfer: Transfer) -> Interval { stay?.care.terms.times.idle ?? transfer.idleTimeout }

  mutating func responseTimeout(_ transfer: Transfer) -> Interval { stay?.care.terms.times.response ?? transfer.responseTimeout }

  /// When the route's own patience ends, whatever else is waited for.
  mutating func endOfStay() -> Instant {
    guard let stay, exchange.phase == .waiting || exchange.phase == .relaying || exchange.phase == .gathering else { return .distantFuture }
    var end = Instant.distantFuture
    if let total = stay.care.terms.times.total { end = stay.began.advanced(by: total) }
    if let connect = stay.care.terms.times.connect, let transfer, !transfer.wasSent { end = min(end, lastUpstream.advanced(by: connect)) }
    return end
  }

  /// True when that has come: nobody else is asked instead, since it is the request that has taken its time.
  mutating func outstaysTime() -> Bool {
    guard stay != nil, worker.now >= endOfStay() else { return false }
    let isConnected = transfer?.wasSent ?? true
    record.reason = isConnected ? "not done within the route's total_timeout" : "no connection within the route's connect_timeout"
    if exchange.phase == .relaying { record.isAborted = true }
    perform(exchange.upstreamFailed(status: 504))
    return true
  }

  // MARK: Pace

  /// Whether more of the response may be taken, where the route bounds its pace or has it taken ahead.
  mutating func mayTakeMore(_ stay: RouteStay, _ waiting: Int, usual: Int) -> Bool {
    if stay.care.terms.bandwidth != nil && !stay.mayGoOn(at: worker.now) {
      if !stay.isPaceArmed {
        stay.isPaceArmed = true
        worker.schedule(EventToken(kind: Worker.Kind.pace, slot: token), at: stay.due)
      }
      return false
    }
    return waiting < max(usual, stay.care.terms.buffer ?? 0)
  }

  mutating func paceTimerFired() {
    guard !isClosed, let stay else { return }
    // One entry of each way's stands at most.
    if let armed = stay.uploadArmed, worker.now >= armed {
      stay.uploadArmed = nil
      return stay.holdsUpload(at: worker.now) ? armUpload(stay) : goOn()
    }
    stay.isPaceArmed = false
    markDirty()
  }

  /// Whether the request's body is left where it is, for its pace.
  mutating func holdsUpload() -> Bool {
    guard let stay, exchange.phase != .draining else { return false }
    return stay.holdsUpload(at: worker.now)
  }

  /// Has the request's body gone on with when what came of it has had its time.
  mutating func keepUploadsPace(_ count: Int) {
    guard let stay, stay.care.terms.uploadBandwidth != nil else { return }
    stay.received(count, at: worker.now)
    if stay.uploadArmed == nil { armUpload(stay) }
  }

  private mutating func armUpload(_ stay: RouteStay) {
    stay.uploadArmed = stay.uploadDue
    worker.schedule(EventToken(kind: Worker.Kind.pace, slot: token), at: stay.uploadDue)
  }
}

extension Replies {
  /// Writes an answer that is the same for everybody.
  ///
  /// - Returns: the bytes of content that were written.
  static func write(_ answer: FixedAnswer, _ details: Details, date: Span<UInt8>, to out: inout ByteBuffer) -> Int {
    ResponseWriter.statusLine(answer.status, to: &out)
    ResponseWriter.field("Date", date, to: &out)
    out.append(details.transportSecurity)
    if answer.status != 204 {
      ResponseWriter.field("Content-Type", answer.type.span, to: &out)
      ResponseWriter.field("Content-Length", decimal: UInt64(answer.content.count), to: &out)
    }
    if let seconds = details.retryAfter { ResponseWriter.field("Retry-After", decimal: seconds, to: &out) }
    ResponseWriter.field("X-Content-Type-Options", "nosniff", to: &out)
    ResponseWriter.field("Cache-Control", "no-store", to: &out)
    if details.closes {
      ResponseWriter.field("Connection", "close", to: &out)
    } else if details.saysKeepAlive {
      ResponseWriter.field("Connection", "keep-alive", to: &out)
    }
    ResponseWriter.end(to: &out)
    if details.isHead || answer.status == 204 { return 0 }
    out.append(answer.content.span)
    return answer.content.count
  }
}
