// The upstream's end of a tunnel: a connection that has left HTTP by a 101 that was asked for. Moves bytes, and knows nothing of what they mean.

import CCurl
import Glibc
import HTTP
public import Net
public import Primitives

/// Belongs to its transfer, and lives until that is ended. Of events on its socket its transfer's owner is told by `takeReady`.
@safe public final class Tunnel {
  private let connection: HTTP1Connection
  private let client: UpstreamClient
  /// Since when it takes nothing of what waits; nil while nothing does.
  public private(set) var blockedSince: Instant?

  init(_ connection: HTTP1Connection, _ client: UpstreamClient) {
    self.connection = connection
    self.client = client
  }

  /// Whether TLS lies between. Then bytes that `write` answered `.wouldBlock` to must not move in memory, and `read` has to be called until it answers
  /// something else than bytes, or `readLater`.
  public var isEncrypted: Bool { connection.isEncrypted }

  /// Appends up to `limit` bytes to `buffer`.
  public func read(into buffer: inout ByteBuffer, atMost limit: Int) -> IOResult { connection.read(into: &buffer, atMost: limit) }

  /// Sends from `bytes`.
  public func write(_ bytes: borrowing ByteBuffer) -> IOResult {
    let result = connection.write(bytes)
    switch result {
    case .bytes: if blockedSince != nil { blockedSince = nil }
    case .wouldBlock: if blockedSince == nil { blockedSince = client.now }
    case .closed, .failed: break
    }
    return result
  }

  /// What is to be told of. Costs nothing where it stays as it is.
  public func watch(reading: Bool, writing: Bool) {
    connection.watchReading(reading)
    connection.watchWriting(writing)
  }

  /// Has the owner told once more in the next turn: there may be bytes that the socket doesn't tell of.
  public func readLater() { client.readLater(connection) }

  /// Ends our sending half, with TLS by its closing word.
  public func endSending() { connection.endSending() }
}

extension HTTP1Connection {
  func endSending() {
    sayGoodbye()
    _ = shutdown(descriptor, Int32(SHUT_WR))
  }
}

extension HTTP1Transfer {
  /// The final head is a 101: a tunnel, if it is the one that was asked for. What was read behind it is the tunnel's first.
  ///
  /// - Returns: why it is none.
  func openTunnel(_ input: inout ByteBuffer, _ connection: HTTP1Connection) -> StaticString? {
    guard let wish = storage?.upgrade else { return "101 that was not asked for" }
    if let reason = wish.refusal(of: head) { return reason }
    reading = .tunnel
    body.append(input.span)
    input.removeAll()
    tunnel = Tunnel(connection, client)
    // It may live for days, and nothing of the request is needed any more.
    storage = nil
    return nil
  }
}
