// What becomes of an exchange where Gatehouse logs in to the upstream itself: who has no account there, and what the upstream says of ours.

import HTTP
import Login
import Primitives
import Upstream

extension Connection {
  /// As whom we log in for this request; nil when it was refused, which is answered.
  mutating func account(_ login: UpstreamLogin, for user: [UInt8]?) -> Account? {
    guard let account = login.account(for: user) else {
      refuseWithoutAccount()
      return nil
    }
    if case .awsSigV4 = account.scheme {
      var isBeyond = head.target.hasQuery && SigV4.isBeyond(query: head.bytes[head.target.query])
      for i in head.fields.indices where SigV4.isBeyond(head.bytes[head.fields[i].name]) { isBeyond = true }
      if isBeyond {
        record.reason = "the client's x-amz field would be signed with our account"
        record.words = "A field of this request would be done with the gateway's rights"
        perform(exchange.refused(status: 403))
        return nil
      }
    }
    return account
  }

  /// Who asks may pass, and there is no account to let him pass as.
  mutating func refuseWithoutAccount() {
    record.reason = record.user == nil ? "the upstream's account is not for nobody" : "no account at the upstream for this user"
    record.words = "You have no account at the service behind this gateway"
    perform(exchange.refused(status: 403))
  }

  /// The upstream asks for a login, or for another one: it gets it, or does not take our account. That is between it and us: a client that were passed its 401
  /// would be asked for a password that it has not got, and a browser would send it one that is not for it.
  mutating func loginRefused(_ transfer: Transfer) {
    switch worker.client.answerChallenge(transfer) {
    case .again(let next):
      self.transfer = next
      lastUpstream = worker.now
    case .unavailable(let reason): failed(UpstreamFailure(.noToken, reason))
    case .refused(let reason):
      failed(UpstreamFailure(.refusedLogin, "\(reason)"))
    }
  }

  /// What a client is told where our account is not taken.
  static let notLetIn: StaticString = "The service behind this gateway does not let the gateway in"

  /// Whether the route's upstream is logged in to by a field of that name.
  mutating func logsIn(by name: Span<UInt8>) -> Bool {
    guard let route = record.route, let fields = snapshot.traits[route].login?.fields else { return false }
    for field in fields where FieldName.areAliases(name, field.span) { return true }
    return false
  }
}
