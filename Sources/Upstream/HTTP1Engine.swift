// Our own HTTP/1.1 towards upstreams: which connection a request travels on, idle connections and their end, and what the poller says of them.
// libcurl makes the connections, and leaves them to us.

import CCurl
import Glibc
import Net
import Primitives

extension UpstreamClient {
  // MARK: Making connections

  /// Has libcurl make a connection for `transfer`, whose `finished` is called when it stands or has failed.
  func connect(_ transfer: HTTP1Transfer, to pool: UpstreamPool) throws(UpstreamFailure) {
    transfer.connector = try connector(for: transfer, to: pool)
  }

  func connector(for transfer: Transfer, to pool: UpstreamPool) throws(UpstreamFailure) -> Connector {
    let connector: Connector
    if let idle = pool.connectors.popLast() { connector = idle } else { connector = try Connector(pool.options, client: self) }
    connector.errorText.clear()
    connector.begunAt = now
    try give(connector, to: transfer)
    return connector
  }

  /// libcurl begins with it, for `transfer`.
  func give(_ connector: Connector, to transfer: Transfer) throws(UpstreamFailure) {
    connector.belongs(to: transfer)
    let code = unsafe curl_multi_add_handle(multi, connector.easy)
    guard code == CURLM_OK else {
      throw UpstreamFailure(.exhausted, "libcurl took no connection: \(unsafe String(cString: curl_multi_strerror(code)))")
    }
    transfers.insert { slot in
      transfer.slot = slot
      return transfer
    }
  }

  /// Takes the connection over that libcurl has made. In clear text the socket alone, and the handle goes back.
  func adopt(_ connector: Connector, for transfer: Transfer, in pool: UpstreamPool) -> HTTP1Connection? {
    transfers.remove(transfer.slot)
    let socket = connector.socket
    guard socket >= 0 else {
      remove(connector)
      return nil
    }
    connector.belongs(to: nil)
    let isEncrypted = !pool.options.isClear
    if !isEncrypted { part(connector, from: socket, in: pool) }
    withSockets { $0.adopt(socket) }
    let connection = HTTP1Connection(socket, isEncrypted ? connector : nil, pool: pool, client: self)
    var list: [HTTP1Connection?] = []
    swap(&list, &connections)
    while list.count <= Int(socket) { list.append(nil) }
    list[Int(socket)] = connection
    swap(&list, &connections)
    return connection
  }

  /// The socket is ours alone from now on, and the handle free for the next.
  func part(_ connector: Connector, from socket: Int32, in pool: UpstreamPool) {
    adopting = socket
    remove(connector)
    adopting = -1
    keep(connector, in: pool)
  }

  /// Ends an attempt to connect.
  func abandon(_ connector: Connector, of transfer: Transfer, in pool: UpstreamPool?) {
    transfers.remove(transfer.slot)
    connector.belongs(to: nil)
    remove(connector)
    if let pool { keep(connector, in: pool) }
  }

  func remove(_ connector: Connector) {
    unsafe _ = curl_multi_remove_handle(multi, connector.easy)
    let socket = connector.takeSocket()
    if socket >= 0 { close(socket) }
  }

  /// Closes a socket that is neither libcurl's nor a connection's.
  func close(_ socket: Int32) {
    socketClosed(socket)
    _ = Glibc.close(socket)
  }

  private func keep(_ connector: Connector, in pool: UpstreamPool) {
    // Some for the next burst; each holds some 10 KiB.
    if !pool.isRetired && !connector.isForOne && pool.connectors.count < 16 { pool.connectors.append(connector) }
  }

  // MARK: Idle connections

  /// An idle connection that may carry the next request, the newest first.
  func takeIdle(_ pool: UpstreamPool) -> HTTP1Connection? {
    while let connection = pool.takeConnection() {
      idleConnections -= 1
      // What arrived on it before this turn of the loop has closed it by now. Outside of a turn nobody has looked.
      if now < connection.idleSince.advanced(by: pool.reuseWithin) && !isTooOld(connection, in: pool) && (hasLooked || connection.isQuiet) {
        return connection
      }
      connection.close()
    }
    return nil
  }

  /// A connection that has done its work and may do more.
  func putAside(_ connection: consuming HTTP1Connection, in pool: UpstreamPool) {
    guard !pool.isRetired, idleConnections < idleLimit else { return connection.close() }
    connection.idleSince = now
    connection.watchWriting(false)
    pool.give(connection)
    idleConnections += 1
    prune(at: now.advanced(by: pool.reuseWithin))
  }

  func isTooOld(_ connection: borrowing HTTP1Connection, in pool: UpstreamPool) -> Bool {
    guard let most = pool.longestConnection else { return false }
    return connection.madeAt.advanced(by: most) <= now
  }

  /// Has `prune` look at what is unused then, if it doesn't before.
  func prune(at due: Instant) {
    if due < pruneAt ?? .distantFuture { pruneAt = due }
  }

  /// Closes the connections and pipes that have been unused for too long, and notes when the next one will have been.
  func prune() {
    guard let due = pruneAt, due <= now else { return }
    pipes.prune(at: now)
    pruneAt = pipes.due
    for connection in connections {
      guard let connection, connection.transfer == nil, connection.handshake == nil else { continue }
      if let multiplexed = connection.multiplexed {
        multiplexed.prune()
        continue
      }
      let due = connection.idleSince.advanced(by: connection.pool.reuseWithin)
      if due <= now { drop(connection) } else { prune(at: due) }
    }
  }

  /// An idle connection that is closed for its age, or for what came on it.
  private func drop(_ connection: HTTP1Connection) {
    let pool = connection.pool
    if connection.standing?.remove(connection) ?? pool.remove(connection) { idleConnections -= 1 }
    connection.close()
  }

  // MARK: What the poller says

  /// An event on a connection of ours.
  func http1Ready(_ fd: Int32, _ readiness: Readiness) {
    guard let connection = connections[Int(fd)] else { return }
    guard let transfer = connection.transfer else {
      if let handshake = connection.handshake { return handshake.ready(connection, readiness) }
      if let multiplexed = connection.multiplexed { return multiplexed.ready(readiness) }
      // Idle: a goodbye, or an answer that nobody asked for. Either way the next request must not meet it.
      if connection.isEncrypted && readiness.isDisjoint(with: [.error, .hangup]) && connection.saysNothing { return }
      return drop(connection)
    }
    // Its owner reads and writes himself.
    if transfer.reading == .tunnel { return markReady(transfer) }
    if readiness.contains(.writable) { transfer.writable(connection) }
    guard !readiness.isDisjoint(with: [.readable, .hangup, .peerClosed, .error]), connection.transfer === transfer else { return }
    if transfer.isReceivePaused {
      // Its backlog, to be read later: until then it would wake us in circles.
      connection.watchReading(false)
    } else {
      transfer.readable(connection)
    }
  }

  /// Reads on where bytes may wait in OpenSSL's buffers, of which the poller knows nothing.
  func readPending() {
    guard !pendingReads.isEmpty else { return }
    var list: [HTTP1Connection] = []
    swap(&list, &pendingReads)
    for connection in list {
      connection.isReadPending = false
      if let transfer = connection.transfer {
        if !transfer.isReceivePaused { transfer.readable(connection) }
      } else {
        connection.multiplexed?.goOn()
      }
    }
  }

  func readLater(_ connection: HTTP1Connection) {
    if connection.isReadPending { return }
    connection.isReadPending = true
    var list: [HTTP1Connection] = []
    swap(&list, &pendingReads)
    list.append(connection)
    swap(&list, &pendingReads)
  }

  /// Has a transfer looked at when it is due, since its socket wakes us for much alone.
  func look(at transfer: HTTP1Transfer) {
    if !transfer.isWatched {
      transfer.isWatched = true
      watched.append(transfer)
    }
    if let due = transfer.lookDue { lookDue = min(lookDue ?? due, due) }
  }

  func lookAround() {
    guard let due = lookDue, due <= now else { return }
    var list: [HTTP1Transfer] = []
    swap(&list, &watched)
    lookDue = nil
    for transfer in list { transfer.isWatched = false }
    for transfer in list {
      guard let due = transfer.lookDue else { continue }
      if due <= now { transfer.look() } else { look(at: transfer) }
    }
  }

  func setInterest(_ fd: Int32, _ wanted: Int32) { withSockets { $0.setInterest(fd, wanted) } }

  /// This connection is no more.
  func forget(_ connection: HTTP1Connection) {
    let fd = Int(connection.descriptor)
    guard connections[fd] === connection else { return }
    var list: [HTTP1Connection?] = []
    swap(&list, &connections)
    list[fd] = nil
    swap(&list, &connections)
  }
}
