// A greeting's first stage: the header of the PROXY protocol, from trusted proxies alone.

import HTTP
import Net
import Primitives

extension Greeting {
  /// The connection's own peer decides whether a header is read at all. To anybody else it is not told what was wrong: the connection ends without
  /// a byte, or what he sent is taken for what follows the header, where it is refused as such.
  ///
  /// Not a byte more than the header is taken from the socket: what follows may be TLS, which reads for itself.
  func takeProxyHeader() -> Progress {
    let policy = listener.settings.proxyProtocol
    guard policy != .off else { return .done }
    guard peer.isTrusted else {
      if policy == .optional { return .done }
      complain("\(peer.address.host) may not connect: PROXY headers are believed of trusted_proxies alone, and it is none")
      return .over
    }
    while true {
      // All that was taken before is the header's beginning.
      let taken = input.count
      let look = stream?.peek(into: &input, atMost: ProxyHeader.longest - taken)
      switch look {
      case .bytes?: break
      case .wouldBlock?: return .wait(.read)
      case .closed?, .failed?, nil: return .over
      }
      let seen = input.count
      switch ProxyHeader.parse(input.span) {
      case .needMore:
        guard take(seen - taken) else { return .over }
      case .complete(let header, let length):
        guard take(length - taken) else { return .over }
        input = ByteBuffer()
        peer = Peer(header, from: peer, trusted: worker.snapshot.trustedProxies)
        return .done
      case .absent where policy == .optional:
        input.truncate(to: taken)
        return .done
      case .absent:
        complain("\(peer.address.host) sent no PROXY header, and this listener requires one")
        return .over
      case .failed(let failure):
        complain("\(peer.address.host) sent a PROXY header that is refused: \(failure.label)")
        return .over
      }
    }
  }

  /// Takes bytes off the socket that were looked at. False when they aren't there, which no sane socket does.
  private func take(_ count: Int) -> Bool {
    guard count > 0 else { return true }
    var rest = ByteBuffer(capacity: count)
    var left = count
    while left > 0 {
      guard case .bytes(let n)? = stream?.read(into: &rest, atMost: left) else { return false }
      left -= n
    }
    return true
  }

  private func complain(_ words: String) {
    worker.complain(of: "proxy_protocol", "listen \(listener.settings.socket.address.text): \(words)")
  }
}
