// A line of a config as it may be shown: without what may be a password, since a diagnostic ends up in journals and in tickets.

enum Excerpt {
  private static let veil: Unicode.Scalar = "•"

  /// The scalars of `line`, each in its place, with the values of `authorization replace` and `password`, and the user part of a URL
  /// veiled. A value that comes from a variable (`${NAME}`) is not there to be seen and stays.
  static func shown(_ line: String) -> [Unicode.Scalar] {
    var scalars = Array(line.unicodeScalars)
    for word in ["replace", "password"] { veilValues(after: word, &scalars) }
    veilUsers(&scalars)
    veilPairs(&scalars)
    return scalars
  }

  private static func veilValues(after word: String, _ scalars: inout [Unicode.Scalar]) {
    let keyword = Array(word.unicodeScalars)
    var at = 0
    while let start = position(of: keyword, in: scalars, from: at) {
      at = start + keyword.count
      // The whole word, not the end of another.
      if start > 0, !isBlank(scalars[start - 1]) && !";{".unicodeScalars.contains(scalars[start - 1]) { continue }
      guard at < scalars.count, isBlank(scalars[at]) else { continue }
      while at < scalars.count && isBlank(scalars[at]) { at += 1 }
      // To the end of the directive: a value whose quotes are forgotten is several words.
      let value = at
      var isQuoted = false
      while at < scalars.count && (isQuoted || !";}".unicodeScalars.contains(scalars[at])) {
        if let end = variable(scalars, at) { at = end }
        if scalars[at] == "\\" && isQuoted { at += 1 } else if scalars[at] == "\"" { isQuoted.toggle() }
        at += 1
      }
      at = min(at, scalars.count)
      var i = value
      while i < at {
        if let end = variable(scalars, i) {
          i = end + 1
          continue
        }
        if !isBlank(scalars[i]) && scalars[i] != "\"" { scalars[i] = veil }
        i += 1
      }
    }
  }

  /// Where the `${NAME}` that begins at `start` ends.
  private static func variable(_ scalars: [Unicode.Scalar], _ start: Int) -> Int? {
    guard scalars[start] == "$", start + 1 < scalars.count, scalars[start + 1] == "{" else { return nil }
    return scalars[start...].firstIndex(of: "}")
  }

  private static func veilUsers(_ scalars: inout [Unicode.Scalar]) {
    let mark = Array("://".unicodeScalars)
    var at = 0
    while let start = position(of: mark, in: scalars, from: at) {
      at = start + mark.count
      var end = at
      while end < scalars.count && !isBlank(scalars[end]) && !";\"".unicodeScalars.contains(scalars[end]) { end += 1 }
      if let sign = scalars[at..<end].lastIndex(of: "@") {
        for i in at..<sign { scalars[i] = veil }
      }
    }
  }

  /// A name and a password that stand before an `@` without a URL's scheme: nothing that a directive takes is written so.
  private static func veilPairs(_ scalars: inout [Unicode.Scalar]) {
    var at = 0
    while at < scalars.count {
      let end = scalars[at...].firstIndex { isBlank($0) || ";\"".unicodeScalars.contains($0) } ?? scalars.count
      let isURL = position(of: Array("://".unicodeScalars), in: Array(scalars[at..<end]), from: 0) != nil
      if !isURL, let sign = scalars[at..<end].lastIndex(of: "@"), scalars[at..<sign].contains(":") {
        for i in at..<sign { scalars[i] = veil }
      }
      at = end + 1
    }
  }

  private static func position(of word: [Unicode.Scalar], in scalars: [Unicode.Scalar], from: Int) -> Int? {
    guard scalars.count >= word.count else { return nil }
    return (from...max(from, scalars.count - word.count)).first {
      $0 + word.count <= scalars.count && scalars[$0..<$0 + word.count].elementsEqual(word)
    }
  }

  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }
}
