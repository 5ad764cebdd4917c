// What a request for a file asks of it: whether it has changed, and which part of it. Pure: fields in, the answer's kind out (RFC 9110 sections 13 and 14).

import HTTP
import Primitives

enum FileConditions {
  enum Outcome: Equatable {
    case whole
    /// 304.
    case notModified
    /// 206: these bytes, which are at least one and not beyond the end.
    case part(Range<UInt64>)
    /// 416.
    case unsatisfiable
  }

  /// - Parameters:
  ///   - tag: the file's entity tag, with its quotes: a strong one.
  ///   - modified: its Last-Modified. A date is compared as text, so that only the one that we gave counts.
  static func judge(_ head: borrowing RequestHead, tag: Span<UInt8>, modified: Span<UInt8>, size: UInt64) -> Outcome {
    if let tags = value("if-none-match", head) {
      // RFC 9110 section 13.2.2: where there are tags, dates are not looked at.
      if lists(head.bytes[tags], tag) { return .notModified }
    } else if let since = value("if-modified-since", head), ASCII.equals(head.bytes[since], modified) {
      return .notModified
    }
    guard head.method == .get, let asked = value("range", head) else { return .whole }
    if let unless = value("if-range", head), !ASCII.equals(head.bytes[unless], tag), !ASCII.equals(head.bytes[unless], modified) {
      return .whole
    }
    return part(head.bytes[asked], of: size)
  }

  /// The value of the one field of that name; of several none, and the request is answered as if there were none.
  private static func value(_ name: StaticString, _ head: borrowing RequestHead) -> ByteRange? {
    var found: ByteRange?
    for i in head.fields.indices where ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: name) {
      if found != nil { return nil }
      found = head.fields[i].value
    }
    return found
  }

  /// Whether a list of entity tags has this one, weakly compared, or is `*`.
  static func lists(_ list: Span<UInt8>, _ tag: Span<UInt8>) -> Bool {
    if list.count == 1 && list[0] == 0x2A { return true }
    var i = 0
    while i < list.count {
      if list[i] == 0x57 && i + 1 < list.count && list[i + 1] == 0x2F { i += 2 }
      guard i < list.count else { return false }
      guard list[i] == 0x22 else {
        guard list[i] == 0x2C || ASCII.isWhitespace(list[i]) else { return false }
        i += 1
        continue
      }
      guard let end = ASCII.firstIndex(of: 0x22, in: list, from: i + 1), end < list.count else { return false }
      if ASCII.equals(list.extracting(i..<(end + 1)), tag) { return true }
      i = end + 1
    }
    return false
  }

  /// `bytes=0-499`, `bytes=500-`, `bytes=-500`. What is not understood, and several parts, are answered with the whole (RFC 9110 section 14.2).
  static func part(_ text: Span<UInt8>, of size: UInt64) -> Outcome {
    guard text.count > 6, ASCII.equals(text.extracting(0..<6), ignoringCaseOf: "bytes=") else { return .whole }
    let spec = text.extracting(6..<text.count)
    guard let dash = ASCII.firstIndex(of: 0x2D, in: spec), dash < spec.count else { return .whole }
    let (first, last) = (spec.extracting(0..<dash), spec.extracting((dash + 1)..<spec.count))
    if first.count == 0 {
      guard let suffix = number(last) else { return .whole }
      return suffix == 0 || size == 0 ? .unsatisfiable : .part((size - min(suffix, size))..<size)
    }
    guard let start = number(first) else { return .whole }
    var end = size
    if last.count > 0 {
      guard let inclusive = number(last), inclusive >= start else { return .whole }
      end = min(size, inclusive == .max ? .max : inclusive + 1)
    }
    return start < size ? .part(start..<end) : .unsatisfiable
  }

  /// Digits alone; those beyond 64 bits are as much as there is.
  private static func number(_ digits: Span<UInt8>) -> UInt64? {
    if digits.count == 0 { return nil }
    var value: UInt64 = 0
    for i in digits.indices {
      guard ASCII.isDigit(digits[i]) else { return nil }
      let (tenfold, over) = value.multipliedReportingOverflow(by: 10)
      let (sum, carried) = tenfold.addingReportingOverflow(UInt64(digits[i] - 0x30))
      value = over || carried || value == .max ? .max : sum
    }
    return value
  }
}
