// "Did you mean …": the known name that is closest to a mistyped one.

enum Nearest {
  /// The candidate with the fewest edits from `name`, when they are few enough to be a slip: at most a third of its length. The first of
  /// equals wins.
  static func name(to name: String, among candidates: some Sequence<String>) -> String? {
    let wanted = folded(name)
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let allowed = max(1, max(wanted.count, candidate.utf8.count) / 3)
      let distance = distance(wanted, folded(candidate))
      if distance <= allowed && distance < (best?.distance ?? .max) { best = (candidate, distance) }
    }
    return best?.name
  }

  /// Upper and lower case, `-` and `_` are the same slip-free letter.
  private static func folded(_ name: String) -> [UInt8] {
    name.lowercased().utf8.map { $0 == 0x2D ? 0x5F : $0 }
  }

  /// Insertions, deletions, substitutions and swaps of neighbours that lead from `a` to `b` (optimal string alignment).
  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 1...a.count {
      var row = [i] + [Int](repeating: 0, count: b.count)
      for j in 1...b.count {
        let same = a[i - 1] == b[j - 1]
        row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1))
        if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] { row[j] = min(row[j], beforeLast[j - 2] + 1) }
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
