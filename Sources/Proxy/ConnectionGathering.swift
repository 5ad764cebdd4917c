// Requests whose bodies are in memory before their upstream is asked for anything: a slow client then costs it neither a connection nor a process. Who may
// pass was asked before the first byte; the target is found again by the same settings when the request goes on.

import Auth
import HTTP
import Net
import Primitives
import Upstream

extension Connection {
  /// Whether the request waits for its body first.
  mutating func gathers(_ care: RouteCare) -> Bool {
    care.terms.uploadBuffer != nil && care.terms.answer == nil && !exchange.isRequestComplete
  }

  /// Who asks may: his request's body is read, and kept with the grant.
  mutating func gather(_ grant: consuming Grant, _ care: RouteCare, _ bodyLimit: UInt64?) {
    guard let stay, let enough = care.terms.uploadBuffer else { return }
    let action = exchange.gathers(bodyLimit: bodyLimit)
    guard exchange.phase == .gathering else {
      record.reason = "the content is larger than the route's body_limit"
      return perform(action)
    }
    let share = GatheredShare(worker.gathered, of: RouteCare.key(of: grant.user, client))
    stay.gathering = UploadGathering(grant, enough: enough, share: share)
    perform(action)
    widenStream()
  }

  /// Some of the body came. False when that was the end of it.
  mutating func gathersOn() -> Bool {
    guard let gathering = stay?.gathering else { return false }
    switch gathering.verdict {
    case .taken:
      // What is whole is sent with its length, so that the end is waited for where it may come.
      if gathering.count > gathering.enough && !body.isComplete { perform(exchange.gathered()) }
      return exchange.phase == .gathering || transfer != nil
    case .tooMuchOfOne:
      refuseForNow("more uploads at once than one user's part of the memory", retryAfter: 1)
      return false
    case .full:
      record.reason = "no memory is left for uploads"
      perform(exchange.refused(status: 503))
      return false
    }
  }

  /// Enough of the body is there.
  mutating func forwardGathered() {
    guard let stay, let gathering = stay.gathering, let grant = gathering.takeGrant(), let index = record.route else { return }
    stay.gathering = nil
    guard stay.takePlace() else { return refuseForNow("too many requests at once", retryAfter: 1) }
    // Trailers go with chunks alone.
    if exchange.isRequestComplete && body.trailers.isEmpty { head.knows(length: UInt64(gathering.count)) }
    // Others have used the worker's buffer since.
    guard findRoute(), record.route == index else { return }
    let route = snapshot.traits[index]
    if route.rewriting != nil || head.destinationCount > 0 { forwardRewritten(grant, index) } else { forward(grant, index, route) }
    guard let transfer else { return }
    var bytes = ByteBuffer()
    let share = gathering.takeBytes(&bytes)
    if transfer.keepsUpload { transfer.keepForLogin(bytes.span) }
    if !bytes.isEmpty { transfer.give(&bytes, burden: share) }
    if exchange.isRequestComplete { endUpload(transfer) }
  }
}
