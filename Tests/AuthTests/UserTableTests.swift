// Reading a user file: what is understood, what is a problem, and that a doubt never lets anybody in.

import Crypto
import Primitives
import Testing

@testable import Auth

private func table(_ text: String) throws -> UserTable {
  let seed = DecoySeed(bytes("seed").span)
  return try UserTable(parsing: bytes(text), seed: seed)
}

private func user(_ table: UserTable, _ name: String) -> User? {
  let name = bytes(name)
  return table.user(named: name.span)
}

private func isSound(_ name: [UInt8]) -> Bool { UserName.fault(name.span) == nil }

private func texts(_ parts: [[UInt8]]) -> [String] { parts.map { String(decoding: $0, as: UTF8.self) } }

@Suite struct UserTableTests {
  @Test func fileOfHtpasswdIsReadAsItIs() throws {
    let file = """
      # made by htpasswd
      alice:\(Stored.bcrypt)

      bob:\(Stored.sha1)\r
      carol:$apr1$saltsalt$6BwcdpRros16.J9J/tHRr/   \t
        \tdave:\(Stored.sha256):a comment of nginx

      """
    let table = try table(file)
    #expect(texts(table.users.map(\.name)) == ["alice", "bob", "carol", "dave"])
    #expect(table.users.map(\.line) == [2, 4, 5, 6])
    #expect(table.countsByKind == [.bcrypt: 1, .sha1: 1, .apr1: 1, .sha256crypt: 1])
    #expect(table.problems.map(\.line) == [6])
    #expect(table.problems.allSatisfy { $0.isWarning })
  }

  @Test func attributesAreUnderstood() throws {
    let token = Token("ci")
    let line =
      "alice:\(Stored.sha1):groups=admin ops  admin,expires=2027-01-31,created=2025-05-05T10:00:00Z,"
      + "keys=\(token.entry) old/\(String(repeating: "0", count: 64))/2020-02-29"
    let table = try table(line + "\nbob:\(Stored.sha1):locked\ncarol:\(Stored.sha1):\ndave:\(Stored.sha1):,, LOCKED ,\n")
    let alice = try #require(user(table, "alice"))
    #expect(texts(alice.groups) == ["admin", "ops"])
    #expect(texts([alice.joinedGroups]) == ["admin,ops"])
    #expect(alice.expires == Timestamp(seconds: 1_801_353_600))
    #expect(alice.created == Timestamp(seconds: 1_746_439_200))
    #expect(alice.keys.count == 2 && table.keyCount == 2)
    #expect(alice.keys[0].lastFour == bytes(String(token.text.suffix(4))) && alice.keys[0].expires == nil)
    #expect(alice.keys[1].lastFour == nil && alice.keys[1].expires == Timestamp(seconds: 1_582_934_400))
    #expect(user(table, "bob")?.isLocked == true)
    #expect(user(table, "carol")?.isLocked == false)
    #expect(user(table, "dave")?.isLocked == true)
    #expect(table.problems.isEmpty)
  }

  /// A restriction that is there but not understood is never taken for none.
  @Test(arguments: [
    "locked=no", "locked=", "expires=", "expires", "expires=never", "expires=2027-02-30", "expires=31.01.2027", "expires=2027-1-31",
    "expires=2027-01-31,expires=2028-01-31", "groups", "groups=a,groups=b", "groups=a\u{7}b", "keys", "keys=,keys=",
  ])
  func unclearRestrictionKeepsItsUserOut(_ attributes: String) throws {
    let table = try table("alice:\(Stored.sha1):\(attributes)\nbob:\(Stored.sha1)\n")
    #expect(user(table, "alice") == nil)
    #expect(user(table, "bob") != nil)
    #expect(table.problems.map(\.line) == [1])
    #expect(table.problems.first?.isWarning == false)
    #expect(table.problems.first?.reason.contains("alice") == true)
  }

  @Test func userWhoStandsTwiceCanNotLogIn() throws {
    let table = try table("alice:{PLAIN}old\nbob:\(Stored.sha1)\nalice:{PLAIN}new\nalice:{PLAIN}third\n")
    #expect(user(table, "alice") == nil)
    #expect(user(table, "bob") != nil)
    #expect(table.problems.filter { !$0.isWarning }.map(\.line) == [3, 4])
  }

  @Test func userWhoseSecondLineIsDamagedCanNotLogInEither() throws {
    let table = try table("alice:{PLAIN}old\nbob:\(Stored.sha1)\nalice:garbage\n")
    #expect(user(table, "alice") == nil)
    #expect(table.problems.filter { !$0.isWarning }.map(\.line) == [3])
  }

  @Test func unusableLinesAreProblemsWithTheirNumber() throws {
    let lines = [
      "good:\(Stored.sha1)", "nocolon", ":\(Stored.sha1)", "plain:secret", "des:abJnggxhB/yWI",
      "argon:$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
      "werk:pbkdf2:sha256:600000$salt$abc", "scry:scrypt:32768:8:1$salt$abc", "empty:", "ghk_x:\(Stored.sha1)",
      "trailing :\(Stored.sha1)", "bell\u{7}:\(Stored.sha1)", "csi\u{9B}:\(Stored.sha1)",
      "\(String(repeating: "n", count: 256)):\(Stored.sha1)", "long:\(String(repeating: "x", count: 70_000))",
    ]
    let table = try table(lines.map { $0 + "\n" }.joined())
    #expect(texts(table.users.map(\.name)) == ["good"])
    #expect(table.problems.map(\.line) == Array(2...15))
    #expect(table.problems.allSatisfy { !$0.isWarning })
    for line in [6, 7, 8] { #expect(table.problems[line - 2].reason.contains("salt") || table.problems[line - 2].reason.contains("damaged")) }
    for problem in table.problems { #expect(!problem.reason.contains("secret") && problem.reason.utf8.allSatisfy { $0 >= 0x20 }) }
  }

  @Test func namesOfBadUTF8AreRefused() throws {
    let seed = DecoySeed(bytes("seed").span)
    let table = try UserTable(parsing: [0x61, 0xFF] + bytes(":\(Stored.sha1)\nb:\(Stored.sha1)\n"), seed: seed)
    #expect(table.users.count == 1 && table.problems.map(\.line) == [1])
  }

  @Test func damagedKeyIsLeftOutAndItsOwnerStays() throws {
    let digest = String(repeating: "a", count: 64)
    let token = Token("good")
    let bad = [
      "x", "/", "a/b", "a//never", "a/\(digest)", "a/\(digest)/", "a/\(digest)/soon", "a/\(digest.dropLast())/never",
      "a/\(digest)/never/abc",
      "a/\(digest)/never/abcd/e", "é/\(digest)/never", "a/\(digest)g/never",
    ]
    let table = try table("alice:\(Stored.sha1):keys=\(bad.joined(separator: " ")) \(token.entry)\n")
    #expect(user(table, "alice")?.keys.map(\.name) == [bytes("good")])
    #expect(table.problems.count == bad.count && table.problems.allSatisfy { !$0.isWarning })
  }

  @Test func keyOfTwoUsersIsNobodys() throws {
    let (shared, own) = (Token("shared"), Token("own"))
    let table = try table("alice:\(Stored.sha1):keys=\(shared.entry) \(own.entry)\nbob:\(Stored.sha1):keys=\(shared.entry)\n")
    #expect(table.keyCount == 1)
    #expect(user(table, "alice")?.keys.map(\.name) == [bytes("own")])
    #expect(user(table, "bob")?.keys.isEmpty == true)
    #expect(table.problems.map(\.line) == [2])
  }

  @Test func keysOfAUserWhoCanNotLogInAreWorthNothing() throws {
    let token = Token("ci")
    let table = try table("alice:garbage:keys=\(token.entry)\nbob:\(Stored.sha1)\n")
    #expect(table.keyCount == 0)
  }

  @Test func plainTextPasswordIsAWarning() throws {
    let table = try table("alice:{PLAIN}secret\n")
    #expect(table.problems.count == 1 && table.problems[0].isWarning)
    #expect(!table.problems[0].reason.contains("secret"))
  }

  @Test func unknownAttributesAreWarnedAbout() throws {
    let table = try table("alice:\(Stored.sha1):lock,email=a@b,groups=x\n")
    #expect(user(table, "alice").map { texts($0.groups) } == ["x"])
    #expect(table.problems.count == 2 && table.problems.allSatisfy { $0.isWarning })
  }

  @Test func fileThatIsNoneIsRefusedWhole() {
    func fault(_ text: String) -> UserFileFault? {
      do throws(UserFileFault) {
        _ = try UserTable(parsing: bytes(text))
        return nil
      } catch {
        return error
      }
    }
    #expect(fault("alice:\(Stored.sha1)\nbob:\(Stored.sha1)") == .lastLineUnfinished(line: 2))
    #expect(fault("alice:\(Stored.sha1)\nbo\0b:\(Stored.sha1)\n") == .holdsNUL(line: 2))
    #expect(fault("") == nil)
    #expect(fault("# none\n\n") == nil)
    guard case .nothingUsable(let problems) = fault("alice:garbage\nbob\n") else {
      Issue.record("accepted")
      return
    }
    #expect(problems.map(\.line) == [1, 2])
  }

  /// `htpasswd` writes the file anew in place: at whatever byte it is read, no user gets a hash that he has not, and no restriction is
  /// lost.
  @Test func everyPrefixOfAFileIsRefusedOrEndsAtALine() throws {
    let file = bytes("alice:{PLAIN}first:locked\nbob:{PLAIN}second:groups=a\n# end\n")
    let ends = Set(file.indices.filter { file[$0] == 0x0A }.map { $0 + 1 } + [0])
    for length in 0...file.count {
      let prefix = Array(file.prefix(length))
      let isRead = (try? UserTable(parsing: prefix)) != nil
      #expect(isRead == ends.contains(length), "\(length)")
    }
  }

  @Test func byteOrderMarkIsSkippedWithAWarning() throws {
    let table = try table("\u{FEFF}alice:\(Stored.sha1)\n")
    #expect(user(table, "alice") != nil)
    #expect(table.problems.map(\.isWarning) == [true])
  }

  @Test func namesAreComparedByteByByte() throws {
    // One letter in two spellings: the same `String`, not the same user.
    let table = try table("\u{E9}:{PLAIN}a\ne\u{301}:{PLAIN}b\nAlice:{PLAIN}c\n")
    #expect(table.users.count == 3)
    #expect(user(table, "\u{E9}")?.line == 1 && user(table, "e\u{301}")?.line == 2)
    #expect(user(table, "alice") == nil)
  }

  @Test func hundredThousandUsersAreAllFound() throws {
    var file: [UInt8] = []
    let tail = bytes(":\(Stored.sha1):groups=a b\n")
    for i in 0..<100_000 { file += bytes("user\(i)") + tail }
    let seed = DecoySeed(bytes("seed").span)
    let table = try UserTable(parsing: file, seed: seed)
    #expect(table.users.count == 100_000 && table.problems.isEmpty)
    for i in stride(from: 0, to: 100_000, by: 97) { #expect(user(table, "user\(i)")?.line == i + 1) }
    #expect(user(table, "user100000") == nil)
  }

  @Test func randomBytesNeverTrap() {
    var state: UInt64 = 42
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    let alphabet = bytes("alice:$$2y{SHA}/,= \n\r\tgroups=locked expires=2027-01-31 keys=never#\u{FF}\u{0}")
    for _ in 0..<2000 {
      let file = (0..<Int(next() % 200)).map { _ in alphabet[Int(next() % UInt64(alphabet.count))] }
      if let table = try? UserTable(parsing: file) {
        for user in table.users { #expect(isSound(user.name)) }
      }
      if var text = try? UserFileText(file) { try? text.lock(bytes("alice")) }
    }
  }
}
