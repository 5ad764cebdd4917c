// What is answered where only HTTPS is to be spoken: a redirect to it.

import HTTP
import Net
import Primitives

extension Connection {
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
