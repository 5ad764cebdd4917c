// Requests that wait for a token to log in with: those that come while there is none, and those whose token the server has refused. One worker's.

import HTTP
import Login
import Net
import Primitives

extension UpstreamClient {
  /// How long a request waits for a token: longer than it may take to fetch one.
  static let tokenPatience = Interval.milliseconds(UInt64(CurlTokenOptions.timeout) + 2_000)
  /// Requests of one worker that wait for tokens, all upstreams together; 503 beyond.
  static let mostTokenWaits = 1024

  /// Has a request wait, where a token may come.
  func awaitToken(
    _ request: consuming UpstreamRequest, at balancer: Balancer, key: UInt64?, owner: SlotToken, _ tokens: TokenAtHand
  ) throws(UpstreamFailure) -> Transfer {
    var reason: String?
    if case .none(let words) = tokens.want(after: 0, at: now) { reason = words }
    if tokenWaits.count >= Self.mostTokenWaits { reason = "too many requests wait for a token" }
    if let reason {
      giveStorage(request.storage)
      throw UpstreamFailure(.noToken, "there is no token to log in with: \(reason)")
    }
    let transfer = WaitingTransfer(at: balancer, key: key, until: now.advanced(by: Self.tokenPatience), client: self)
    var request = request
    request.seal()
    transfer.storage = request.storage
    transfer.shape = request.shape
    transfer.startedAt = now
    transfer.owner = owner
    if case .none = request.framing { transfer.isUploadEnded = true }
    wait(transfer, forTokenAfter: 0)
    return transfer
  }

  private func wait(_ transfer: WaitingTransfer, forTokenAfter number: Int) {
    transfer.tokenAfter = number
    transfer.isRunning = true
    running += 1
    tokenWaits.append(transfer)
    // News may have come between the question and the place in the list.
    areQueuesDue = true
  }

  /// The server has refused our token. Has the request wait for another one, if that may help and it can be sent once more.
  func answerRefusedToken(_ challenged: Transfer, _ storage: RequestStorage, _ pool: UpstreamPool, _ tokens: TokenAtHand) -> LoginAnswer {
    let number = storage.nonceGeneration ?? 0
    guard storage.loginRounds == 0, tokens.isWorthReplacing(number, at: now) else { return .refused(tokens.refusal) }
    if case .none(let reason) = tokens.want(after: number, at: now) { return .unavailable("it answered 401, and there is no other token: \(reason)") }
    guard challenged.isBodyRepeatable else {
      return .refused("it answered 401 when the request's body was on its way, which can't be sent twice; another token is fetched")
    }
    storage.loginRounds += 1
    if challenged.keepsForLogin { challenged.rewindUpload() }
    let transfer = WaitingTransfer(returningTo: pool, until: now.advanced(by: Self.tokenPatience), client: self)
    handOver(challenged, into: transfer)
    wait(transfer, forTokenAfter: number)
    return .again(transfer)
  }

  func serveTokenWaits(at now: Instant) {
    var list: [WaitingTransfer] = []
    swap(&list, &tokenWaits)
    for transfer in list {
      guard let tokens = transfer.tokens, let storage = transfer.storage, let number = transfer.tokenAfter else {
        fail(transfer, UpstreamFailure(.noToken, "nobody has a token to log in with"))
        continue
      }
      if tokens.equips(storage, after: number, at: now) {
        findServer(for: transfer, at: now)
        continue
      }
      switch tokens.want(after: number, at: now) {
      case .none(let reason): fail(transfer, UpstreamFailure(.noToken, "there is no token to log in with: \(reason)"))
      case .there:
        // It came between the two questions.
        tokenWaits.append(transfer)
        areQueuesDue = true
      case .coming where transfer.deadline <= now: fail(transfer, UpstreamFailure(.noToken, "no token to log in with came in time"))
      case .coming:
        tokenWaits.append(transfer)
        queueDue = min(queueDue ?? transfer.deadline, transfer.deadline)
      }
    }
  }

  /// Nobody waits for it any more.
  func forgetTokenWait(_ transfer: WaitingTransfer) { tokenWaits.removeAll { $0 === transfer } }

  private func fail(_ transfer: WaitingTransfer, _ failure: UpstreamFailure) {
    transfer.tokenAfter = nil
    transfer.outcome = .failed(failure)
    finish(transfer)
    markReady(transfer)
  }

  /// There is a token: it goes to a server, or waits for one that has room.
  private func findServer(for transfer: WaitingTransfer, at now: Instant) {
    transfer.tokenAfter = nil
    if let pool = transfer.returnsTo {
      // Its place is another's since then, or was given back.
      if let member = pool.member {
        _ = member.state.take(atMost: .max)
        pool.running += 1
      }
      return transfer.gets(Balancer.Choice(pool: pool, trial: .none))
    }
    guard let balancer = transfer.balancer else { return }
    if balancer.queue?.hasNobodyBefore ?? true, let choice = balancer.choose(transfer.key, isReplayable: transfer.shape.isReplayable, at: now) {
      return transfer.gets(choice)
    }
    guard let queue = balancer.queue, balancer.isFull(), queue.append(transfer) else {
      return fail(transfer, UpstreamFailure(.exhausted, "no server of upstream \(balancer.group.name) can take a request: all are out or have their connections in use"))
    }
    transfer.deadline = now.advanced(by: queue.options.wait)
    if !queues.contains(where: { $0 === balancer }) { queues.append(balancer) }
  }

  /// Writes the token behind what was composed.
  ///
  /// Short bodies are kept until it has answered, to go once more with another token. What is larger is not held back for it, as with Digest: that a token is
  /// refused is rare, and asking first (`Expect`) would delay each upload.
  func writeToken(_ transfer: Transfer, _ storage: RequestStorage, _ tokens: TokenAtHand?) {
    if case .length(let n) = transfer.shape.framing, n > 0, n <= Self.keptBody, !transfer.keepsForLogin {
      transfer.keepsForLogin = true
      Transfer.copy(transfer.upload, to: &transfer.keptForLogin)
    }
    tokens?.write(storage, at: now)
  }
}
