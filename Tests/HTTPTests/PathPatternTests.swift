// Patterns of paths: what they match, what their groups hold, what is no pattern, and that no path takes long.

import Primitives
import Testing

@testable import HTTP

@Suite struct PathPatternTests {
  /// What the groups hold, `-` for one that took no part; nil where the pattern does not match.
  private func match(_ pattern: String, _ path: String) throws -> [String]? {
    let pattern = try PathPattern(bytes(pattern))
    var scratch = PathPattern.Scratch()
    let path = bytes(path)
    guard pattern.matches(path.span, &scratch) else { return nil }
    return (0...pattern.groupCount).map { scratch.group($0).map { String(decoding: path[$0], as: UTF8.self) } ?? "-" }
  }

  @Test(arguments: [
    ("^/a$", "/a", ["/a"]), ("^/a", "/abc", ["/a"]), ("^/a/(.*)$", "/a/b/c", ["/a/b/c", "b/c"]), ("^/a/(.*)$", "/a/", ["/a/", ""]),
    ("^/([^/]+)/([^/]+)$", "/x/y", ["/x/y", "x", "y"]), ("^/(a|ab)(c|bcd)$", "/abcd", ["/abcd", "a", "bcd"]),
    ("^/(a*)(a*)$", "/aaa", ["/aaa", "aaa", ""]), ("^/(a*?)(a*)$", "/aaa", ["/aaa", "", "aaa"]), ("^/(?:x|(y))z$", "/xz", ["/xz", "-"]),
    ("^/\\d{4}/\\d{2}$", "/2026/11", ["/2026/11"]), ("^/(\\w+)\\.html?$", "/index.htm", ["/index.htm", "index"]),
    ("^/[a-c-]+$", "/a-c", ["/a-c"]), ("^/[]x]+$", "/]x", ["/]x"]), ("^/a{2,}$", "/aaaa", ["/aaaa"]), ("^/a{1,3}(.*)$", "/aaaa", ["/aaaa", "a"]),
    ("^/(a?)+$", "/aa", ["/aa", "a"]), ("^/(x*)*$", "/xx", ["/xx", "xx"]), ("^/.%20(.)$", "/a%20b", ["/a%20b", "b"]), ("^$|^", "/", nil), ("^", "/", [""]),
    ("^/\\D+$", "/abc", ["/abc"]), ("^/[\\d.]+$", "/1.2", ["/1.2"]), ("^/a\\+b$", "/a+b", ["/a+b"]),
  ] as [(String, String, [String]?)]) func aPatternMatchesAndItsGroupsHold(_ pattern: String, _ path: String, _ groups: [String]?) throws {
    // A '^' anywhere but first is no pattern.
    guard let groups else {
      #expect(throws: PathPatternFault.self) { try PathPattern(bytes(pattern)) }
      return
    }
    #expect(try match(pattern, path) == groups)
  }

  @Test(arguments: [
    ("^/a$", "/ab"), ("^/a$", "/"), ("^/b", "/a/b"), ("^/\\d+$", "/1a"), ("^/a{3}$", "/aa"), ("^/a{2,3}$", "/aaaa"), ("^/[^/]+$", "/a/b"), ("^/\\w$", "/-"),
    ("^/a\\.b$", "/axb"), ("^/(a|b)$", "/c"), ("^/A$", "/a"),
  ]) func aPatternDoesNotMatchWhatItDoesNotSay(_ pattern: String, _ path: String) throws { #expect(try match(pattern, path) == nil) }

  @Test(arguments: [
    "", "/a", "a", "^/(", "^/)", "^/a)", "^/[", "^/[a", "^/[b-a]", "^*", "^/a**", "^/a{", "^/a{2", "^/a{x}", "^/a{101}", "^/a{3,2}", "^/a{0}", "^/\\", "^/\\1",
    "^/\\b", "^/(?=x)", "^/(?<n>x)", "^/(?i)x", "^/$*", "^/a b", "^/\u{e9}", "^/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", "^/(((a{99}){99}){99})",
    "^/" + String(repeating: "(", count: 40), "^/" + String(repeating: "a", count: 300), "^/" + String(repeating: "[a]", count: 400), "^/[a\u{1}]",
  ]) func whatIsNoPatternIsRefused(_ text: String) {
    #expect(throws: PathPatternFault.self, "\(text)") { try PathPattern(bytes(text)) }
  }

  /// Pairs at which engines that try again need time without end: here each step is taken once at each byte, which is what is counted.
  @Test(arguments: [
    ("^/(a*)*b$", "a"), ("^/(a|a)*b$", "a"), ("^/(a|aa)+$", "a"), ("^/(.*)(.*)(.*)(.*)(.*)(.*)x$", "y"), ("^/(([a-z])+.)+[A-Z]([a-z])+$", "a"),
    ("^/(a?){40}a{40}$", "a"), ("^/((a*)*)*c$", "b"),
  ]) func noPathTakesMoreThanItsLengthTimesThePattern(_ pattern: String, _ piece: String) throws {
    let path = "/" + String(repeating: piece, count: 8000) + "!"
    #expect(try match(pattern, path) == nil)
  }

  /// Against the alternatives and repetitions themselves, tried in order.
  @Test func aPatternAgreesWithTryingAllWays() throws {
    var random = SystemRandomNumberGenerator()
    let paths = ["/", "/a", "/b", "/ab", "/ba", "/aab", "/abab", "/bbaa"]
    for _ in 0..<2000 {
      let (one, other) = (["a", "b", "ab", "."].randomElement(using: &random)!, ["a", "b", "ba", ".*"].randomElement(using: &random)!)
      let mark = ["*", "+", "?", "{2}"].randomElement(using: &random)!
      let pattern = "^/(?:\(one)|\(other))\(mark)$"
      for path in paths {
        let rest = String(path.dropFirst())
        #expect((try match(pattern, path) != nil) == Self.repeats(rest, [one, other], mark), "\(pattern) \(path)")
      }
    }
  }

  private static func repeats(_ text: String, _ choices: [String], _ mark: String) -> Bool {
    let (least, most) = mark == "*" ? (0, 9) : mark == "+" ? (1, 9) : mark == "?" ? (0, 1) : (2, 2)
    var reached: Set<String> = [text]
    for count in 0...most {
      if count >= least && reached.contains("") { return true }
      reached = Set(
        reached.flatMap { rest in
          choices.flatMap { choice -> [String] in
            if choice == ".*" { return (0...rest.count).map { String(rest.dropFirst($0)) } }
            if choice == "." { return rest.isEmpty ? [] : [String(rest.dropFirst())] }
            return rest.hasPrefix(choice) ? [String(rest.dropFirst(choice.count))] : []
          }
        })
    }
    return false
  }
}
