// A file of accounts, line by line: `user upstream-user password`, parted by white space, in double quotes where they hold some. And netrc(5), which
// other programs have.

public import Primitives

/// What is wrong with a line. Says its number and never what stands in it.
public struct AccountLineFault: Error, Equatable, Sendable {
  public var line: Int
  public var reason: String
}

/// Words of a file that holds secrets, as they stand there.
struct SecretWords {
  /// Parts `line` at blanks. In quotes `\"` and `\\` are a quote and a backslash, and nothing else may follow a backslash.
  static func of(_ line: Span<UInt8>) throws(AccountFault) -> [[UInt8]] {
    var words: [[UInt8]] = []
    var i = 0
    while true {
      while i < line.count && ASCII.isWhitespace(line[i]) { i += 1 }
      if i == line.count { return words }
      var word: [UInt8] = []
      if line[i] == 0x22 {
        i += 1
        while true {
          guard i < line.count else { throw AccountFault(reason: "a quote is not closed") }
          if line[i] == 0x22 { break }
          if line[i] == 0x5C {
            i += 1
            guard i < line.count, line[i] == 0x22 || line[i] == 0x5C else {
              throw AccountFault(reason: "a backslash in quotes is followed by neither a quote nor a backslash")
            }
          }
          word.append(line[i])
          i += 1
        }
        i += 1
        if i < line.count && !ASCII.isWhitespace(line[i]) { throw AccountFault(reason: "something follows a closing quote without a space") }
      } else {
        while i < line.count && !ASCII.isWhitespace(line[i]) {
          if line[i] == 0x22 { throw AccountFault(reason: "a quote stands inside a word: quotes go around a whole one") }
          word.append(line[i])
          i += 1
        }
      }
      words.append(word)
    }
  }
}

public enum AccountFile {
  /// The accounts by user. `user upstream-user password` each, or `user secret` where the scheme has no names; blank lines and those that begin
  /// with # say nothing.
  ///
  /// - Parameter bytes: the whole file.
  public static func parse(_ bytes: borrowing Secret, _ scheme: LoginScheme) throws(AccountLineFault) -> [[UInt8]: Account] {
    var accounts: [[UInt8]: Account] = [:]
    var lines: [[UInt8]: Int] = [:]
    let text = bytes.span
    var start = 0
    var number = 0
    while start < text.count {
      number += 1
      let newline = ASCII.firstIndex(of: 0x0A, in: text, from: start) ?? text.count
      var end = newline
      if end > start && text[end - 1] == 0x0D { end -= 1 }
      let line = text.extracting(start..<end)
      start = newline + 1
      var words: [[UInt8]]
      do { words = try SecretWords.of(line) } catch { throw AccountLineFault(line: number, reason: error.reason) }
      guard let first = words.first, first.first != 0x23 else { continue }
      let count = scheme.hasNames ? 3 : 2
      guard words.count == count else {
        let form = scheme.hasNames ? "USER UPSTREAM-USER PASSWORD" : "USER SECRET"
        throw AccountLineFault(line: number, reason: "it has \(words.count) words instead of \(count): \(form), with quotes around what holds spaces")
      }
      if let before = lines[first] { throw AccountLineFault(line: number, reason: "its user has an account in line \(before) already") }
      let secret = Secret(moving: &words[count - 1])
      do {
        accounts[first] = try Account(scheme, name: scheme.hasNames ? words[1] : [], secret: secret)
      } catch {
        throw AccountLineFault(line: number, reason: "its secret \(error.reason)")
      }
      lines[first] = number
    }
    return accounts
  }
}

/// netrc(5), as curl and ftp read it.
public enum Netrc {
  private static func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.map(ASCII.lowercased) == b.map(ASCII.lowercased) }

  public struct Entry: ~Copyable {
    public let name: [UInt8]
    public let secret: Secret
  }

  /// The login and password for `host`; those of `default` where it names no such machine.
  ///
  /// - Parameter user: the login that is looked for; nil takes the first.
  public static func find(_ host: String, user: [UInt8]?, in bytes: borrowing Secret) throws(AccountLineFault) -> Entry? {
    var words: [[UInt8]] = []
    let text = bytes.span
    var start = 0
    var number = 0
    var isMacro = false
    while start < text.count {
      number += 1
      var end = ASCII.firstIndex(of: 0x0A, in: text, from: start) ?? text.count
      let next = end + 1
      if end > start && text[end - 1] == 0x0D { end -= 1 }
      let line = text.extracting(start..<end)
      start = next
      // A macro ends with an empty line.
      if isMacro {
        if line.isEmpty { isMacro = false }
        continue
      }
      var found: [[UInt8]]
      do { found = try SecretWords.of(line) } catch { throw AccountLineFault(line: number, reason: error.reason) }
      if let mark = found.firstIndex(where: { $0.first == 0x23 }), mark == 0 { continue }
      if found.first == Array("macdef".utf8) {
        isMacro = true
        continue
      }
      words += found
      found = []
    }
    let wanted = Array(host.utf8)
    var entry: (name: [UInt8], password: [UInt8]?)?
    var isMatch = false
    var i = 0
    func matches(_ entry: (name: [UInt8], password: [UInt8]?)?) -> (name: [UInt8], password: [UInt8])? {
      guard isMatch, let entry, let password = entry.password, user == nil || user == entry.name else { return nil }
      return (entry.name, password)
    }
    while true {
      let word = i < words.count ? words[i] : []
      let isMachine = word == Array("machine".utf8)
      if i >= words.count || isMachine || word == Array("default".utf8) {
        if var hit = matches(entry) { return Entry(name: hit.name, secret: Secret(moving: &hit.password)) }
        if i >= words.count { return nil }
        entry = ([], nil)
        isMatch = !isMachine || i + 1 < words.count && Self.isSame(words[i + 1], wanted)
        i += isMachine ? 2 : 1
      } else if i + 1 < words.count, entry != nil {
        if word == Array("login".utf8) { entry?.name = words[i + 1] }
        if word == Array("password".utf8) { entry?.password = words[i + 1] }
        i += 2
      } else {
        i += 1
      }
    }
  }
}
