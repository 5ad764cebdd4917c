// From a path to one tree: reads the file, and in place of each `include` the files that it names.

/// Reads a config and what it includes. Bounded in depth, in files and in bytes, so that a mistake ends in a message and not in a hang.
struct Inclusion {
  /// Files in files.
  static let deepest = 8
  /// Files in one config, each inclusion counted.
  static let mostFiles = 1000
  /// Bytes of one file.
  static let largestFile = 4 << 20

  let environment: (String) -> String?
  var diagnostics = Diagnostics()
  private var filesRead = 0
  /// The files around the one being read, outermost first.
  private var open: [(identity: [UInt64], name: String)] = []

  init(environment: @escaping (String) -> String?) {
    self.environment = environment
  }

  /// The directives of the file at `path`, with those of included files in their places. `nil` when the file itself can't be read.
  mutating func load(_ path: String) -> [Directive]? {
    do {
      return try read(path)
    } catch {
      diagnostics.add(Diagnostic(.error, at: nil, in: path, "the config file can't be read: \(error.reason)"))
      return nil
    }
  }

  /// The directives of `text`, as if it were in a file called `name`.
  mutating func load(text: [UInt8], name: String) -> [Directive] {
    resolve(Parser.parse(SourceFile(name: name, bytes: text), environment: environment, &diagnostics))
  }

  private mutating func read(_ path: String) throws(Disk.Failure) -> [Directive] {
    let bytes = try Disk.read(path, limit: Self.largestFile)
    let identity = try Disk.attributes(path).identity
    filesRead += 1
    open.append((identity, path))
    defer { open.removeLast() }
    return load(text: bytes, name: path)
  }

  /// Replaces `include` directives, at any depth, by what they include.
  private mutating func resolve(_ directives: [Directive]) -> [Directive] {
    var resolved: [Directive] = []
    for var directive in directives {
      if directive.name.text == "include" {
        resolved += include(directive)
        continue
      }
      if let block = directive.block { directive.block?.directives = resolve(block.directives) }
      resolved.append(directive)
    }
    return resolved
  }

  private mutating func include(_ directive: Directive) -> [Directive] {
    if directive.isBroken { return [] }
    guard directive.arguments.count == 1, let word = directive.arguments.first, !word.text.isEmpty else {
      diagnostics.error(directive.place, "'include' takes one argument: a file, or a pattern such as conf.d/*.conf")
      return []
    }
    if let block = directive.block { diagnostics.error(block.place, "'include' takes no block") }
    guard open.count < Self.deepest else {
      diagnostics.error(directive.place, "files include each other more than \(Self.deepest) deep")
      return []
    }
    let folder = word.place.file.folder
    // A pattern that matches nothing is an empty conf.d; a name that is not there is a mistake.
    let paths = Glob.isPattern(word.text) ? Glob.expand(word.text, in: folder) : [Path.join(folder, word.text)]
    var directives: [Directive] = []
    for path in paths {
      guard filesRead < Self.mostFiles else {
        diagnostics.error(directive.place, "more than \(Self.mostFiles) files are included")
        break
      }
      if let identity = (try? Disk.attributes(path))?.identity, let around = open.first(where: { $0.identity == identity }) {
        diagnostics.error(word.place, "'\(around.name)' includes itself here")
        continue
      }
      do {
        directives += try read(path)
      } catch {
        // The path as written: what a variable added to it stays out of the message.
        diagnostics.error(word.place, "'\(Glob.isPattern(word.text) ? path : word.written)' can't be included: \(error.reason)")
      }
    }
    return directives
  }
}
