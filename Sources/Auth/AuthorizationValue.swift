// An Authorization value → its scheme and the rest (RFC 9110 section 11.4).

internal import Primitives

enum AuthorizationValue {
  case basic
  case bearer
  case unknown
  /// No scheme, or nothing after it.
  case malformed

  /// The scheme, its case folded, and where what follows its spaces begins.
  static func read(_ value: Span<UInt8>) -> (scheme: AuthorizationValue, start: Int) {
    // What most say, in one look: `basic ` in any case, and no second space.
    if let eight = EightBytes(value, at: 0), eight.lowercased.word & 0xFFFF_FFFF_FFFF == 0x2063_6973_6162, value[6] != 0x20 {
      return (.basic, 6)
    }
    let end = ASCII.endOfToken(in: value, from: 0, to: value.count)
    var start = end
    while start < value.count && value[start] == 0x20 { start += 1 }
    let name = value.extracting(0..<end)
    let sound = end > 0 && start > end && start < value.count
    if ASCII.equals(name, ignoringCaseOf: "basic") { return (sound ? .basic : .malformed, start) }
    if ASCII.equals(name, ignoringCaseOf: "bearer") { return (sound ? .bearer : .malformed, start) }
    return (end > 0 && (start > end || start == value.count) ? .unknown : .malformed, start)
  }
}
