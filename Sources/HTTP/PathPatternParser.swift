// The text of a path pattern to its steps: the part of the usual regular expressions that can be matched in bounded time.

import Primitives

/// Why a text is no pattern.
public struct PathPatternFault: Error, Equatable, Sendable {
  /// Continues "the pattern ".
  public let reason: String

  init(_ reason: String) { self.reason = reason }
}

extension PathPattern {
  /// Most bytes of a pattern's text.
  public static let longest = 1024

  /// Compiles `^/old/([^/]+)/(.*)$`: literal bytes, `.`, sets (`[a-z]`, `[^/]`), `\d`, `\w`, `\s` and their capitals, `\` before punctuation,
  /// groups `( )` and `(?: )`, `|`, and `*`, `+`, `?`, `{2}`, `{2,}`, `{2,4}`, each also with `?` behind it for as few as will do; `^` first, which has to be
  /// there, and `$`. No references back and no looking around, which have no bounded time.
  public init(_ text: [UInt8]) throws(PathPatternFault) {
    guard text.count <= Self.longest else { throw PathPatternFault("is longer than \(Self.longest) bytes") }
    guard text.first == 0x5E else { throw PathPatternFault("does not begin with '^': it is compared from the path's first byte") }
    var parser = PathPatternParser(text)
    let node = try parser.whole()
    var compiler = PathPatternCompiler()
    try compiler.compile(.group(0, node))
    try compiler.add(.match)
    steps = compiler.steps
    sets = compiler.sets
    groupCount = parser.groups
  }
}

private indirect enum Node {
  case empty
  case set(PathPattern.ByteSet)
  case byte(UInt8)
  case end
  case sequence([Node])
  case either([Node])
  case group(Int, Node)
  case repeated(Node, least: Int, most: Int?, isLazy: Bool)
}

private struct PathPatternParser {
  let text: [UInt8]
  var i = 1
  var groups = 0
  private var depth = 0

  init(_ text: [UInt8]) { self.text = text }

  private var next: UInt8? { i < text.count ? text[i] : nil }

  mutating func whole() throws(PathPatternFault) -> Node {
    let node = try alternatives()
    guard next == nil else { throw PathPatternFault("has a ')' without a '('") }
    return node
  }

  private mutating func alternatives() throws(PathPatternFault) -> Node {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 32 else { throw PathPatternFault("has groups in groups beyond 32") }
    var all = [try sequence()]
    while next == 0x7C {
      i += 1
      all.append(try sequence())
    }
    return all.count == 1 ? all[0] : .either(all)
  }

  private mutating func sequence() throws(PathPatternFault) -> Node {
    var nodes: [Node] = []
    while let byte = next, byte != 0x7C, byte != 0x29 { nodes.append(try repeated(try atom(byte))) }
    return nodes.isEmpty ? .empty : .sequence(nodes)
  }

  private mutating func atom(_ byte: UInt8) throws(PathPatternFault) -> Node {
    i += 1
    switch byte {
    case 0x28: return try group()
    case 0x5B: return .set(try set())
    case 0x2E: return .set(PathPattern.ByteSet().inverted)
    case 0x24: return .end
    case 0x5C: return try escaped()
    case 0x5E: throw PathPatternFault("has a '^' that is not its first byte")
    case 0x2A, 0x2B, 0x3F, 0x7B: throw PathPatternFault("has a '\(Character(UnicodeScalar(byte)))' that repeats nothing: a '\\' before it takes it as it is")
    default:
      // The path that it is compared with has none of these.
      guard byte > 0x20 && byte < 0x7F else { throw PathPatternFault("has white space, a control or a byte beyond ASCII, which paths hold as %-escapes alone") }
      return .byte(byte)
    }
  }

  private mutating func group() throws(PathPatternFault) -> Node {
    var number: Int?
    if next == 0x3F {
      guard i + 1 < text.count, text[i + 1] == 0x3A else { throw PathPatternFault("has a '(?' that is no '(?:'") }
      i += 2
    } else {
      groups += 1
      guard groups <= PathPattern.groupLimit else { throw PathPatternFault("has more than \(PathPattern.groupLimit) groups: '(?: )' counts for none") }
      number = groups
    }
    let node = try alternatives()
    guard next == 0x29 else { throw PathPatternFault("has a '(' that is not closed") }
    i += 1
    return number.map { .group($0, node) } ?? node
  }

  private mutating func repeated(_ node: Node) throws(PathPatternFault) -> Node {
    var least = 0
    var most: Int?
    switch next {
    case 0x2A: break
    case 0x2B: least = 1
    case 0x3F: most = 1
    case 0x7B:
      i += 1
      (least, most) = try bounds()
    default: return node
    }
    i += 1
    if case .end = node { throw PathPatternFault("repeats its '$'") }
    var isLazy = false
    if next == 0x3F {
      isLazy = true
      i += 1
    }
    if let byte = next, [0x2A, 0x2B, 0x3F, 0x7B].contains(byte) { throw PathPatternFault("repeats a repetition") }
    return .repeated(node, least: least, most: most, isLazy: isLazy)
  }

  /// Leaves `i` at the closing brace.
  private mutating func bounds() throws(PathPatternFault) -> (Int, Int?) {
    func fault() -> PathPatternFault { PathPatternFault("has a '{' that is none of {2}, {2,} and {2,4}, up to 100") }
    guard let least = number() else { throw fault() }
    var most: Int? = least
    if next == 0x2C {
      i += 1
      most = number()
      if most == nil && next != 0x7D { throw fault() }
    }
    guard next == 0x7D, least <= 100, most ?? 0 <= 100, most.map({ $0 >= max(least, 1) }) ?? true else { throw fault() }
    return (least, most)
  }

  private mutating func number() -> Int? {
    let start = i
    while let byte = next, ASCII.isDigit(byte) { i += 1 }
    return i > start && i - start <= 3 ? Int(String(decoding: text[start..<i], as: UTF8.self)) : nil
  }

  private mutating func escaped() throws(PathPatternFault) -> Node {
    guard let byte = next else { throw PathPatternFault("ends in a '\\'") }
    i += 1
    if let set = Self.named(byte) { return .set(set) }
    guard !ASCII.isAlpha(byte), !ASCII.isDigit(byte), byte > 0x20, byte < 0x7F else {
      throw PathPatternFault("has '\\\(Character(UnicodeScalar(byte)))', which is none of \\d, \\w, \\s, their capitals, and '\\' before punctuation")
    }
    return .byte(byte)
  }

  private static func named(_ byte: UInt8) -> PathPattern.ByteSet? {
    var set = PathPattern.ByteSet()
    for candidate in UInt8.min...UInt8.max {
      let isIn =
        switch byte | 0x20 {
        case 0x64: ASCII.isDigit(candidate)
        case 0x77: ASCII.isDigit(candidate) || ASCII.isAlpha(candidate) || candidate == 0x5F
        case 0x73: candidate == 0x20 || (candidate >= 0x09 && candidate <= 0x0D)
        default: false
        }
      if isIn { set.insert(candidate) }
    }
    guard [0x64, 0x77, 0x73].contains(byte | 0x20), ASCII.isAlpha(byte) else { return nil }
    return byte & 0x20 == 0 ? set.inverted : set
  }

  private mutating func set() throws(PathPatternFault) -> PathPattern.ByteSet {
    let open = PathPatternFault("has a '[' that is not closed")
    var set = PathPattern.ByteSet()
    var isInverted = false
    if next == 0x5E {
      isInverted = true
      i += 1
    }
    var isFirst = true
    while true {
      guard let byte = next else { throw open }
      if byte == 0x5D && !isFirst { break }
      isFirst = false
      guard let low = try member(&set) else { continue }
      guard next == 0x2D, i + 1 < text.count, text[i + 1] != 0x5D else {
        set.insert(low)
        continue
      }
      i += 1
      guard let high = try member(&set), high >= low else { throw PathPatternFault("has a range in '[ ]' that goes backwards") }
      for byte in low...high { set.insert(byte) }
    }
    i += 1
    return isInverted ? set.inverted : set
  }

  /// A byte of a set; nil when it was a class such as `\d`, which is in the set now.
  private mutating func member(_ set: inout PathPattern.ByteSet) throws(PathPatternFault) -> UInt8? {
    guard let byte = next else { throw PathPatternFault("has a '[' that is not closed") }
    i += 1
    if byte != 0x5C {
      guard byte > 0x20 && byte < 0x7F else { throw PathPatternFault("has white space, a control or a byte beyond ASCII, which paths hold as %-escapes alone") }
      return byte
    }
    switch try escaped() {
    case .byte(let byte): return byte
    case .set(let other):
      set.formUnion(other)
      return nil
    default: return nil
    }
  }
}

private struct PathPatternCompiler {
  var steps: [PathPattern.Step] = []
  var sets: [PathPattern.ByteSet] = []

  mutating func add(_ step: PathPattern.Step) throws(PathPatternFault) {
    guard steps.count < PathPattern.stepLimit else {
      throw PathPatternFault("is too large: written out it has more than \(PathPattern.stepLimit) steps")
    }
    steps.append(step)
  }

  mutating func compile(_ node: Node) throws(PathPatternFault) {
    switch node {
    case .empty: break
    case .byte(let byte): try add(.byte(byte))
    case .end: try add(.end)
    case .set(let set):
      let known = sets.firstIndex(of: set)
      if known == nil { sets.append(set) }
      try add(.set(known ?? sets.count - 1))
    case .sequence(let nodes): for node in nodes { try compile(node) }
    case .group(let number, let node):
      try add(.save(number * 2))
      try compile(node)
      try add(.save(number * 2 + 1))
    case .either(let nodes):
      var jumps: [Int] = []
      for node in nodes.dropLast() {
        let split = steps.count
        try add(.split(split + 1, 0))
        try compile(node)
        jumps.append(steps.count)
        try add(.jump(0))
        steps[split] = .split(split + 1, steps.count)
      }
      try compile(nodes[nodes.count - 1])
      for jump in jumps { steps[jump] = .jump(steps.count) }
    case .repeated(let node, let least, let most, let isLazy):
      for _ in 0..<least { try compile(node) }
      guard let most else {
        let split = steps.count
        try add(.split(0, 0))
        try compile(node)
        try add(.jump(split))
        steps[split] = isLazy ? .split(steps.count, split + 1) : .split(split + 1, steps.count)
        return
      }
      var splits: [Int] = []
      for _ in least..<most {
        splits.append(steps.count)
        try add(.split(0, 0))
        try compile(node)
      }
      for split in splits { steps[split] = isLazy ? .split(steps.count, split + 1) : .split(split + 1, steps.count) }
    }
  }
}
