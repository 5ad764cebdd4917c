// Tokens to a tree of directives. Reports what is wrong with the shape and goes on at the next directive.

/// Reads one file into directives, without looking into `include`.
struct Parser {
  /// Blocks in blocks. The language needs three.
  private static let deepest = 16

  private var lexer: Lexer
  private var diagnostics = Diagnostics()
  /// A token that was looked at and not used.
  private var held: Lexer.Token?

  /// The directives of `file`; complaints are appended to `diagnostics`.
  static func parse(
    _ file: SourceFile, environment: @escaping (String) -> String?, _ diagnostics: inout Diagnostics
  ) -> [Directive] {
    var parser = Parser(lexer: Lexer(file, environment: environment))
    swap(&parser.diagnostics, &diagnostics)
    let directives = parser.statements(depth: 0).directives
    swap(&parser.diagnostics, &diagnostics)
    return directives
  }

  private init(lexer: Lexer) {
    self.lexer = lexer
  }

  private mutating func next() -> Lexer.Token {
    if let token = held {
      held = nil
      return token
    }
    return lexer.next(&diagnostics)
  }

  /// Directives up to the `}` that closes them (at depth 0: up to the end of the file).
  private mutating func statements(depth: Int) -> (directives: [Directive], isClosed: Bool) {
    var directives: [Directive] = []
    while true {
      switch next() {
      case .end:
        return (directives, depth == 0)
      case .lineEnd, .semicolon:
        continue
      case .close(let place):
        if depth > 0 { return (directives, true) }
        diagnostics.error(place, "this '}' closes nothing")
      case .open(let place):
        diagnostics.error(place, "a block without a directive before it")
        _ = block(place, depth: depth)
      case .word(let name):
        directives.append(directive(name, depth: depth))
      }
    }
  }

  private mutating func directive(_ name: Word, depth: Int) -> Directive {
    var directive = Directive(name: name, arguments: [], block: nil)
    while true {
      let token = next()
      switch token {
      case .word(let word):
        directive.arguments.append(word)
      case .open(let place):
        directive.block = block(place, depth: depth)
        return directive
      case .lineEnd:
        // A `{` alone on the following line is still this directive's: some write nginx's config that way.
        let following = skipLineEnds()
        guard case .open(let place) = following else {
          held = following
          return directive
        }
        directive.block = block(place, depth: depth)
        return directive
      case .semicolon:
        return directive
      case .close, .end:
        held = token
        return directive
      }
    }
  }

  private mutating func skipLineEnds() -> Lexer.Token {
    while true {
      let token = next()
      if case .lineEnd = token { continue }
      return token
    }
  }

  private mutating func block(_ place: SourceRange, depth: Int) -> Block {
    guard depth < Self.deepest else {
      diagnostics.error(place, "blocks are nested too deeply")
      skipBlock()
      return Block(place: place, directives: [], isClosed: true)
    }
    let (directives, isClosed) = statements(depth: depth + 1)
    if !isClosed { diagnostics.error(place, "this '{' is not closed", hint: "the file ends before its '}'") }
    return Block(place: place, directives: directives, isClosed: isClosed)
  }

  /// After a `{`: to its `}` or the end of the file, without recursion.
  private mutating func skipBlock() {
    var depth = 1
    while depth > 0 {
      switch next() {
      case .open: depth += 1
      case .close: depth -= 1
      case .end: return
      default: continue
      }
    }
  }
}
