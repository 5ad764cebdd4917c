// An upstream that keeps no files and is asked for one thing: a directory, a dictionary, Gopher, TFTP. What may be asked, and how much is answered.

import HTTP
import Primitives
import Upstream

extension Table {
  static let lookupRows: [Row] = [
    Row(
      "directory", in: .upstream, takes: "", 0...0, block: .required,
      doc: "Of an `ldap` or `ldaps` server: what clients may search by and what they are given, below the base that `server` names."
    ) { reading, directive in
      reading.isSaid(directive, for: .ldap, .ldaps)
      reading.upstreamInHand?.lookup.directoryPlace = directive.name.place
      if let block = directive.block { reading.read(block, in: .directory) }
    },
    Row(
      "search_by", in: .directory, takes: "ATTRIBUTE…", 1...16, standard: "uid",
      doc: "The attributes that a client may search by, one at a time and by its whole value: `GET /uid=alice`."
    ) { reading, directive in
      if let names = reading.attributes(directive) { reading.upstreamInHand?.lookup.lookup.keys = names }
    },
    Row(
      "attributes", in: .directory, takes: "ATTRIBUTE…", 1...64,
      doc: "The attributes of an entry that are given out, and no others: this has to be said."
    ) { reading, directive in
      reading.upstreamInHand?.lookup.saysAttributes = true
      if let names = reading.attributes(directive) { reading.upstreamInHand?.lookup.lookup.attributes = names }
    },
    Row(
      "filter", in: .directory, takes: "FILTER", 1...1,
      doc: "What entries have to match besides, as LDAP writes it (RFC 4515): `(objectClass=inetOrgPerson)`."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken else { return }
      guard Reading.isFilter(word.text) else { return reading.wrong(word, "is no filter", hint: "in brackets that fit together: (objectClass=person)") }
      reading.upstreamInHand?.lookup.lookup.filter = word.text
    },
    Row(
      "scope", in: .directory, takes: "base|one|subtree", 1...1, standard: "subtree",
      doc: "How far below its base a directory is searched: the base alone, the entries right below it, or all."
    ) { reading, directive in
      reading.choice(directive.arguments[0], [("base", Lookup.Scope.base), ("one", .one), ("subtree", .subtree)])
        .map { reading.upstreamInHand?.lookup.lookup.scope = $0 }
    },
    Row(
      "entries", in: .directory, takes: "NUMBER", 1...1, standard: "100", doc: "How many entries one answer may have; 403 beyond, and none of them."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...10_000).map { reading.upstreamInHand?.lookup.lookup.mostEntries = $0 }
    },
    Row(
      "database", in: .upstream, takes: "NAME|*|!", 1...1, standard: "*",
      doc: "Of a `dict` server: the database in which words are looked up, `*` for all of them, `!` for the first that has the word."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text != "*" { reading.isSaid(directive, for: .dict) }
      guard !word.isBroken else { return }
      guard word.text == "*" || word.text == "!" || Reading.isName(word.text) else { return reading.wrong(word, "is no name of a database") }
      reading.upstreamInHand?.lookup.lookup.database = word.text
    },
    Row(
      "menu_host", in: .upstream, takes: "HOST", 1...1,
      doc: "Of a `gopher` server: the host that its menus name for itself, where that is not the one in `server`; what they say of other hosts is no link."
    ) { reading, directive in
      let word = directive.arguments[0]
      reading.isSaid(directive, for: .gopher)
      guard !word.isBroken else { return }
      guard Reading.isHostName(word.text) else { return reading.wrong(word, "is no host name") }
      reading.upstreamInHand?.lookup.lookup.menuHost = word.text
    },
    Row(
      "block_size", in: .upstream, takes: "BYTES", 1...1, standard: "1428", elsewhere: ["blksize"],
      doc: "Of a `tftp` server: the block size to ask it for (RFC 2348); with 512 no option is sent, which very old servers take for an error."
    ) { reading, directive in
      // RFC 2348 allows 8; what is smaller than this only costs.
      guard let size = reading.count(directive.arguments[0], 512...65464) else { return }
      if size != Lookup().blockSize { reading.isSaid(directive, for: .tftp) }
      reading.upstreamInHand?.lookup.lookup.blockSize = size
    },
    Row(
      "answer_limit", in: .upstream, takes: "SIZE", 1...1, standard: "64m",
      doc: "Of a `gopher` or `tftp` server: how large a file may be; 502 beyond, or a visible cut where its size was not told."
    ) { reading, directive in
      guard let size = reading.size(directive.arguments[0], 1024...(1 << 40)) else { return }
      if size != Lookup().mostBytes { reading.isSaid(directive, for: .gopher, .tftp) }
      reading.upstreamInHand?.lookup.lookup.mostBytes = size
    },
  ]
}

/// What an upstream says that only servers have a use for that are asked for one thing.
struct LookupDraft {
  var lookup = Lookup()
  var directoryPlace: SourceRange?
  var saysAttributes = false
  /// What was said that is no default, and for which servers that is.
  var said: [(word: Word, kinds: [FileServer.Kind])] = []
}

extension Reading {
  fileprivate func isSaid(_ directive: Directive, for kinds: FileServer.Kind...) { upstreamInHand?.lookup.said.append((directive.name, kinds)) }

  /// RFC 4512 section 1.4: letters, digits and hyphens. Options (`;binary`) are none that anybody should ask for.
  fileprivate func attributes(_ directive: Directive) -> [String]? {
    var names: [String] = []
    for word in directive.arguments {
      if word.isBroken { return nil }
      guard let first = word.text.utf8.first, ASCII.isAlpha(first), word.text.utf8.count <= 64,
        word.text.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x2D })
      else {
        wrong(word, "is no name of an attribute", hint: "letters, digits and '-', parted by blanks: cn mail telephoneNumber")
        return nil
      }
      if names.contains(where: { $0.lowercased() == word.text.lowercased() }) {
        wrong(word, "is said twice")
        return nil
      }
      names.append(word.text)
    }
    return names
  }

  fileprivate static func isFilter(_ text: String) -> Bool {
    guard text.utf8.first == 0x28, text.utf8.last == 0x29, text.utf8.count <= 1024, !text.utf8.contains(where: ASCII.isControl) else { return false }
    var depth = 0
    for (i, byte) in text.utf8.enumerated() {
      if byte == 0x28 { depth += 1 }
      if byte == 0x29 { depth -= 1 }
      // One filter, not two beside each other.
      if depth == 0 && i + 1 < text.utf8.count { return false }
    }
    return depth == 0
  }

  /// Judges what an upstream says of lookups, once its servers are known: `kind` is nil where they speak HTTP.
  func judgeLookup(_ draft: UpstreamDraft, _ kind: FileServer.Kind?, isSound: Bool) {
    guard isSound else { return }
    for (word, kinds) in draft.lookup.said where kind.map({ !kinds.contains($0) }) ?? true {
      diagnostics.error(word.place, "'\(word.text)' is for a server whose URL begins with \(kinds.map { "\($0.rawValue)://" }.joined(separator: " or "))")
    }
    guard kind == .ldap || kind == .ldaps else { return }
    if draft.lookup.directoryPlace == nil {
      diagnostics.error(
        draft.name.place, "nothing says what of this directory is given out", hint: "directory { search_by uid; attributes cn mail telephoneNumber }")
    } else if !draft.lookup.saysAttributes, let place = draft.lookup.directoryPlace {
      diagnostics.error(place, "nothing says what of an entry is given out, which may be passwords", hint: "attributes cn mail telephoneNumber")
    }
  }
}
