// Connections that begin in clear text, with the PROXY header that names the client, and go on with TLS. libcurl makes each twice: as one of clear text, on which
// we write, and then by a second handle that does TLS on the very same socket. Never for HTTP/2, whose connections are many clients' together.
//
// The socket has one owner at each time, who closes it: libcurl while it is connected; `encrypt` while it is written on; the second handle's connector until
// libcurl asks it for a socket; libcurl from then on. It is counted (`opened`) once, by the first.

import Net
import Primitives

extension UpstreamOptions {
  /// Whether a connection begins in clear text although the server wants TLS.
  var announcesBeforeTLS: Bool { announces != nil && scheme == .https }

  /// The same way to the same place, without TLS.
  var inClearText: UpstreamOptions {
    var options = self
    options.scheme = .http
    options.tls = TLS()
    return options
  }
}

extension HTTP1Transfer {
  /// The connection stands in clear text.
  func encrypt(_ connector: Connector, in pool: UpstreamPool) {
    do {
      self.connector = try client.encrypt(connector, after: storage?.preface ?? [], for: self, in: pool)
    } catch {
      handshake?.cancel()
      end(.failed(error))
    }
  }
}

extension UpstreamClient {
  /// Writes `preface` on the connection that `connector` has made, and has libcurl do TLS on it in what is left of the time to connect. `finished` is
  /// called once more, with the connector that is answered.
  func encrypt(
    _ connector: Connector, after preface: [UInt8], for transfer: Transfer, in pool: UpstreamPool
  ) throws(UpstreamFailure) -> Connector {
    let socket = connector.socket
    guard socket >= 0 else {
      abandon(connector, of: transfer, in: pool)
      throw UpstreamFailure(.unreachable, "the connection was gone as soon as it stood")
    }
    transfers.remove(transfer.slot)
    connector.belongs(to: nil)
    part(connector, from: socket, in: pool)
    do throws(UpstreamFailure) {
      // Some hundred bytes at most, for which there is room in any socket that nobody has used.
      guard case .bytes(preface.count) = SocketBytes.write(socket, preface.span, Span()) else {
        throw UpstreamFailure(.unreachable, "the connection ended as soon as it stood")
      }
      let (limit, spent) = (pool.options.connectTimeout.nanoseconds, now.since(connector.begunAt))
      let secure = try Connector(pool.options, on: socket, within: Interval(nanoseconds: limit > spent ? limit - spent : 0), client: self)
      try give(secure, to: transfer)
      return secure
    } catch {
      close(socket)
      throw error
    }
  }
}
