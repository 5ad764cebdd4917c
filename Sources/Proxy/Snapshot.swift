// One state of the configuration, whole and immutable. A reload makes another; an exchange keeps the one that it began with.
//
// The users are not in it: they may be a million, and a connection that stays for hours would keep a table in memory that nobody asks any
// more. Workers hold the gatekeeper of now beside it, and only while a request is judged is it looked at.

import Auth
import Net
import Primitives
import Upstream

/// What workers read while they serve.
final class Snapshot: Sendable {
  let settings: Settings
  let router: Router
  let endpoints: Endpoints
  /// What is asked of passwords that are set over HTTP.
  let passwords: PasswordRules?
  let rules: ForwardingRules
  /// By index of the router's routes.
  let logTexts: [AccessLogFormat.RouteTexts]
  /// The parameter of a query that holds a ticket; empty for none.
  let ticketParameter: [UInt8]
  let challenge: Replies.Challenge
  let invalidTokenChallenge: Replies.Challenge
  /// The same for scripts that are not to be challenged by Basic.
  let silentChallenge: Replies.Challenge
  let silentInvalidTokenChallenge: Replies.Challenge

  init(settings: Settings, passwords: PasswordRules? = nil) {
    self.settings = settings
    self.passwords = passwords
    router = Router(settings.routes)
    endpoints = Endpoints(settings)
    let ticketParameter = settings.tokens?.ticketParameter ?? []
    self.ticketParameter = ticketParameter
    rules = ForwardingRules(
      settings.forwarding, apiKeyField: settings.gatekeeper.apiKeyField, ticketParameter: ticketParameter)
    logTexts = router.routes.map { AccessLogFormat.RouteTexts(route: $0.label, upstream: settings.upstreams[$0.upstream].name) }
    (challenge, invalidTokenChallenge) = Replies.renderChallenges(realm: settings.gatekeeper.realm, offersBearer: true)
    (silentChallenge, silentInvalidTokenChallenge) = Replies.renderSilentChallenges(realm: settings.gatekeeper.realm)
  }
}

/// What other threads tell a worker.
enum WorkerMessage: Sendable {
  /// A password check that one of its exchanges waits for.
  case checked(SlotToken, serial: UInt64, PasswordCheck, CheckOutcome)
  /// The answer that one of its exchanges waits for.
  case answered(SlotToken, serial: UInt64, OwnReply)
  /// What the answer to one of its exchanges waited for has been done, or could not be.
  case goOn(SlotToken, serial: UInt64, isDone: Bool)
  /// From now on serve by this. Who posts it keeps the gatekeeper before until no worker has it, so that no worker is the one that takes a
  /// million users apart.
  case adopt(Snapshot, Gatekeeper)
  /// Say that everything that was told before has been done.
  case sign(Adoption)
  /// Accept no more, finish what runs until then.
  case drain(until: Instant)
}
