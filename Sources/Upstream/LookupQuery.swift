// A request's path as what another protocol is asked: a filter of LDAP's, a word, a selector, a name. What a client writes is only ever a value in it,
// each byte escaped by the rules of the place where it stands.

import Primitives

enum LookupQuery: Equatable {
  /// LDAP's filter (RFC 4515).
  case search(filter: String)
  case word([UInt8])
  /// Gopher's item type (RFC 1436 section 3.8), and the names below the root.
  case item(type: UInt8, [[UInt8]], isFolder: Bool)
  case file([[UInt8]])

  /// Nil for what can't be asked: there is nothing of that name.
  init?(_ path: FilePath, _ server: FileServer) {
    switch server.kind {
    case .ldap, .ldaps:
      guard path.names.count == 1, !path.isFolder, let filter = Self.filter(path.names[0], server.lookup) else { return nil }
      self = .search(filter: filter)
    case .dict:
      guard path.names.count == 1, !path.isFolder, Self.isWord(path.names[0]) else { return nil }
      self = .word(path.names[0])
    case .gopher:
      guard let first = path.names.first else {
        self = .item(type: 0x31, [], isFolder: false)
        return
      }
      guard first.count == 1, GopherMenu.mayBeAsked(first[0]), path.names.count > 1 else { return nil }
      self = .item(type: first[0], Array(path.names.dropFirst()), isFolder: path.isFolder)
    case .tftp:
      // A request is one block of 512 bytes (RFC 1350): a name that is longer is no server's fault.
      let length = server.root.reduce(0) { $0 + $1.utf8.count + 1 } + path.names.reduce(0) { $0 + $1.count + 1 }
      guard !path.names.isEmpty, !path.isFolder, length <= 480 else { return nil }
      self = .file(path.names)
    case .ftp, .ftps, .sftp, .file: return nil
    }
  }

  /// `uid=alice` as `(uid=alice)`, where the operator lets clients search by `uid`.
  private static func filter(_ name: [UInt8], _ lookup: Lookup) -> String? {
    guard let equals = name.firstIndex(of: 0x3D), equals + 1 < name.count, UTF8Text.isWellFormed(name.span) else { return nil }
    let asked = String(decoding: name[..<equals], as: UTF8.self).lowercased()
    // The operator's spelling goes out, never the client's.
    guard let key = lookup.keys.first(where: { $0.lowercased() == asked }) else { return nil }
    let match = "(\(key)=\(escaped(name[(equals + 1)...])))"
    return lookup.filter.map { "(&\($0)\(match))" } ?? match
  }

  /// RFC 4515 section 3: any byte may be written as `\xx`. All but letters and digits are, so that none means anything: no `*`, no bracket.
  private static func escaped(_ value: ArraySlice<UInt8>) -> String {
    var out: [UInt8] = []
    for byte in value {
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) {
        out.append(byte)
      } else {
        out += [0x5C, ASCII.lowerHexDigit(byte >> 4), ASCII.lowerHexDigit(byte & 15)]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// RFC 2229 section 2.2. libcurl escapes blanks and quotes, and takes words apart at colons, which are in none.
  private static func isWord(_ name: [UInt8]) -> Bool {
    name.count <= 128 && UTF8Text.isWellFormed(name.span) && !name.contains(0x3A) && !name.contains(0x22)
  }

  /// For libcurl, which takes it apart again; `origin` ends in `/`.
  func url(_ origin: String, _ server: FileServer) -> String {
    switch self {
    case .search(let filter):
      let lookup = server.lookup
      let base = server.root.map { Self.encoded($0) }.joined()
      return origin + "\(base)?\(lookup.attributes.map(Self.encoded).joined(separator: ","))?\(lookup.scope.rawValue)?\(Self.encoded(filter))"
    case .word(let word): return origin + "d:\(FilePath.encoded(word)):\(server.lookup.database)"
    case .item(let type, let names, let isFolder):
      let path = (server.root.map { Array($0.utf8) } + names).map { "/" + FilePath.encoded($0) }.joined()
      // Nothing behind it asks for the server's first menu.
      return path.isEmpty ? origin : origin + String(decoding: [type], as: UTF8.self) + path + (isFolder ? "/" : "")
    case .file(let names): return origin + (server.root.map { Array($0.utf8) } + names).map { FilePath.encoded($0) }.joined(separator: "/")
    }
  }

  private static func encoded(_ text: String) -> String { FilePath.encoded(Array(text.utf8)) }
}
