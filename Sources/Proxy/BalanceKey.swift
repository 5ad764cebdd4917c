// What of a request names its server, where an upstream's requests are shared out by that (`balance hash`).

import Auth
import HTTP
import Primitives
import Upstream

extension Connection {
  /// Nil when the request has nothing of the kind: then it is anybody's. Mutating, though nothing is changed: a connection that is only lent to be read
  /// would be copied.
  mutating func balanceKey(for balancer: Balancer) -> UInt64? {
    switch balancer.key {
    case nil: nil
    case .client: HashValue.of(high: client.high, low: client.low)
    case .user: userKey
    case .header(let name): headerKey(name)
    case .cookie(let name): cookieKey(name)
    }
  }

  private var userKey: UInt64? {
    guard let user = record.user else { return nil }
    let name = user.name
    return HashValue.of(name.span)
  }

  private func headerKey(_ name: [UInt8]) -> UInt64? {
    for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: name.span) { return HashValue.of(head.bytes[head.fields[i].value]) }
    return nil
  }

  private func cookieKey(_ name: [UInt8]) -> UInt64? {
    for i in head.fields.indices where head.fields[i].known == .cookie {
      let field = head.bytes[head.fields[i].value]
      if let value = CookiePairs.value(of: name.span, in: field) { return HashValue.of(field.extracting(value)) }
    }
    return nil
  }
}

/// The pairs of a Cookie field (RFC 6265 section 4.2.1).
enum CookiePairs {
  /// Where the value of the first pair of that name, which is case-sensitive, stands in `field`; nil when there is none.
  static func value(of name: Span<UInt8>, in field: Span<UInt8>) -> Range<Int>? {
    var start = 0
    while start < field.count {
      let end = ASCII.firstIndex(of: 0x3B, in: field, from: start) ?? field.count
      var i = start
      while i < end && (field[i] == 0x20 || field[i] == 0x09) { i += 1 }
      if let equals = ASCII.firstIndex(of: 0x3D, in: field, from: i), equals < end, ASCII.equals(field.extracting(i..<equals), name) {
        return (equals + 1)..<end
      }
      start = end + 1
    }
    return nil
  }
}
