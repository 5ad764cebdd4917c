// What a client asks for beside a token: `?duration=3600&scope=GET%20/reports/`. Strict: a parameter that we don't know may have been meant to narrow
// the token, so it is refused, not passed over.

import Auth
import Primitives

struct TokenQuery: Equatable {
  /// Seconds, 1 or more; nil for what is configured.
  var duration: UInt64?
  /// nil when nothing was said of it.
  var scope: TokenScope?

  /// - Parameter query: what follows the question mark, as it came; empty without one.
  init(_ query: Span<UInt8>) throws(FormFault) {
    var items: [[UInt8]] = []
    for pair in ASCII.array(query).split(separator: 0x26, omittingEmptySubsequences: true) {
      let parts = pair.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
      let name = try Self.decoded(parts[0])
      let value = parts.count == 2 ? try Self.decoded(parts[1]) : []
      if ASCII.equals(name.span, "duration") {
        guard duration == nil else { throw FormFault("duration stands twice") }
        guard (1...10).contains(value.count), value.allSatisfy({ ASCII.isDigit($0) }),
          let seconds = UInt64(String(decoding: value, as: UTF8.self)),
          seconds > 0
        else { throw FormFault("duration is a number of seconds") }
        duration = seconds
      } else if ASCII.equals(name.span, "scope") {
        guard items.count < TokenScope.mostItems else { throw FormFault("there are too many scopes") }
        items.append(value)
      } else {
        throw FormFault("there is a parameter other than duration and scope")
      }
    }
    if items.isEmpty { return }
    do throws(TokenScopeFailure) {
      scope = try TokenScope(items: items)
    } catch {
      throw FormFault("\(error)")
    }
  }

  /// As forms are encoded: `+` is a space.
  private static func decoded(_ text: [UInt8]) throws(FormFault) -> [UInt8] {
    var bytes: [UInt8] = []
    var i = 0
    while i < text.count {
      switch text[i] {
      case 0x2B:
        bytes.append(0x20)
      case 0x25:
        guard i + 2 < text.count, let high = ASCII.hexValue(text[i + 1]), let low = ASCII.hexValue(text[i + 2]) else {
          throw FormFault("the query holds a malformed escape")
        }
        bytes.append(high << 4 | low)
        i += 2
      default:
        bytes.append(text[i])
      }
      i += 1
    }
    return bytes
  }
}
