// What one worker has of one account at one server where a login is the connection's (NTLM): connections that are logged in, and requests that wait for one.
// A connection that stands here carries that account's requests, and never another's.

import Login
import Primitives

/// One account at one server.
final class AccountStanding {
  let account: Account
  /// All workers', of all servers.
  let gate: LoginGate
  /// Idle, the newest last.
  private var connections: [HTTP1Connection] = []
  /// The first first.
  private var waiting: [HTTP1Transfer] = []
  /// Those whose challenge is here and who wait for a place to answer it: before all who have none.
  private var turns: [HTTP1Transfer] = []
  private var isServing = false
  private var isDueAgain = false

  init(_ account: Account, _ gate: LoginGate) {
    self.account = account
    self.gate = gate
  }

  // MARK: Idle connections

  func takeConnection() -> HTTP1Connection? {
    guard let connection = connections.popLast() else { return nil }
    precondition(connection.standing === self && connection.transfer == nil, "a connection of somebody else's")
    return connection
  }

  func give(_ connection: HTTP1Connection) {
    precondition(connection.standing === self && connection.transfer == nil, "a connection of somebody else's")
    connections.append(connection)
  }

  /// False when it is not among those that wait.
  func remove(_ connection: HTTP1Connection) -> Bool {
    guard let i = connections.firstIndex(where: { $0 === connection }) else { return false }
    connections.remove(at: i)
    return true
  }

  func closeIdle() {
    let list = connections
    connections = []
    for connection in list { connection.closeIdle() }
  }

  // MARK: Requests that wait

  func wait(_ transfer: HTTP1Transfer) {
    waiting.append(transfer)
    transfer.waitsForLogin(asFirst: waiting.count == 1)
  }

  func leave(_ transfer: HTTP1Transfer) {
    guard let i = waiting.firstIndex(where: { $0 === transfer }) else { return }
    waiting.remove(at: i)
    if i == 0 { waiting.first?.waitsForLogin(asFirst: true) }
  }

  func isWaiting(_ transfer: HTTP1Transfer) -> Bool { waiting.contains { $0 === transfer } }

  func waitTurn(_ transfer: HTTP1Transfer) { turns.append(transfer) }

  func leaveTurn(_ transfer: HTTP1Transfer) { turns.removeAll { $0 === transfer } }

  /// Whether it is the one that looks whether something has changed: if all did, each turn would cost their number.
  func isFirst(_ transfer: HTTP1Transfer) -> Bool { waiting.first === transfer }

  /// A connection has become idle, or a login has ended: those who wait have their turns. What comes of one may call this again, which then is done here and
  /// not deeper down.
  func serve() {
    isDueAgain = true
    if isServing { return }
    isServing = true
    while isDueAgain, !(turns.isEmpty && waiting.isEmpty) {
      isDueAgain = false
      // Who has his turn is no longer among them.
      while let first = turns.first, first.handshake?.triesTurn() ?? true { leaveTurn(first) }
      while !waiting.isEmpty {
        let first = waiting.removeFirst()
        if first.triesLoginAgain() { continue }
        waiting.insert(first, at: 0)
        first.waitsForLogin(asFirst: true)
        break
      }
    }
    isServing = false
  }
}

extension UpstreamClient {
  /// An idle connection that is logged in as that account.
  func takeIdle(_ standing: AccountStanding, in pool: UpstreamPool) -> HTTP1Connection? {
    while let connection = standing.takeConnection() {
      idleConnections -= 1
      // Asked in any case: what is sent on it may be what must not be sent twice.
      if now < connection.idleSince.advanced(by: pool.reuseWithin) && !isTooOld(connection, in: pool) && connection.isQuiet { return connection }
      connection.close()
    }
    return nil
  }

  /// A connection that has done its work as that account's, and may do more.
  func putAside(_ connection: HTTP1Connection, of standing: AccountStanding, in pool: UpstreamPool) {
    guard !pool.isRetired, idleConnections < idleLimit else { return connection.close() }
    connection.idleSince = now
    connection.watchWriting(false)
    standing.give(connection)
    idleConnections += 1
    prune(at: now.advanced(by: pool.reuseWithin))
    standing.serve()
  }
}
