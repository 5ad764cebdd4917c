// What reviewers would otherwise have to look for by hand: the rules of the house, held against every file.

import Testing

@Suite struct Tidy {
  /// docs/ARCHITECTURE.md, "Rooms": what each target may import, beside the standard library's own modules.
  private static let rooms: [String: Set<String>] = [
    "Primitives": [],
    "HTTP": ["Primitives"],
    "HTTP2": ["Primitives", "HTTP", "CNGHTTP2"],
    "Crypto": ["Primitives", "COpenSSL", "CArgon2", "CLinux"],
    "Auth": ["Primitives", "HTTP", "Crypto"],
    "Net": ["Primitives", "CLinux", "COpenSSL"],
    "Login": ["Primitives", "HTTP", "Crypto"],
    "Upstream": ["Primitives", "HTTP", "HTTP2", "Net", "CCurl", "Auth", "Login"],
    "Proxy": ["Primitives", "HTTP", "HTTP2", "Auth", "Net", "Login", "Upstream"],
    "Config": ["Primitives", "HTTP", "HTTP2", "Proxy", "Auth", "Net", "Login", "Upstream"],
    "gatehouse": ["Primitives", "HTTP", "Config", "Proxy", "Net", "Auth", "Crypto", "Upstream", "ArgumentParser"],
  ]

  /// Modules of the platform, and the rooms that may use them. Foundation itself is nobody's: it is not for the data path.
  private static let platform: [String: Set<String>] = [
    "Synchronization": ["Crypto", "Auth", "Login", "Net", "Upstream", "Proxy", "gatehouse"],
    "Glibc": ["Primitives", "Crypto", "Auth", "Net", "Upstream", "Proxy", "Config", "gatehouse"],
  ]

  private static let sources = Repository.files(in: "Sources")

  private static func room(of path: String) -> String { String(path.split(separator: "/")[1]) }

  @Test func importsAreThoseOfTheArchitecture() throws {
    #expect(Self.sources.count > 50)
    for path in Self.sources {
      let room = Self.room(of: path)
      let allowed = try #require(Self.rooms[room], "a room that the table does not know: \(path)")
      for module in try SourceText(path).imports where !allowed.contains(module) {
        guard let users = Self.platform[module] else {
          Issue.record("\(path) imports \(module)")
          continue
        }
        #expect(users.contains(room), "\(path) imports \(module)")
      }
    }
  }

  @Test func theArchitecturePageNamesEveryRoom() throws {
    let page = try Repository.text("docs/ARCHITECTURE.md")
    for room in Self.rooms.keys { #expect(page.contains("`\(room)`"), "docs/ARCHITECTURE.md does not mention \(room)") }
  }

  @Test func pureRoomsHoldNothingUnsafe() throws {
    // The user file's system calls are the one exception, named in docs/ARCHITECTURE.md.
    let exceptions = ["Sources/Auth/DurableFile.swift", "Sources/Auth/DurableFileLock.swift"]
    for path in Self.sources where ["HTTP", "Auth", "Login", "Config"].contains(Self.room(of: path)) && !exceptions.contains(path) {
      let source = try SourceText(path)
      for word in ["unsafe", "@unsafe", "@safe", "nonisolated(unsafe)", "unsafeBitCast"] {
        #expect(source.lines(using: word).isEmpty, "\(path):\(source.lines(using: word)) has \(word)")
      }
      #expect(!source.code.contains { $0.contains("nonisolated(unsafe)") }, "\(path)")
    }
  }

  @Test func experimentalFeaturesStayInPrimitives() throws {
    for path in Self.sources where Self.room(of: path) != "Primitives" {
      #expect(!(try SourceText(path).code.contains { $0.contains("@_lifetime") || $0.contains("@lifetime") }), "\(path)")
    }
  }

  @Test func nothingIsPrintedInPassing() throws {
    for path in Self.sources {
      let source = try SourceText(path)
      for word in ["print", "debugPrint", "dump", "NSLog"] {
        #expect(source.lines(using: word).isEmpty, "\(path):\(source.lines(using: word)) calls \(word)")
      }
    }
  }

  @Test func nothingIsLeftForLater() throws {
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK"]
    for path in Self.sources + Repository.files(in: "Tests") {
      for (number, line) in try SourceText(path).lines.enumerated() {
        for mark in marks { #expect(!line.contains(mark), "\(path):\(number + 1)") }
      }
    }
  }

  @Test func everyFileSaysWhatItIs() throws {
    for path in Self.sources + Repository.files(in: "Tests") {
      let source = try SourceText(path)
      #expect(source.lines.first?.hasPrefix("// ") == true, "\(path) does not begin with what lives in it")
      #expect(source.lines.last == "", "\(path) does not end with a line end")
      #expect(source.lines.count <= 450, "\(path) has \(source.lines.count) lines: probably two subjects")
    }
  }

  @Test func linesAreOfReadableLength() throws {
    for path in Self.sources + Repository.files(in: "Tests") {
      for (number, line) in try SourceText(path).lines.enumerated() {
        #expect(line.count <= 170, "\(path):\(number + 1) has \(line.count) characters")
        #expect(!line.contains("\t"), "\(path):\(number + 1) has a tab")
        #expect(line.last?.isWhitespace != true, "\(path):\(number + 1) ends in white space")
      }
    }
  }

  @Test func whatBelongsToTheRepositoryIsThere() {
    let files = [
      "LICENSE", "README.md", ".gitignore", ".ci/run", "Package.swift", "proxy.conf.example", "deploy/quickstart", "deploy/test",
      "deploy/gatehouse.service",
      "deploy/gatehouse.sysusers", "deploy/gatehouse.logrotate", "deploy/Dockerfile", "docs/ARCHITECTURE.md", "docs/THREAT-MODEL.md",
      "Benchmarks/README.md", "Benchmarks/count.json", "Fuzz/Package.swift",
    ]
    for file in files { #expect(Repository.exists(file), "\(file) is missing") }
    for script in [".ci/run", "deploy/quickstart", "deploy/test", "Benchmarks/count"] {
      #expect(Repository.isExecutable(script), "\(script) is not executable")
    }
  }

  @Test func noMachinesPathIsInTheRepository() throws {
    let folders = ["docs", "deploy", "Benchmarks", "Fuzz", "Sources", "Tests"]
    let paths =
      folders.flatMap { folder in ["", ".swift", ".md", ".sh", ".py"].dropFirst().flatMap { Repository.files(in: folder, $0) } } + [
        "README.md"
      ]
    for path in paths {
      let text = try Repository.text(path)
      for place in ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/"] { #expect(!text.contains(place), "\(path) has \(place)") }
    }
  }

  /// What one client's request left in a connection must not be there for another's, who gets its place.
  @Test func everyVariableOfAConnectionIsSetAgain() throws {
    let source = try SourceText("Sources/Proxy/Connection.swift").code
    func body(_ source: [String], of declaration: String) throws -> ArraySlice<String> {
      let start = try #require(source.firstIndex { $0.contains(declaration) }, "\(declaration)")
      return source[start...].prefix { $0 != "  }" }
    }
    let declared = try #require(source.firstIndex { $0.hasPrefix("struct Connection:") })
    let variables = source[declared...].prefix { !$0.hasPrefix("  init(") }.compactMap { line -> Substring? in
      guard line.hasPrefix("  "), !line.hasPrefix("   "), let name = line.split(separator: " ").drop(while: { $0 != "var" }).dropFirst().first else {
        return nil
      }
      return name.prefix { $0.isLetter }
    }
    #expect(variables.count > 40)
    let stream = try SourceText("Sources/Proxy/ConnectionStream.swift").code
    let code =
      try body(source, of: "func begin(as") + body(source, of: "func close()") + body(source, of: "func takeMemory")
      + body(stream, of: "func beginAgain") + body(stream, of: "func leave")
    // A stream has no socket; a request is named and its route found before either is used.
    let others: Set<Substring> = ["stream", "interest", "requestID", "requirement", "transfer", "pendingCheck"]
    for name in variables where !others.contains(name) {
      #expect(code.contains { $0.split { !$0.isLetter }.contains(name) }, "Connection.\(name) is not set in begin(as:)")
    }
    // These two are ended by what `close` calls.
    for call in ["endTransfer()", "abandonCheck()"] { #expect(code.contains { $0.contains(call) }) }
  }

  /// A page is worth what it was tried with.
  @Test func everyRecipeIsRunAndListed() throws {
    let index = try Repository.text("docs/recipes/README.md")
    let tests = try Repository.files(in: "Tests/EndToEndTests").map { try Repository.text($0) }
    for page in Repository.files(in: "docs/recipes", ".md") where !page.hasSuffix("/README.md") {
      let name = page.dropFirst("docs/recipes/".count).dropLast(".md".count)
      #expect(index.contains("(\(name).md)"), "docs/recipes/README.md does not list \(name)")
      #expect(tests.contains { $0.contains("Recipe(\"\(name)\")") }, "no end-to-end test runs the recipe \(name)")
    }
  }
}
