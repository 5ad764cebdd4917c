// Requests whose bodies are in memory before their upstream is asked for anything: a slow client then costs it neither a connection nor a process. Who may
// pass was asked before the first byte, and is asked again by the users of then when the request goes on; its target is found again by the same settings.

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
    let owner = GatheringOwner(
      key: RouteCare.key(of: grant.user, client), isStranger: grant.user == nil, wanted: enough + Limits.gatheredPiece)
    let share = GatheredShare(worker.gathered, of: owner)
    stay.gathering = UploadGathering(grant, by: worker.gatekeeper, enough: enough, share: share)
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
      // What others may have is not held for an answer, nor for the little that may be left to read.
      stay?.gathering = nil
      refuseForNow("more uploads at once than one user's part of the memory", retryAfter: 1)
      return false
    case .full:
      stay?.gathering = nil
      record.reason = "no memory is left for uploads"
      perform(exchange.refused(status: 503))
      return false
    }
  }

  /// Enough of the body is there.
  mutating func forwardGathered() {
    guard let stay, let gathering = stay.gathering, let first = gathering.takeGrant(), let index = record.route else { return }
    stay.gathering = nil
    guard stay.takePlace() else { return refuseForNow("too many requests at once", retryAfter: 1) }
    // Trailers go with chunks alone.
    if exchange.isRequestComplete && body.trailers.isEmpty { head.knows(length: UInt64(gathering.count)) }
    // Others have used the worker's buffer since.
    guard findRoute(), record.route == index, let grant = stillGranted(first, gathering) else { return }
    let route = snapshot.traits[index]
    if route.rewriting != nil || head.destinationCount > 0 { forwardRewritten(grant, index) } else { forward(grant, index, route) }
    guard let transfer else { return }
    var bytes = ByteBuffer()
    let share = gathering.takeBytes(&bytes)
    if transfer.keepsUpload { transfer.keepForLogin(bytes.span) }
    if !bytes.isEmpty { transfer.give(&bytes, burden: share) }
    if exchange.isRequestComplete { endUpload(transfer) }
  }

  /// The grant by the users of now, who may be others than when the first byte came: the upstream has heard nothing yet. Nil when there is none any more, and the
  /// request was refused. Tokens are judged in any case, since one may be revoked without anything else changing.
  private mutating func stillGranted(_ grant: consuming Grant, _ gathering: UploadGathering) -> Grant? {
    if case .token = grant.credential {} else if gathering.judgedBy === worker.gatekeeper { return grant }
    var target = ByteBuffer()
    worker.lendTarget(&target)
    var scratch: Secret?
    worker.lendCredentials(&scratch)
    let decision = decision(target, &scratch)
    worker.lendCredentials(&scratch)
    worker.lendTarget(&target)
    switch consume decision {
    case .grant(let fresh):
      record.user = fresh.user
      return fresh
    case .challenge(let refusal): refused(refusal, status: 401)
    case .malformed(let refusal): refused(refusal, status: 400)
    case .deny(let refusal): refused(refusal, status: 403)
    case .tooManyFailures(let refusal, _): refused(refusal, status: 429)
    case .pending:
      record.reason = "the users have changed, and the password would have to be checked again"
      perform(exchange.refused(status: 503))
    }
    return nil
  }
}
