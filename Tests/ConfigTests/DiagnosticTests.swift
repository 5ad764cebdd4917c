// How a complaint looks, and how many there may be.

import Testing

@testable import Config

@Suite struct DiagnosticTests {
  private func file(_ text: String) -> SourceFile { SourceFile(name: "proxy.conf", bytes: Array(text.utf8)) }

  /// The first `word` of a text.
  private func place(_ text: String, _ word: String, line: Int = 1) -> SourceRange {
    let before = text.split(separator: word, maxSplits: 1, omittingEmptySubsequences: false)[0].utf8.count
    return SourceRange(file: file(text), line: line, bytes: before..<before + word.utf8.count)
  }

  @Test func errorShowsPlaceLineCaretAndHint() {
    let place = place("a\n    upstrem legacy {\n", "upstrem", line: 2)
    let diagnostic = Diagnostic(.error, at: place, "unknown directive 'upstrem'", hint: "did you mean 'upstream'?")
    #expect(
      diagnostic.rendered == """
        proxy.conf:2:5: error: unknown directive 'upstrem'
                upstrem legacy {
                ^~~~~~~
            hint: did you mean 'upstream'?
        """)
  }

  @Test func caretStandsUnderTabsAndWideText() {
    let place = place("\tgrüße\tx", "x")
    #expect(Diagnostic(.warning, at: place, "m").rendered == "proxy.conf:1:8: warning: m\n    \tgrüße\tx\n    \t     \t^")
  }

  @Test func longLineIsCutAroundThePlace() {
    let text = String(repeating: "a", count: 1000) + " here " + String(repeating: "b", count: 1000)
    let place = place(text, "here")
    let lines = Diagnostic(.error, at: place, "m").rendered.split(separator: "\n")
    #expect(lines[1].count < 160 && lines[1].contains(" here "))
    let caret = Array(lines[2]).firstIndex(of: "^") ?? 0
    #expect(Array(lines[1])[caret] == "h")
  }

  @Test func terminalEscapesOfTheFileAreNotPrinted() {
    let place = place("x \u{1B}[31m\u{0}", "x")
    #expect(!Diagnostic(.error, at: place, "m").rendered.unicodeScalars.contains { $0 != "\n" && $0.value < 0x20 })
  }

  @Test func placelessErrorNamesTheFile() {
    #expect(Diagnostic(.error, at: nil, in: "proxy.conf", "m").rendered == "proxy.conf: error: m")
  }

  @Test func complaintsAreOrderedBoundedAndNotRepeated() {
    let source = file(String(repeating: "x\n", count: 300))
    var diagnostics = Diagnostics()
    for line in (1...200).reversed() {
      for _ in 0..<2 { diagnostics.error(SourceRange(file: source, line: line, bytes: (line * 2 - 2)..<(line * 2 - 1)), "m\(line)") }
    }
    #expect(diagnostics.all.count == Diagnostics.kept)
    #expect(diagnostics.rendered.hasPrefix("proxy.conf:101:1: error: m101\n"))
    #expect(diagnostics.rendered.hasSuffix("… and 200 more") || diagnostics.rendered.hasSuffix("… and 100 more"))
  }

  @Test(arguments: [
    ("upstrem", "upstream"), ("uptsream", "upstream"), ("connect-timeout", "connect_timeout"), ("USERS", "users"), ("lisen", "listen"),
    ("conect_timeuot", "connect_timeout"),
  ])
  func nearestNameIsFound(_ typed: String, _ meant: String) {
    #expect(Nearest.name(to: typed, among: ["listen", "users", "realm", "upstream", "connect_timeout"]) == meant)
  }

  @Test(arguments: ["xyz", "location", "a", ""])
  func farNameIsNotSuggested(_ typed: String) {
    #expect(Nearest.name(to: typed, among: ["listen", "users", "realm", "upstream", "connect_timeout"]) == nil)
  }
}
