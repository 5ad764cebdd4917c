// Requests that change servers: from one that failed to another, and from the queue to the one that has room.

import HTTP
import Net
import Primitives

extension UpstreamClient {
  /// Sends the request of `failed`, of whose answer nothing was used, to another of the balancer's servers. Nil when that can't be, or must not: then
  /// all is as it was. Else `failed` is gone, and what is to come comes of the transfer that is answered.
  ///
  /// A request of which something may have been sent goes to another server only if it is idempotent (RFC 9110 section 9.2.2), and all that was sent
  /// of its body has been kept.
  ///
  /// - Parameter cause: what befell it: one of those that the upstream's `retry` names, or nothing is done.
  public func again(_ failed: Transfer, at balancer: Balancer, key: UInt64?, cause: UpstreamGroup.Retry.Causes) -> Transfer? {
    guard let retry = balancer.group.retry, !cause.isDisjoint(with: retry.causes), failed.retries < retry.times,
      cause == .connect || failed.shape.isReplayable || failed.shape.isIdempotent && failed.isUploadKept, let index = failed.memberIndex
    else { return nil }
    var tried = failed.tried
    tried.insert(index)
    guard let choice = balancer.chooseAgain(key, at: now, tried: tried) else { return nil }
    guard let transfer = try? handOver(failed, to: choice) else { return nil }
    transfer.tried = tried
    transfer.retries += 1
    // Another server, that knows nothing of those before.
    transfer.storage?.loginRounds = 0
    return transfer
  }

  /// Sends the request of `waiting`, whose turn has come, to the server that has room for it. `waiting` is gone.
  ///
  /// Nil when it has failed: it tells of that as any other that ends.
  public func begin(_ transfer: Transfer) -> Transfer? {
    guard let waiting = transfer as? WaitingTransfer, let choice = waiting.takeChoice() else { return nil }
    waiting.hasTurn = false
    do throws(UpstreamFailure) {
      // Of several servers a place was taken; who waited for a token alone has none.
      guard choice.pool.member != nil || choice.pool.running < choice.pool.maxConnections else {
        throw UpstreamFailure(.exhausted, "upstream \(choice.pool.options.name) has all its \(choice.pool.maxConnections) connections in use")
      }
      return try handOver(waiting, to: choice)
    } catch {
      waiting.outcome = .failed(error)
      finish(waiting)
      markReady(waiting)
      return nil
    }
  }

  /// What was to be had of `other`'s server is to be had of that of `choice`. When it can't begin there, what is answered says so as any that ends does.
  func handOver(_ other: Transfer, to choice: Balancer.Choice) throws(UpstreamFailure) -> Transfer {
    let transfer: Transfer
    do {
      transfer = try takeTransfer(choice.pool, isUpgrade: other.shape.isUpgrade)
    } catch {
      leave(choice.pool, choice.trial)
      throw error
    }
    handOver(other, into: transfer)
    address(transfer, to: choice.pool)
    place(transfer, at: choice.pool, choice.trial)
    do {
      try transfer.begin()
    } catch {
      // It tells of itself as any other that ends.
      transfer.outcome = .failed(error)
      finish(transfer)
      markReady(transfer)
    }
    return transfer
  }

  /// The request of `other`, which is gone then, is that of `transfer`, which was not begun.
  func handOver(_ other: Transfer, into transfer: Transfer) {
    if other.isRunning {
      other.cancel()
      finish(other)
    }
    var storage: RequestStorage?
    swap(&storage, &other.storage)
    transfer.storage = storage
    transfer.shape = other.shape
    transfer.startedAt = other.startedAt
    transfer.owner = other.owner
    transfer.retries = other.retries
    transfer.mostBody = other.mostBody
    transfer.allowsPipes = other.allowsPipes
    transfer.tried = other.tried
    transfer.takeUpload(of: other)
    other.handOverTrailers(to: transfer)
    swap(&transfer.burden, &other.burden)
    if other.keepsForLogin {
      transfer.keepsForLogin = true
      swap(&transfer.keptForLogin, &other.keptForLogin)
    }
    recycle(other)
  }
}
