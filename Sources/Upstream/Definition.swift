// What a dictionary answers (RFC 2229 section 3.2), taken apart, and told as text or JSON.

import Primitives

struct Definition: Equatable {
  struct Fault: Error {
    var reason: String
    /// It says no to what it was asked, and not that anything is the matter with itself (RFC 2229 section 2.4: 5yz).
    var isRefusal = false
  }

  var word: [UInt8]
  var database: [UInt8]
  /// The database's own name.
  var title: [UInt8]
  var text: [UInt8] = []

  /// The definitions of a whole conversation; none when there is no such word.
  static func definitions(_ conversation: [UInt8]) throws(Fault) -> [Definition] {
    var definitions: [Definition] = []
    var (isText, isKnown) = (false, false)
    for line in TextLines(conversation) {
      var line = line
      if isText {
        if line.elementsEqual([0x2E]) {
          isText = false
          continue
        }
        // Section 2.4.1: a dot stands before each that begins a line.
        if line.first == 0x2E { line = line.dropFirst() }
        definitions[definitions.count - 1].text += Array(line) + [0x0A]
        continue
      }
      guard line.count >= 3, let code = Int(String(decoding: line.prefix(3), as: UTF8.self)) else { continue }
      switch code {
      case 150: isKnown = true
      case 552: return []
      case 151:
        let words = Self.words(line.dropFirst(3))
        guard words.count == 3 else { throw Fault(reason: "a definition without word, database and title") }
        definitions.append(Definition(word: words[0], database: words[1], title: words[2]))
        isText = true
      case 400...: throw Fault(reason: "the dictionary answers \(code)", isRefusal: code >= 500)
      default: break
      }
    }
    if isText || !isKnown { throw Fault(reason: "the dictionary's answer has no end") }
    return definitions
  }

  /// Words between blanks or quotation marks; `\` takes the next byte as it is.
  private static func words(_ line: ArraySlice<UInt8>) -> [[UInt8]] {
    var words: [[UInt8]] = []
    var word: [UInt8]?
    var isQuoted = false
    var i = line.startIndex
    while i < line.endIndex {
      let byte = line[i]
      i += 1
      if byte == 0x5C, i < line.endIndex {
        word = (word ?? []) + [line[i]]
        i += 1
      } else if byte == 0x22 {
        isQuoted.toggle()
        word = word ?? []
      } else if byte == 0x20 && !isQuoted {
        if let done = word { words.append(done) }
        word = nil
      } else {
        word = (word ?? []) + [byte]
      }
    }
    return words + (word.map { [$0] } ?? [])
  }

  static func text(_ definitions: [Definition]) -> [UInt8] {
    var out: [UInt8] = []
    for definition in definitions {
      out += "From ".utf8
      out += definition.title
      out += " [".utf8
      out += definition.database
      out += "]:\n\n".utf8
      out += definition.text
      out.append(0x0A)
    }
    return out
  }

  /// An array of objects: `word`, `database`, `title`, `text`.
  static func json(_ definitions: [Definition]) -> [UInt8] {
    var out: [UInt8] = [0x5B]
    for (i, definition) in definitions.enumerated() {
      let members: KeyValuePairs = [
        "word": definition.word, "database": definition.database, "title": definition.title, "text": definition.text,
      ]
      out += (i == 0 ? "\n" : ",\n").utf8
      for (j, member) in members.enumerated() {
        out += "\(j == 0 ? "{" : ",")\"\(member.key)\":".utf8
        JSON.append(value: member.value, to: &out)
      }
      out.append(0x7D)
    }
    return out + Array("\n]\n".utf8)
  }
}
