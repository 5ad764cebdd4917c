// Names of served files, and parts of them, as pure functions.

import Primitives
import Testing

@testable import Proxy

@Suite struct ServedFileNamesTests {
  private func name(_ path: String) -> String? { FileNames.name(Array(path.utf8).span).map { String(decoding: $0, as: UTF8.self) } }

  @Test func namesAreDecodedOnce() {
    #expect(name("/") == "" && name("/a/b.css") == "a/b.css" && name("/a/") == "a/" && name("/a%20b") == "a b" && name("/%252e") == "%2e")
    #expect(name("/a.b") == "a.b" && name("/a..b") == "a..b")
  }

  @Test(arguments: [
    "", "*", "a", "//", "/a//b", "/.", "/..", "/.a", "/a/.b", "/%2e", "/%2e%2e/x", "/a%2fb", "/a%5cb", "/a\\b", "/a%00", "/a%0a", "/a%", "/a%2", "/a%zz", "/%7f",
  ])
  func theseAreNone(_ path: String) { #expect(name(path) == nil) }

  @Test func typesGoByTheLastExtension() {
    func type(_ name: String) -> String { "\(FileNames.type(Array(name.utf8)))" }
    #expect(type("a/INDEX.HTML") == "text/html; charset=utf-8" && type("x.tar.gz") == "application/gzip")
    #expect(type("x") == "application/octet-stream" && type("a.html/x") == "application/octet-stream" && type("x.") == "application/octet-stream")
  }

  @Test func everyRangeStaysWithinTheFile() {
    var seed: UInt64 = 7
    func next(_ n: Int) -> Int {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(seed >> 33) % n
    }
    let words = ["bytes=", "0", "9", "18446744073709551615", "18446744073709551616", "-", ",", " ", "x", "5"]
    for _ in 0..<20_000 {
      let text = (0..<(1 + next(5))).map { _ in words[next(words.count)] }.joined()
      for size in [UInt64(0), 1, 10] {
        if case .part(let range) = FileConditions.part(Array(text.utf8).span, of: size) {
          #expect(!range.isEmpty && range.upperBound <= size, "\(text)")
        }
      }
    }
  }
}
