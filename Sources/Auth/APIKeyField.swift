// The field in which API keys may come by themselves (`api_key_header`), found in a request's head.

internal import HTTP
internal import Primitives

enum APIKeyField {
  case absent
  /// Its index among the head's fields.
  case one(Int)
  case several

  /// Looks for `name`, in either case. Spellings that only some take for it (`X_API_Key`) are no credentials; they are not forwarded.
  static func find(_ name: [UInt8], in head: borrowing RequestHead) -> APIKeyField {
    if name.isEmpty { return .absent }
    var found: Int?
    for i in head.fields.indices where head.fields[i].known == .other {
      guard ASCII.equals(head.bytes[head.fields[i].name], ignoringCaseOf: name.span) else { continue }
      if found != nil { return .several }
      found = i
    }
    return found.map { .one($0) } ?? .absent
  }
}
