// What a pool keeps for one server that speaks HTTP/2: connections, each for many requests at once, and the requests that wait for one. How one is made
// and who goes onto which is said here; what is done with its bytes is `MultiplexedConnection`'s.

import HTTP2
import Net
import Primitives

/// The connections to one server.
final class Multiplex {
  let options: UpstreamOptions
  let authority: [UInt8]
  /// Those that may take requests and those that only end what they have, the newest last.
  var connections: [MultiplexedConnection] = []
  /// When a request went onto one last.
  var askedAt: Instant?
  /// Who waits for a connection, the longest first.
  var waiting: [HTTP2Transfer] = []
  /// Of them, the one for which libcurl makes it.
  var maker: HTTP2Transfer?
  /// The connection that stands and on which the server has not said yet what it takes.
  var greeting: MultiplexedConnection?
  /// No request will be started any more: each connection ends with its last one.
  var isRetired = false

  init(_ options: UpstreamOptions) {
    self.options = options
    authority = Array(options.authority.utf8)
  }

  /// The pool is left behind.
  func closeIdle() {
    isRetired = true
    for connection in connections { connection.closeIfIdle() }
  }

  /// The pool goes, and has no request under way. A connection may still owe the server word of one that was given up.
  func closeAll() {
    for connection in connections { connection.closeAbandoned() }
  }

  /// No longer one of them.
  func forget(_ connection: MultiplexedConnection) {
    connections.removeAll { $0 === connection }
    if greeting === connection { greeting = nil }
  }

  func leave(_ transfer: HTTP2Transfer) {
    waiting.removeAll { $0 === transfer }
    if maker === transfer { maker = nil }
  }
}

extension UpstreamClient {
  /// Puts a request onto a connection that has room, or has it wait for one that is being made.
  func carry(_ transfer: HTTP2Transfer, in pool: UpstreamPool) throws(UpstreamFailure) {
    let multiplex = pool.multiplex
    if transfer.isAlone {
      transfer.connector = try connector(for: transfer, to: pool)
      return
    }
    for connection in multiplex.connections where connection.mayTake {
      if connection.take(transfer) { return }
    }
    // By age: who is refused by a server that goes away with each so many requests comes first the next time.
    let place = multiplex.waiting.firstIndex { transfer.startedAt < $0.startedAt } ?? multiplex.waiting.endIndex
    multiplex.waiting.insert(transfer, at: place)
    // Connecting and the server's first word have their time each. But a server may let connections come one by one, each with room for one.
    transfer.waitsFrom = now
    let timeout = multiplex.options.connectTimeout
    transfer.waitsUntil = now.advanced(by: timeout).advanced(by: timeout)
    markReady(transfer)
    do {
      try makeConnection(for: multiplex, in: pool)
    } catch {
      multiplex.leave(transfer)
      throw error
    }
  }

  /// Has libcurl make a connection for those who wait, if it doesn't do so already. One at a time: it may have room for all of them.
  func makeConnection(for multiplex: Multiplex, in pool: UpstreamPool) throws(UpstreamFailure) {
    guard multiplex.maker == nil, multiplex.greeting == nil, let first = multiplex.waiting.first else { return }
    first.connector = try connector(for: first, to: pool)
    multiplex.maker = first
  }

  /// Those who waited for a connection that came to nothing.
  func failWaiting(_ multiplex: Multiplex, _ failure: UpstreamFailure) {
    var list: [HTTP2Transfer] = []
    swap(&list, &multiplex.waiting)
    multiplex.maker = nil
    for transfer in list { transfer.end(.failed(failure)) }
  }

  /// The server has said on `connection` what it takes, or a stream has ended there: who waits goes onto it.
  func serveWaiting(_ multiplex: Multiplex, with connection: MultiplexedConnection) {
    let isNew = multiplex.greeting === connection
    if isNew { multiplex.greeting = nil }
    var served = 0
    while let first = multiplex.waiting.first, first !== multiplex.maker, connection.mayTake {
      multiplex.waiting.removeFirst()
      guard connection.take(first) else {
        first.end(.failed(UpstreamFailure(.exhausted, "the connection takes no request")))
        continue
      }
      served += 1
    }
    guard let next = multiplex.waiting.first, let pool = next.pool else { return }
    // Another would take none either.
    if isNew && served == 0 { return failWaiting(multiplex, UpstreamFailure(.unreachable, "the server takes no request (HTTP/2 SETTINGS)")) }
    do {
      try makeConnection(for: multiplex, in: pool)
    } catch {
      failWaiting(multiplex, error)
    }
  }

  /// libcurl has made the connection, or failed to.
  func made(_ connector: Connector, for transfer: HTTP2Transfer, in pool: UpstreamPool, _ failure: UpstreamFailure?) {
    let multiplex = pool.multiplex
    let isAlone = transfer.isAlone
    if !isAlone { multiplex.maker = nil }
    func fail(_ failure: UpstreamFailure) {
      if isAlone { transfer.end(.failed(failure)) } else { failWaiting(multiplex, failure) }
    }
    if let failure {
      abandon(connector, of: transfer, in: pool)
      return fail(failure)
    }
    guard let wire = adopt(connector, for: transfer, in: pool) else {
      return fail(UpstreamFailure(.unreachable, "the connection was gone as soon as it stood"))
    }
    // What it has said already. libcurl (7.88.1) also tells nothing of the handshake before it has read, or written, on the connection.
    var word = ByteBuffer()
    if pool.options.scheme == .https, case .failed = wire.read(into: &word, atMost: UpstreamClient.readSize) {
      wire.close()
      return fail(UpstreamFailure(.unreachable, "the connection ended as soon as it stood"))
    }
    if pool.options.scheme == .https && !wire.hasChosenHTTP2 {
      wire.close()
      return fail(UpstreamFailure(.unreachable, "the server does not speak HTTP/2: it has not chosen it in the TLS handshake (ALPN)"))
    }
    let connection = MultiplexedConnection(wire, multiplex, for: isAlone ? transfer : nil, client: self)
    wire.multiplexed = connection
    multiplex.connections.append(connection)
    if isAlone { transfer.waits(for: connection) } else { multiplex.greeting = connection }
    connection.begin(with: word)
  }
}
