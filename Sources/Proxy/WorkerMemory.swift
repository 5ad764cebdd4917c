// What a worker lends to its connections, so that only who has something to do holds memory: buffers, heads, scratch.

import Auth
import HTTP
import Login
import Primitives
import Upstream

extension Worker {
  /// Exchanges `input` and the buffer that is lent for reading.
  func lendReadBuffer(_ input: inout ByteBuffer) { swap(&input, &readBuffer) }

  /// Memory for a request and its answer, which neither had.
  func lendMemory(_ head: inout RequestHead, _ output: inout ByteBuffer) {
    if var spare = spareHeads.take() { head.exchangeMemory(&spare) }
    if output.capacity == 0, let spare = spareOutputs.take() { output = spare }
  }

  /// The head was reset, the output is empty: both are left without memory.
  func takeMemoryBack(_ head: inout RequestHead, _ output: inout ByteBuffer) {
    var spareHead = RequestHead.Memory()
    head.exchangeMemory(&spareHead)
    if !spareHeads.isFull { spareHeads.give(consume spareHead) }
    var spareOutput = ByteBuffer()
    swap(&output, &spareOutput)
    if spareOutput.capacity > Limits.keptBuffer {
      client.giveBuffer(consume spareOutput)
    } else if !spareOutputs.isFull {
      spareOutputs.give(consume spareOutput)
    }
  }

  func nextIdentifier() -> RequestIdentifier { identifiers.make() }

  /// Exchanges `target` and the target that the routing left, as it will be forwarded: to be given back before anybody else asks for it.
  func lendTarget(_ target: inout ByteBuffer) { swap(&target, &targetBuffer) }

  /// Exchanges `scratch` and the memory for decoded credentials, which is wiped after each use.
  func lendCredentials(_ scratch: inout Secret?) { swap(&scratch, &credentials) }

  /// Exchanges `set` and the one that is lent for finding fields.
  func lendFieldScratch(_ set: inout FieldSet) { swap(&set, &fieldScratch) }

  /// `Forwarding.compose` with what the worker lends.
  func compose(
    _ head: borrowing RequestHead, target: borrowing ByteBuffer, _ rules: ForwardingRules, _ route: RouteTraits, _ peer: Peer,
    methodIsJudged: Bool, _ requestID: borrowing RequestIdentifier, _ account: Account?, _ grant: consuming Grant,
    _ rewritten: RewrittenRequest? = nil
  ) -> UpstreamRequest {
    // Taken out for as long as it is written to, since a class's property is checked for overlapping access at each use.
    var dropped = FieldSet()
    swap(&dropped, &fieldScratch)
    defer { swap(&dropped, &fieldScratch) }
    // One look where nothing is signed.
    var assertion: Assertion?
    if let signer = route.assertion, let user = grant.user {
      assertion = assertions.assertion(signer, for: user.name, user.groups, at: wallNow)
      // The service then has nobody to serve, which is for it to say.
      if assertion == nil { complain(of: "assert_jwt", "no assertion for a user: the groups are too many, or signing failed (request \(requestID.text))") }
    }
    return Forwarding.compose(
      head, target: target, rules, route.authorization, upgrade: route.upgrade, peer, methodIsJudged: methodIsJudged, requestID: requestID,
      login: account.map { Forwarding.OwnLogin(account: $0, fields: route.login?.fields ?? []) }, assertion: assertion, grant,
      storage: client.takeStorage(), dropped: &dropped, rewritten)
  }

  /// Has a line written to the access log.
  func log(
    _ record: borrowing ExchangeRecord, _ head: borrowing RequestHead, _ peer: Peer, _ client: ClientAddress,
    _ requestID: borrowing RequestIdentifier, _ snapshot: Snapshot, _ duration: UInt64
  ) {
    var lines = ByteBuffer()
    swap(&lines, &logLines)
    var times = logTimes
    AccessLogFormat.append(
      record, head: head, peer: peer, client: client, requestID: requestID, snapshot: snapshot, duration: duration, times: &times, to: &lines)
    swap(&lines, &logLines)
    logTimes = times
  }
}
