// A folder as a page for people and as JSON for programs. Names come from whoever may write there: each is escaped for where it stands.

import HTTP
import Primitives

enum FolderPage {
  /// What is given at once, about.
  private static let piece = 32 << 10

  /// Gives the page in pieces to `sink`, which answers false when it wants no more.
  static func html(_ entries: [FileEntry], at path: FilePath, _ sink: ([UInt8]) -> Bool) {
    var page = top("/" + path.names.map { String(decoding: $0, as: UTF8.self) + "/" }.joined()) + "<table>\n"
    if !path.names.isEmpty { page += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n" }
    for entry in entries {
      let slash = entry.isFolder ? "/" : ""
      let size = entry.size.map { "\($0)" } ?? ""
      let modified = entry.modified.map(internet) ?? ""
      page += "<tr><td><a href=\"\(FilePath.encoded(entry.name))\(slash)\">\(text(entry.name))\(slash)</a></td><td>\(size)</td><td>\(modified)</td></tr>\n"
      if page.utf8.count < piece { continue }
      guard sink(Array(page.utf8)) else { return }
      page = ""
    }
    _ = sink(Array((page + "</table></body></html>\n").utf8))
  }

  /// Where such a page begins.
  static func top(_ title: String) -> String {
    let title = text(Array(title.utf8))
    return """
      <!DOCTYPE html>
      <html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>\(title)</title>
      <style>body{font:1em sans-serif;margin:2em}td{padding:.1em 1.5em .1em 0}td+td{text-align:right;color:#555}</style></head>
      <body><h1>\(title)</h1>

      """
  }

  /// An array of objects: `name`, `href` (relative, escaped: what of a name is no UTF-8 is whole only there), `type`, and `size` and `modified` where
  /// they are known. Given in pieces, as above.
  static func json(_ entries: [FileEntry], _ sink: ([UInt8]) -> Bool) {
    var out: [UInt8] = [0x5B]
    for (i, entry) in entries.enumerated() {
      out += Array((i == 0 ? "\n{\"name\":" : ",\n{\"name\":").utf8)
      JSON.append(quoted: Array(String(decoding: entry.name, as: UTF8.self).utf8).span, to: &out)
      out += Array(",\"href\":\"\(FilePath.encoded(entry.name))\(entry.isFolder ? "/" : "")\",\"type\":\"\(entry.isFolder ? "folder" : "file")\"".utf8)
      if let size = entry.size { out += Array(",\"size\":\(size)".utf8) }
      if let modified = entry.modified { out += Array(",\"modified\":\"\(internet(modified))\"".utf8) }
      out.append(0x7D)
      if out.count < piece { continue }
      guard sink(out) else { return }
      out = []
    }
    _ = sink(out + Array("\n]\n".utf8))
  }

  private static func internet(_ time: Timestamp) -> String {
    var text = ByteBuffer()
    HTTPDate.appendInternet(time, to: &text)
    return ASCII.string(text.span)
  }

  /// As text or in a quoted attribute of HTML.
  static func text(_ name: [UInt8]) -> String {
    var out = ""
    for scalar in String(decoding: name, as: UTF8.self).unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&#39;"
      // What turns the direction of writing round makes names look like others.
      case "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}", "\u{80}"..."\u{9F}": out += "\u{FFFD}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
