// Where only HTTPS is to be spoken: the redirect to it, and the refusal of what comes in clear text all the same.

import HTTP
import Net
import Primitives

extension Connection {
  /// Whether nobody between the client and us can read along: by TLS, or, behind a trusted proxy, by what that one says of its own client.
  @inline(__always) var isSecure: Bool {
    // Without a proxy no head has to be lent, which would be a copy.
    peer.isTrusted ? ClientNetwork.isSecure(head, peer, by: snapshot.originField) : peer.tls != nil
  }

  /// Where the listener sends who did not come by `https`; nil where the request is to be served.
  @inline(__always) var portOfRedirect: UInt16? {
    guard let port = peer.listener?.redirectPort, !isSecure else { return nil }
    return port
  }

  /// What browsers are told by every answer that came by `https`, and by no other (RFC 6797 section 7.2); empty for nothing.
  @inline(__always) var transportSecurity: [UInt8] { isSecure ? snapshot.transportSecurity : [] }

  /// For a route that is served by `https` alone: answers before anything else is looked at, credentials above all. True when it did.
  mutating func refusesClearText(_ route: Int) -> Bool {
    guard snapshot.traits[route].requiresTLS, !isSecure else { return false }
    answer(.problem(403, "This is served by HTTPS alone: ask again with https://", reason: "the route requires TLS"))
    return true
  }

  /// RFC 9110 section 15.5.20: a client may ask again on another connection, whatever it asked.
  mutating func turnAway() {
    record.reason = "the rules for certificates have changed since it connected"
    perform(exchange.refused(status: 421))
  }

  /// Sends the client to the same address by `https`. Nothing is looked at but the target, so that nobody learns what is there, or who is.
  mutating func redirect(toPort port: UInt16) {
    guard !head.host.isEmpty else {
      record.reason = "a redirect needs to know the host, and HTTP/1.0 without Host names none"
      return perform(exchange.refused(status: 400))
    }
    var location = ByteBuffer(capacity: 256)
    location.append("https://")
    location.append(head.bytes[head.host].extracting(0..<Authority.hostCount(head.bytes[head.host])))
    if port != 443 {
      location.append(":")
      location.append(decimal: UInt64(port))
    }
    let target = head.target
    if target.path.isEmpty { location.append("/") } else { location.append(head.bytes[target.path]) }
    if target.hasQuery {
      location.append("?")
      location.append(head.bytes[target.query])
    }
    // RFC 9110 section 15.4: a client may make GET of whatever a 301 answers; what a 308 answers it sends again as it was.
    let isRead = head.method == .get || head.method == .head
    let reply = OwnReply(isRead ? 301 : 308, [OwnReply.Field("Location", location.array())], reason: "redirected to https")
    answer(reply)
  }
}
