// Which requests a script in a page makes, as the browser marks them. Its answer to a Basic challenge would be a dialog that nobody asked for.

import HTTP
import Primitives

enum ScriptRequest {
  /// Whether `head` says that it comes from XMLHttpRequest or fetch: by `X-Requested-With`, which libraries set, or by the Fetch Metadata
  /// fields, which the browser sets itself. To say so falsely changes a challenge and nothing else.
  static func isOne(_ head: borrowing RequestHead) -> Bool {
    var isMode = false
    var isEmptyDestination = false
    for i in head.fields.indices where head.fields[i].known == .other {
      let name = head.bytes[head.fields[i].name]
      let value = head.bytes[head.fields[i].value]
      if ASCII.equals(name, ignoringCaseOf: "x-requested-with") {
        if ASCII.equals(value, ignoringCaseOf: "xmlhttprequest") { return true }
      } else if ASCII.equals(name, ignoringCaseOf: "sec-fetch-mode") {
        isMode = ASCII.equals(value, "cors") || ASCII.equals(value, "same-origin")
      } else if ASCII.equals(name, ignoringCaseOf: "sec-fetch-dest") {
        isEmptyDestination = ASCII.equals(value, "empty")
      }
    }
    return isMode && isEmptyDestination
  }
}
