// Words, quotes, comments, `${NAME}`: the letters of the language.

import Testing

@testable import Config

@Suite struct LexerTests {
  @Test(arguments: [
    ("a b c", "a b c"),
    ("a\tb\r\nc", "a b; c"),
    ("a;b ; c", "a; b; c"),
    (";;\n;", ""),
    ("a # b\n#c\nd", "a; d"),
    ("a b#c", "a b#c"),
    ("a;#b\nc", "a; c"),
    (#"realm "a b""#, #"realm "a b""#),
    (#"realm "say \"hi\" \\ \${X}""#, #"realm "say "hi" \ ${X}""#),
    (##"realm "# ; { }""##, ##"realm "# ; { }""##),
    (#"realm """#, #"realm """#),
    ("a{b;c}d", "a { b; c }; d"),
    ("tokens   { keys token.keys; lifetime 10m }", "tokens { keys token.keys; lifetime 10m }"),
    ("listen [::]:8443 tls {\n  certificate a.pem\n}\n", "listen [::]:8443 tls { certificate a.pem }"),
    ("a\n\n# why\n{\nb\n}", "a { b }"),
    ("route = /exact { b }", "route = /exact { b }"),
    ("a $ $b 10$", "a $ $b 10$"),
    ("\u{FEFF}a b", "a b"),
    ("grüße 世界", "grüße 世界"),
    ("", ""),
  ])
  func textBecomesTree(_ text: String, _ tree: String) {
    let parsed = Parsed(text)
    #expect(parsed.tree == tree)
    #expect(parsed.complaints == [])
  }

  @Test(arguments: [
    (#"a "b"#, #"1:3: this quote is not closed on its line"#),
    (#"a "b\n""#, #"1:5: a backslash that escapes nothing"#),
    (#"a b\c"#, "1:4: a backslash outside quotes"),
    (#"a b"c""#, "1:4: a quote inside a word"),
    (#"a "b"c"#, "1:6: a word ends at its closing quote"),
    ("a b\u{1}", "1:4: a control character"),
    ("a \"b\u{0}\"", "1:5: a control character"),
    ("a\n  b }\nc", "2:5: this '}' closes nothing"),
    ("{ a }", "1:1: a block without a directive before it"),
    ("a {\n  b {\n c\n }\n", "1:3: this '{' is not closed"),
    ("ü ${X", "1:3: '${' begins the name of an environment variable and is closed by '}'"),
    ("a ${}", "1:3: '${' begins the name of an environment variable and is closed by '}'"),
    ("a ${1X}", "1:3: '${' begins the name of an environment variable and is closed by '}'"),
    ("a ${X:-y}", "1:3: '${' begins the name of an environment variable and is closed by '}'"),
    ("ü ${X}", "1:3: the environment variable 'X' is not set"),
  ])
  func badShapeIsSaidOnceWithItsPlace(_ text: String, _ complaint: String) {
    #expect(Parsed(text).complaints == [complaint])
  }

  @Test func invalidUTF8IsRefusedInWordsAndAllowedInComments() {
    #expect(Parsed(bytes: Array("a # ".utf8) + [0xFF]).complaints == [])
    #expect(Parsed(bytes: Array("a ".utf8) + [0xFF]).complaints == ["1:3: this is not UTF-8"])
  }

  @Test func columnsCountCharactersNotBytes() {
    #expect(Parsed("grüße \"x").complaints == ["1:7: this quote is not closed on its line"])
  }

  @Test func everyTruncationEndsWithoutTrap() {
    let text = Array("route GET,HEAD *.ex.com /ä { upstream \"a \\\" ${V}b\"; require valid-user }\n# end\n}{".utf8)
    for end in 0...text.count { _ = Parsed(bytes: Array(text[..<end]), environment: ["V": "v"]) }
    for i in text.indices {
      for byte: UInt8 in [0, 0x0A, 0x22, 0x24, 0x5C, 0x7B, 0x7D, 0xFF] {
        var changed = text
        changed[i] = byte
        _ = Parsed(bytes: changed)
      }
    }
  }

  // MARK: Environment

  @Test func variableIsReplacedInAndOutOfQuotes() {
    let parsed = Parsed(#"a x${V}y "x ${V} y" ${V}${V}"#, environment: ["V": "v"])
    #expect(parsed.tree == #"a xvy "x v y" vv"#)
    #expect(parsed.complaints == [])
  }

  @Test(arguments: ["a b", "a;b", "{ b", "}", "# x", "\"", "\\", "${W}", ""])
  func variableNeverBecomesNewWords(_ value: String) {
    var diagnostics = Diagnostics()
    let directives = Parser.parse(
      SourceFile(name: "t.conf", bytes: Array("a ${V} c".utf8)), environment: { $0 == "V" ? value : nil }, &diagnostics)
    #expect(directives.count == 1)
    #expect(directives[0].arguments.map(\.text) == [value, "c"])
    #expect(!diagnostics.hasErrors)
  }

  @Test func variableWithLineEndIsRefused() {
    let parsed = Parsed("a ${V}", environment: ["V": "x\r\nSet-Cookie: y"])
    #expect(parsed.complaints == ["1:3: the environment variable 'V' holds a control character (a line end, perhaps)"])
  }

  @Test func valueOfVariableIsNeverShown() {
    let parsed = Parsed(#"a "${V}"x"#, environment: ["V": "secret"])
    #expect(parsed.diagnostics.hasErrors)
    #expect(!parsed.diagnostics.rendered.contains("secret"))
  }

  // MARK: Recovery

  @Test func allErrorsAreFoundAtOnceAndBlocksStayBalanced() {
    let parsed = Parsed(
      """
      route / { upstream "legacy; require valid-user }
      upstream a "b {
        server ${NONE}
      }
      realm x\\y
      users users
      """)
    #expect(
      parsed.complaints == [
        "1:20: this quote is not closed on its line",
        "2:12: this quote is not closed on its line",
        "3:10: the environment variable 'NONE' is not set",
        "5:8: a backslash outside quotes",
      ])
    #expect(parsed.tree == "route / { upstream <broken> }; upstream a <broken> { server <broken> }; realm <broken>; users users")
  }

  @Test func deepNestingIsRefusedWithoutRecursion() {
    let parsed = Parsed(String(repeating: "a { ", count: 100_000) + String(repeating: "} ", count: 100_000) + "b")
    #expect(parsed.complaints == ["1:67: blocks are nested too deeply"])
    #expect(parsed.tree.hasSuffix("; b"))
  }
}
