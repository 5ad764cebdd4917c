// A greeting's last stage: whether HTTP/1.1 or HTTP/2 is spoken.

import Net
import Primitives

extension Greeting {
  /// RFC 9113 section 3.4.
  private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  /// By what TLS agreed on; in clear text by the first bytes, where the listener speaks HTTP/2 at all.
  func choose() -> Progress {
    if let tls = peer.tls {
      speaksHTTP2 = tls.speaksHTTP2
      return .done
    }
    guard listener.settings.speaksH2C else { return .done }
    while true {
      switch Self.compare(input.span) {
      case .isPreface:
        speaksHTTP2 = true
        return .done
      case .isOther:
        return .done
      case .isBeginning:
        break
      }
      switch stream?.read(into: &input, atMost: Limits.greetingBytes) {
      case .bytes?: continue
      case .wouldBlock?: return .wait(.read)
      case .closed?, .failed?, nil: return .over
      }
    }
  }

  private enum Likeness { case isPreface, isBeginning, isOther }

  private static func compare(_ bytes: Span<UInt8>) -> Likeness {
    let count = min(bytes.count, preface.count)
    for i in 0..<count where bytes[i] != preface[i] { return .isOther }
    return count == preface.count ? .isPreface : .isBeginning
  }
}
