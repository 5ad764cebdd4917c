// Bytes of a config file to words and punctuation. Knows quotes, comments and `${NAME}`; knows no directive.

/// Splits a file into tokens. Complaints go to `diagnostics`; a bad word is still a word, marked as broken.
///
/// White space is space, tab and CR; a line's end is a token of its own. `#` begins a comment where a word could begin. `{`, `}` and `;`
/// always stand for themselves outside quotes. In double quotes, `\"`, `\\` and `\$` are the escapes; outside, a backslash is an error.
/// `${NAME}` is replaced by the environment variable's value in and out of quotes.
struct Lexer {
  enum Token {
    case word(Word)
    case open(SourceRange)
    case close(SourceRange)
    case semicolon
    case lineEnd
    case end
  }

  private let file: SourceFile
  private let bytes: [UInt8]
  private let environment: (String) -> String?
  private var position = 0
  private var line = 1

  init(_ file: SourceFile, environment: @escaping (String) -> String?) {
    self.file = file
    bytes = file.bytes
    self.environment = environment
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }  // a byte order mark, as some editors write
  }

  mutating func next(_ diagnostics: inout Diagnostics) -> Token {
    while position < bytes.count {
      let start = position
      switch bytes[position] {
      case 0x20, 0x09, 0x0D:
        position += 1
      case 0x0A:
        position += 1
        line += 1
        return .lineEnd
      case 0x23:  // '#'
        while position < bytes.count && bytes[position] != 0x0A { position += 1 }
      case 0x3B:
        position += 1
        return .semicolon
      case 0x7B:
        position += 1
        return .open(place(start, position))
      case 0x7D:
        position += 1
        return .close(place(start, position))
      case 0x22:
        return .word(quoted(&diagnostics))
      default:
        return .word(bare(&diagnostics))
      }
    }
    return .end
  }

  // MARK: Words

  private mutating func bare(_ diagnostics: inout Diagnostics) -> Word {
    let start = position
    var text: [UInt8] = []
    var isBroken = false
    while position < bytes.count && !endsWord(bytes[position]) {
      let byte = bytes[position]
      if byte == 0x24 && peek(1) == 0x7B {
        substitute(into: &text, &isBroken, &diagnostics)
        continue
      }
      if byte == 0x22 || byte == 0x5C || isControl(byte) {
        if !isBroken { complain(about: byte, &diagnostics) }
        isBroken = true
      }
      text.append(byte)
      position += 1
    }
    return word(text, from: start, isQuoted: false, isBroken, &diagnostics)
  }

  private func complain(about byte: UInt8, _ diagnostics: inout Diagnostics) {
    let place = place(position, position + 1)
    switch byte {
    case 0x22: diagnostics.error(place, "a quote inside a word", hint: "put the quotes around the whole word")
    case 0x5C:
      diagnostics.error(
        place, "a backslash outside quotes",
        hint: "a directive ends with its line; put the word in quotes, with \\\\, if the backslash is meant")
    default: diagnostics.error(place, "a control character")
    }
  }

  private mutating func quoted(_ diagnostics: inout Diagnostics) -> Word {
    let start = position
    var text: [UInt8] = []
    var isBroken = false
    position += 1
    while true {
      guard position < bytes.count && bytes[position] != 0x0A else {
        diagnostics.error(
          place(start, start + 1), "this quote is not closed on its line", hint: "inside quotes, a quote is written \\\"")
        stepBackToBrace(after: start)
        return word(text, from: start, isQuoted: true, true, &diagnostics)
      }
      let byte = bytes[position]
      if byte == 0x22 { break }
      if byte == 0x24 && peek(1) == 0x7B {
        substitute(into: &text, &isBroken, &diagnostics)
      } else if byte == 0x5C {
        escape(into: &text, &isBroken, &diagnostics)
      } else {
        if isControl(byte) && byte != 0x09 && !(byte == 0x0D && peek(1) == 0x0A) {
          if !isBroken { diagnostics.error(place(position, position + 1), "a control character") }
          isBroken = true
        }
        text.append(byte)
        position += 1
      }
    }
    position += 1
    if position < bytes.count && !endsWord(bytes[position]) {
      diagnostics.error(
        place(position, position + 1), "a word ends at its closing quote", hint: "put white space here, or quote the whole word")
      isBroken = true
      while position < bytes.count && !endsWord(bytes[position]) { position += 1 }
    }
    return word(text, from: start, isQuoted: true, isBroken, &diagnostics)
  }

  private mutating func escape(into text: inout [UInt8], _ isBroken: inout Bool, _ diagnostics: inout Diagnostics) {
    let next = peek(1)
    if next == 0x22 || next == 0x5C || next == 0x24 {
      text.append(next ?? 0)
      position += 2
    } else {
      diagnostics.error(
        place(position, position + 1), "a backslash that escapes nothing", hint: "in quotes, \\\", \\\\ and \\$ are the escapes")
      isBroken = true
      position += 1
    }
  }

  /// After a quote that is not closed: a brace at the line's end was hardly meant to be inside it, and the blocks around stay balanced.
  private mutating func stepBackToBrace(after start: Int) {
    var last = position
    while last > start + 1 && endsWordAtLineEnd(bytes[last - 1]) { last -= 1 }
    if last > start + 1 && (bytes[last - 1] == 0x7B || bytes[last - 1] == 0x7D) { position = last - 1 }
  }

  private func endsWordAtLineEnd(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

  private func word(
    _ text: [UInt8], from start: Int, isQuoted: Bool, _ isBroken: Bool, _ diagnostics: inout Diagnostics
  ) -> Word {
    let place = place(start, position)
    let written = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let valid = String(validating: text, as: UTF8.self) else {
      if !isBroken { diagnostics.error(place, "this is not UTF-8", hint: "save the file as UTF-8") }
      return Word(text: "", written: written, place: place, isQuoted: isQuoted, isBroken: true)
    }
    return Word(text: valid, written: written, place: place, isQuoted: isQuoted, isBroken: isBroken)
  }

  // MARK: Environment

  /// At `${`. Appends the variable's value: bytes of this word, never new words or punctuation.
  private mutating func substitute(into text: inout [UInt8], _ isBroken: inout Bool, _ diagnostics: inout Diagnostics) {
    let start = position
    position += 2
    let nameStart = position
    while position < bytes.count, isNameByte(bytes[position]) { position += 1 }
    let name = String(decoding: bytes[nameStart..<position], as: UTF8.self)
    guard peek(0) == 0x7D, let first = name.utf8.first, !(first >= 0x30 && first <= 0x39) else {
      // Up to the brace that was meant to close it, so that it does not close a block.
      while position < bytes.count, bytes[position] == 0x7D || bytes[position] != 0x22 && !endsWord(bytes[position]) {
        position += 1
        if bytes[position - 1] == 0x7D { break }
      }
      diagnostics.error(
        place(start, position), "'${' begins the name of an environment variable and is closed by '}'",
        hint: "write ${NAME}; a literal ${ is written \"\\${\"")
      isBroken = true
      return
    }
    position += 1
    let place = place(start, position)
    guard let value = environment(name) else {
      diagnostics.error(place, "the environment variable '\(name)' is not set")
      isBroken = true
      return
    }
    guard value.utf8.allSatisfy({ !isControl($0) }) else {
      diagnostics.error(place, "the environment variable '\(name)' holds a control character (a line end, perhaps)")
      isBroken = true
      return
    }
    text.append(contentsOf: value.utf8)
  }

  // MARK: Bytes

  private func place(_ start: Int, _ end: Int) -> SourceRange { SourceRange(file: file, line: line, bytes: start..<end) }

  private func peek(_ ahead: Int) -> UInt8? {
    position + ahead < bytes.count ? bytes[position + ahead] : nil
  }

  private func endsWord(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x20, 0x09, 0x0D, 0x0A, 0x3B, 0x7B, 0x7D: true
    default: false
    }
  }

  private func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }

  private func isNameByte(_ byte: UInt8) -> Bool {
    (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A) || byte == 0x5F
  }
}
