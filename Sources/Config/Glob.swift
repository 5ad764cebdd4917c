// Patterns of file names, as `include` takes them: `*`, `?` and `[…]` in any part of a path.

enum Glob {
  /// Whether `pattern` has a wildcard at all.
  static func isPattern(_ pattern: String) -> Bool {
    pattern.utf8.contains { $0 == 0x2A || $0 == 0x3F || $0 == 0x5B }
  }

  /// The existing paths that `pattern`, seen from `folder`, names, sorted by their bytes. Names that begin with a dot match only a pattern
  /// that does (glob(7)).
  static func expand(_ pattern: String, in folder: String) -> [String] {
    var paths = [pattern.utf8.first == 0x2F ? "/" : folder]
    let parts = pattern.split(separator: "/").map(String.init)
    for (i, part) in parts.enumerated() {
      let isLast = i == parts.count - 1
      var next: [String] = []
      for path in paths {
        if !isPattern(part) {
          next.append(Path.join(path, part))
          continue
        }
        for name in Disk.names(in: path) where matches(Array(name.utf8), Array(part.utf8)) {
          let found = Path.join(path, name)
          if isLast || Disk.isFolder(found) { next.append(found) }
        }
      }
      paths = next
    }
    return paths.filter { (try? Disk.attributes($0)) != nil }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Whether the whole of `name`, which has no slash, is described by `pattern`. Time is bounded by the product of their lengths.
  static func matches(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
    if name.first == 0x2E && pattern.first != 0x2E { return false }
    var n = 0
    var p = 0
    /// Where to try again when what follows the last `*` did not fit: it then takes one byte more.
    var retry: (name: Int, pattern: Int)?
    while n < name.count {
      if p < pattern.count && pattern[p] == 0x2A {
        retry = (n, p + 1)
        p += 1
      } else if let width = width(of: pattern, at: p, matching: name[n]) {
        n += 1
        p += width
      } else if let last = retry {
        retry = (last.name + 1, last.pattern)
        n = last.name + 1
        p = last.pattern
      } else {
        return false
      }
    }
    while p < pattern.count && pattern[p] == 0x2A { p += 1 }
    return p == pattern.count
  }

  /// The bytes of the pattern's element at `p` (`?`, `[a-z]`, `[!a]` or a byte that stands for itself) when it describes `byte`, else nil.
  private static func width(of pattern: [UInt8], at p: Int, matching byte: UInt8) -> Int? {
    guard p < pattern.count else { return nil }
    if pattern[p] == 0x3F { return 1 }
    guard pattern[p] == 0x5B else { return pattern[p] == byte ? 1 : nil }
    var i = p + 1
    let isNegated = i < pattern.count && (pattern[i] == 0x21 || pattern[i] == 0x5E)
    if isNegated { i += 1 }
    let first = i
    var isIn = false
    while i < pattern.count && (pattern[i] != 0x5D || i == first) {
      if i + 2 < pattern.count && pattern[i + 1] == 0x2D && pattern[i + 2] != 0x5D {
        if pattern[i] <= byte && byte <= pattern[i + 2] { isIn = true }
        i += 3
      } else {
        if pattern[i] == byte { isIn = true }
        i += 1
      }
    }
    // A bracket that is not closed stands for itself.
    guard i < pattern.count else { return byte == 0x5B ? 1 : nil }
    return isIn != isNegated ? i + 1 - p : nil
  }
}
