// What libcurl tells of a directory's entries, taken apart, and told as LDIF (RFC 2849) or JSON.

import Primitives

struct DirectoryEntry: Equatable {
  struct Attribute: Equatable {
    var name: String
    var values: [[UInt8]]
  }

  /// The distinguished name, in UTF-8 (RFC 4514).
  var name: [UInt8]
  var attributes: [Attribute] = []

  /// - Parameters:
  ///   - text: `DN: …`, then a line with a tab before it for each value: `cn: plain` or `cn:: Base64`.
  ///   - wanted: the attributes that are given out; whatever else the server says is left out.
  static func entries(_ text: [UInt8], attributes wanted: [String]) -> [DirectoryEntry] {
    let names = Set(wanted.map { $0.lowercased() })
    var entries: [DirectoryEntry] = []
    for line in TextLines(text) {
      if line.starts(with: Array("DN: ".utf8)) {
        entries.append(DirectoryEntry(name: Array(line.dropFirst(4))))
      } else if line.first == 0x09, !entries.isEmpty, let (name, value) = attribute(line.dropFirst()), names.contains(name.lowercased()) {
        entries[entries.count - 1].add(name, value)
      }
    }
    return entries
  }

  private mutating func add(_ name: String, _ value: [UInt8]) {
    if let i = attributes.firstIndex(where: { $0.name == name }) { attributes[i].values.append(value) } else { attributes.append(Attribute(name: name, values: [value])) }
  }

  private static func attribute(_ line: ArraySlice<UInt8>) -> (String, [UInt8])? {
    guard let colon = line.firstIndex(of: 0x3A) else { return nil }
    let name = String(decoding: line[..<colon], as: UTF8.self)
    let rest = line[(colon + 1)...]
    if rest.isEmpty { return (name, []) }
    if rest.first == 0x20 { return (name, Array(rest.dropFirst())) }
    guard rest.starts(with: [0x3A, 0x20]) else { return nil }
    let text = rest.dropFirst(2).filter { $0 != 0x3D }.map { $0 == 0x2B ? 0x2D : $0 == 0x2F ? 0x5F : $0 }
    return Base64.decodeURLSafe(text.span).map { (name, $0) }
  }

  static func ldif(_ entries: [DirectoryEntry]) -> [UInt8] {
    var out: [UInt8] = []
    for entry in entries {
      line("dn", entry.name, &out)
      for attribute in entry.attributes { for value in attribute.values { line(attribute.name, value, &out) } }
      out.append(0x0A)
    }
    return out
  }

  /// RFC 2849: what is no SAFE-STRING is written in Base64.
  private static func line(_ name: String, _ value: [UInt8], _ out: inout [UInt8]) {
    let isSafe = value.allSatisfy { $0 >= 0x20 && $0 < 0x7F } && ![0x20, 0x3A, 0x3C].contains(value.first) && value.last != 0x20
    out += Array(name.utf8) + (isSafe ? Array(": ".utf8) + value : Array(":: ".utf8) + Base64.encode(value.span)) + [0x0A]
  }

  /// An array of objects: `dn`, and `attributes` by their names, each an array of strings; what is no text is `{"base64": …}`.
  static func json(_ entries: [DirectoryEntry]) -> [UInt8] {
    var out: [UInt8] = [0x5B]
    for (i, entry) in entries.enumerated() {
      out += Array((i == 0 ? "\n{\"dn\":" : ",\n{\"dn\":").utf8)
      JSON.append(value: entry.name, to: &out)
      out += Array(",\"attributes\":{".utf8)
      for (j, attribute) in entry.attributes.enumerated() {
        if j > 0 { out.append(0x2C) }
        JSON.append(value: Array(attribute.name.utf8), to: &out)
        out += Array(":[".utf8)
        for (k, value) in attribute.values.enumerated() {
          if k > 0 { out.append(0x2C) }
          JSON.append(value: value, to: &out)
        }
        out.append(0x5D)
      }
      out += Array("}}".utf8)
    }
    return out + Array("\n]\n".utf8)
  }
}

extension JSON {
  /// A string, or, of what is no UTF-8, an object that holds it in Base64.
  static func append(value: [UInt8], to out: inout [UInt8]) {
    if UTF8Text.isWellFormed(value.span) { return append(quoted: value.span, to: &out) }
    out += Array("{\"base64\":\"".utf8) + Base64.encode(value.span) + Array("\"}".utf8)
  }
}
