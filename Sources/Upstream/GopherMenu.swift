// A menu of Gopher's (RFC 1436 section 3.4) as a page for people and as JSON for programs. A link is made of what leads to the same server below the same
// root, and of nothing else that a menu says.

import Primitives

struct GopherMenu {
  struct Item: Equatable {
    var type: UInt8
    var text: [UInt8]
    /// Relative; nil where it leads elsewhere, or can't be asked for.
    var href: String?
  }

  var items: [Item] = []
  let title: String

  /// Bytes within which a refusal says that it is one.
  static let longestRefusal = 512

  /// - Parameters:
  ///   - host: by which we find the server.
  ///   - path: the menu's own, as it was asked for.
  init(_ text: [UInt8], of server: FileServer, host: (name: String, port: UInt16), at path: FilePath) {
    title = "/" + path.names.dropFirst().map { String(decoding: $0, as: UTF8.self) + "/" }.joined()
    // From a page `1/a/b` up to where the types stand.
    let up = String(repeating: "../", count: max(0, path.names.count - (path.isFolder ? 0 : 1)))
    for line in TextLines(text) {
      if line.elementsEqual([0x2E]) || items.count == FileListing.mostEntries { break }
      guard let type = line.first else { continue }
      // Behind text, selector, host and port other words may stand, which are nobody's.
      let fields = line.dropFirst().split(separator: 0x09, maxSplits: 4, omittingEmptySubsequences: false).map(Array.init)
      var item = Item(type: type, text: fields.first ?? [])
      if fields.count >= 4, Self.isHere(fields[2], fields[3], server, host), let place = Self.place(type, fields[1], server) {
        item.href = up + place
        if item.href == "" { item.href = "./" }
      }
      items.append(item)
    }
  }

  private static func isHere(_ name: [UInt8], _ port: [UInt8], _ server: FileServer, _ host: (name: String, port: UInt16)) -> Bool {
    let name = String(decoding: name, as: UTF8.self).lowercased()
    return (name == host.name.lowercased() || name == server.lookup.menuHost?.lowercased()) && ASCII.decimal(port.span) == UInt64(host.port)
  }

  /// `0/docs/a.txt` for the selector `/docs/a.txt`, below the root.
  private static func place(_ type: UInt8, _ selector: [UInt8], _ server: FileServer) -> String? {
    guard mayBeAsked(type) else { return nil }
    let root = Array(server.root.map { "/" + $0 }.joined().utf8)
    guard selector.starts(with: root) else { return nil }
    var rest = Array(selector.dropFirst(root.count))
    if rest.isEmpty || rest == [0x2F] { return type == 0x31 ? "" : nil }
    guard rest.removeFirst() == 0x2F else { return nil }
    let isFolder = rest.last == 0x2F
    if isFolder { rest.removeLast() }
    let names = rest.split(separator: 0x2F, omittingEmptySubsequences: false).map(Array.init)
    guard names.allSatisfy({ FilePath.fault(of: $0) == nil }) else { return nil }
    return String(decoding: [type], as: UTF8.self) + names.map { "/" + FilePath.encoded($0) }.joined() + (isFolder ? "/" : "")
  }

  /// Files and menus. Not searches (7), which take a second word, and not what leads to another protocol.
  static func mayBeAsked(_ type: UInt8) -> Bool { "014569gIhsdp".utf8.contains(type) }

  static func mediaType(_ type: UInt8, _ name: [UInt8]) -> String {
    switch type {
    case 0x30: "text/plain; charset=utf-8"
    case 0x34: "application/mac-binhex40"
    case 0x67: "image/gif"
    case 0x68: "text/html; charset=utf-8"
    default: MediaType.of(name)
    }
  }

  /// Whether it is a line of type 3 where something else was asked for: how Gopher says that there is nothing.
  static func isRefusal(_ text: ArraySlice<UInt8>, isWhole: Bool) -> Bool {
    guard text.first == 0x33 else { return false }
    let end = text.firstIndex(of: 0x0A)
    if end == nil && !isWhole { return false }
    var line = text[..<(end ?? text.endIndex)]
    if line.last == 0x0D { line = line.dropLast() }
    // Text, selector, host and port, as in any menu; a text that begins with the digit has no such line.
    let fields = line.split(separator: 0x09, maxSplits: 4, omittingEmptySubsequences: false)
    return fields.count == 4 && ASCII.decimal(Array(fields[3]).span) != nil
  }

  func html() -> [UInt8] {
    var page = FolderPage.top(title) + "<pre>\n"
    for item in items {
      let text = FolderPage.text(item.text)
      let mark = item.type == 0x31 ? "/" : ""
      page += item.href.map { "<a href=\"\($0)\">\(text)\(mark)</a>\n" } ?? "\(text)\n"
    }
    return Array((page + "</pre></body></html>\n").utf8)
  }

  /// An array of objects: `type` as Gopher has it, `name`, and `href` where it leads to something that can be asked for.
  func json() -> [UInt8] {
    var out: [UInt8] = [0x5B]
    for (i, item) in items.enumerated() {
      out += Array((i == 0 ? "\n{\"type\":" : ",\n{\"type\":").utf8)
      JSON.append(value: [item.type], to: &out)
      out += Array(",\"name\":".utf8)
      JSON.append(quoted: Array(String(decoding: item.text, as: UTF8.self).utf8).span, to: &out)
      if let href = item.href { out += Array(",\"href\":\"\(href)\"".utf8) }
      out.append(0x7D)
    }
    return out + Array("\n]\n".utf8)
  }
}
