// What one worker keeps for one upstream between requests: transfers whose memory and fixed options are used again, and idle connections.

import Login
import Primitives

/// Whose requests are counted, and who is judged by how they end.
struct Membership {
  let group: GroupState
  let state: MemberState
  /// Its place among the group's members.
  let index: Int
  /// Bytes of a body that are kept for another.
  let keeps: Int
}

/// Transfers and connections of one server that wait for their next request.
public final class UpstreamPool {
  public let options: UpstreamOptions
  /// Nil where there is nothing to choose.
  let member: Membership?
  /// Asked for at every request: not by way of all options.
  let reuseWithin: Interval
  let longestConnection: Interval?
  let maxConnections: Int
  private var idle: [Transfer] = []
  /// Transfers under way.
  var running = 0
  /// Transfers kept for later: a burst's worth, not its peak. One of libcurl's holds some 10 KiB.
  static let idleLimit = 256

  /// Idle connections of our own engine, the newest last: that is used first, so that those beyond what is needed grow old and go.
  private(set) var connections: [HTTP1Connection] = []
  /// Handles that libcurl makes connections with, everything set.
  var connectors: [Connector] = []

  /// Where HTTP/2 is spoken: its connections, and who waits for one.
  private(set) lazy var multiplex = Multiplex(options)

  /// Of accounts whose logins are made of what this server says. Those of a reload before went with their pool.
  private var digests: [ObjectIdentifier: DigestSession] = [:]
  static let digestLimit = 4096
  /// Of accounts whose logins are the connections'. As many as accounts are configured.
  private var standings: [ObjectIdentifier: AccountStanding] = [:]
  /// Where we log in by access tokens or by Kerberos.
  let tokens: TokenAtHand?
  /// Of a file server: who run its requests.
  private var couriers: FileCouriers?

  /// No request will be started with it any more: transfers and connections end when they are done. Without this a pool and what it keeps,
  /// which know each other, would stay for ever.
  private(set) var isRetired = false

  init(options: UpstreamOptions, member: Membership? = nil, tokens: TokenAtHand? = nil) {
    self.options = options
    self.member = member
    self.tokens = tokens
    reuseWithin = options.reuseWithin
    longestConnection = options.longestConnection
    maxConnections = options.maxConnections
  }

  deinit {
    couriers?.end()
    closeIdle()
    if options.speaksHTTP2 { multiplex.closeAll() }
  }

  /// A reload has put another pool in its place.
  public func retire() {
    isRetired = true
    couriers?.end()
    idle.removeAll()
    connectors.removeAll()
    closeIdle()
  }

  private func closeIdle() {
    if options.speaksHTTP2 { multiplex.closeIdle() }
    var list: [HTTP1Connection] = []
    swap(&list, &connections)
    for connection in list { connection.closeIdle() }
    for standing in standings.values { standing.closeIdle() }
  }

  func standing(of account: Account, _ gate: LoginGate) -> AccountStanding {
    // It holds its account, as with a digest. None is ever dropped before the pool: its connections would be nobody's.
    if let known = standings[ObjectIdentifier(account)] { return known }
    let standing = AccountStanding(account, gate)
    standings[ObjectIdentifier(account)] = standing
    return standing
  }

  func digest(of account: Account) -> DigestSession {
    // It holds its account, so that no other gets the same place in memory.
    if let known = digests[ObjectIdentifier(account)] { return known }
    if digests.count >= Self.digestLimit { digests.removeAll() }
    let session = DigestSession(account)
    digests[ObjectIdentifier(account)] = session
    return session
  }

  func fileCouriers(_ server: FileServer) -> FileCouriers {
    if let couriers { return couriers }
    let new = FileCouriers(options, server)
    couriers = new
    return new
  }

  // As everywhere in this room, a list is taken out of its class to be changed: see `Transfer`.

  func take() -> Transfer? {
    var list: [Transfer] = []
    swap(&list, &idle)
    defer { swap(&list, &idle) }
    return list.popLast()
  }

  func give(_ transfer: consuming Transfer) {
    if isRetired { return }
    var list: [Transfer] = []
    swap(&list, &idle)
    if list.count < Self.idleLimit { list.append(transfer) }
    swap(&list, &idle)
  }

  /// The connection that was given last.
  func takeConnection() -> HTTP1Connection? {
    var list: [HTTP1Connection] = []
    swap(&list, &connections)
    defer { swap(&list, &connections) }
    return list.popLast()
  }

  func give(_ connection: consuming HTTP1Connection) {
    var list: [HTTP1Connection] = []
    swap(&list, &connections)
    list.append(connection)
    swap(&list, &connections)
  }

  /// False when it is not among those that wait.
  func remove(_ connection: HTTP1Connection) -> Bool {
    var list: [HTTP1Connection] = []
    swap(&list, &connections)
    defer { swap(&list, &connections) }
    guard let i = list.firstIndex(where: { $0 === connection }) else { return false }
    list.remove(at: i)
    return true
  }
}
