// Key files that change under the reader: the keys in force are whole, always.

import Auth
import Glibc
import Testing

@testable import Proxy

@Suite struct IssuerKeysTests {
  private let scratch = Scratch()
  private let keys: IssuerKeys
  private var path: String { scratch.file("secret") }
  private static func secret(_ letter: Character) -> String { String(repeating: letter, count: 32) }

  init() throws {
    var issuer = ForeignIssuer()
    issuer.issuer = Array("me".utf8)
    _ = issuer.algorithms.insert(named: "HS256")
    issuer.keyPath = scratch.file("secret")
    // Without a line end: nobody promised one.
    write(Self.secret("a"), to: scratch.file("secret"))
    keys = IssuerKeys([issuer])
    try keys.readSettled()
  }

  /// Looks until nothing is changing any more: notices, then failures.
  private func settle() -> (notices: [String], failures: [String]) {
    var notices: [String] = []
    var failures: [String] = []
    for _ in 0..<100 where !keys.look(&notices, &failures) { return (notices, failures) }
    return (["never settled"], [])
  }

  @Test func aChangedKeyMakesNewTokens() throws {
    let before = try #require(keys.tokens)
    #expect(settle() == ([], []))
    #expect(keys.tokens === before)
    #expect(!keys.looksChanged())
    write(Self.secret("b"), to: path)
    #expect(keys.looksChanged())
    #expect(settle() == (["keys of me: reloaded: 1 key (secret, 32 bytes)"], []))
    #expect(keys.tokens !== before)
  }

  @Test func aBrokenKeyKeepsTheOld() throws {
    let before = try #require(keys.tokens)
    for broken in ["short", "-----BEGIN PUBLIC KEY-----\n" + Self.secret("c"), String(repeating: "x", count: 2000)] {
      write(broken, to: path)
      let (notices, failures) = settle()
      #expect(notices.isEmpty)
      #expect(failures.count == 1 && failures[0].hasSuffix("; the keys before stay in force"), "\(failures)")
      #expect(!failures[0].contains(broken))
      #expect(keys.tokens === before)
    }
    write(Self.secret("d"), to: path)
    #expect(settle().failures.isEmpty)
    #expect(keys.tokens !== before)
  }

  @Test func aMissingKeyKeepsTheOld() throws {
    let before = try #require(keys.tokens)
    #expect(unsafe unlink(path) == 0)
    let (notices, failures) = settle()
    #expect(notices.isEmpty && failures.count == 1)
    #expect(keys.tokens === before)
  }

  @Test func aStartWithABrokenKeyFails() throws {
    var issuer = ForeignIssuer()
    _ = issuer.algorithms.insert(named: "HS256")
    issuer.keyPath = path
    write("short", to: path)
    #expect(throws: ServerFailure.self) { try IssuerKeys([issuer]).readSettled() }
  }

  @Test func withoutIssuersThereAreNoTokens() throws {
    let none = IssuerKeys([])
    try none.readSettled()
    #expect(none.tokens == nil && none.paths.isEmpty)
  }
}
