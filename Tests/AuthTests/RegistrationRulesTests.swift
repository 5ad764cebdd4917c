// Names, passwords and invitations of those who register, and many changes of the user file at once.

import Glibc
import Primitives
import Testing

@testable import Auth

@Suite struct RegistrationRulesTests {
  private func fault(_ name: String) -> String? { RegistrationName.fault(bytes(name).span) }

  @Test func namesAreNarrow() {
    for name in ["a", "Z9", "_x", "a.b", "a@b.example", "a+b-c_d", String(repeating: "x", count: 64)] {
      #expect(fault(name) == nil, "\(name)")
    }
    for name in [
      "", ".", "..", "-a", "@a", "+a", "a b", "a:b", "a/b", "a\\b", "a\0", "a\n", "é", "a\u{202E}b", "ghk_a", "#a", "a%62", "a,b", "a;b",
      "a=b",
      String(repeating: "x", count: 65),
    ] {
      #expect(fault(name) != nil, "\(name)")
    }
  }

  private func rules(_ maker: PasswordMaker = .standard, _ list: String = "", minimum: Int = 8) -> PasswordRules {
    PasswordRules(minimum: minimum, maker: maker, refused: RefusedPasswords(parsing: bytes(list)))
  }

  private func fault(_ password: String, _ rules: PasswordRules) -> String? {
    rules.fault(Secret(copying: bytes(password).span), for: bytes("alice").span)
  }

  @Test func charactersAreCountedNotBytes() {
    #expect(fault("ééééééé", rules()) != nil)
    #expect(fault("éééééééé", rules()) == nil)
    #expect(fault("1234567", rules()) != nil && fault("12345678", rules()) == nil)
    #expect(fault("", rules(minimum: 1)) != nil)
  }

  @Test func whatNoClientCanSendIsRefused() {
    for password in ["secret\0xx", "secret\nxx", "secret\u{7F}xx"] { #expect(fault(password, rules()) != nil) }
    #expect(fault(String(repeating: "x", count: 512), rules()) != nil && fault(String(repeating: "x", count: 511), rules()) == nil)
    let bcrypt = PasswordMaker(named: "bcrypt") ?? .standard
    #expect(
      fault(String(repeating: "x", count: 73), rules(bcrypt)) != nil && fault(String(repeating: "x", count: 72), rules(bcrypt)) == nil)
  }

  @Test func theListIsReadInAnyCaseAndWithAnyLineEnds() {
    let list = rules(.standard, "password1\r\nQwerty123\n\nÜBERGANG1\nlast-one", minimum: 1)
    for password in ["password1", "PASSWORD1", "qwerty123", "übergang1", "last-one"] {
      #expect(fault(password, list) != nil, "\(password)")
    }
    for password in ["password", "password12", "\r", "last-on"] {
      #expect(fault(password, list) != "password is one of those that are guessed first")
    }
    #expect(fault("ALICE", list) == "password is the username")
  }

  // MARK: Invitations

  private func scratch(_ text: String) -> (path: String, remove: () -> Void) {
    var template = Array("/tmp/gatehouse-invites-XXXXXX".utf8CString)
    let folder = unsafe template.withUnsafeMutableBufferPointer { unsafe String(cString: mkdtemp($0.baseAddress.unsafelyUnwrapped)) }
    let path = folder + "/invites"
    try? DurableFile(path: path).edit(createIfMissing: true) { $0 = bytes(text) }
    return (
      path,
      {
        unsafe unlink(path)
        unsafe rmdir(folder)
      }
    )
  }

  @Test func aCodeIsGoodAsOftenAsItStands() throws {
    let (path, remove) = scratch("# comment\n one \ntwo\ntwo\nlast")
    defer { remove() }
    let file = InviteFile(path: path)
    #expect(try file.holds(bytes("one")) && file.holds(bytes("last")))
    for code in ["", "# comment", "on", "onee", " one ", "one\ntwo", "ONE"] { #expect(try !file.holds(bytes(code)), "\(code)") }
    #expect(try file.claim([bytes("two"), bytes("two"), bytes("two"), bytes("one"), bytes("none")]) == [true, true, false, true, false])
    #expect(try DurableFile(path: path).read().bytes == bytes("# comment\nlast"))
    try file.giveBack([bytes("one")])
    #expect(try DurableFile(path: path).read().bytes == bytes("# comment\nlast\none\n"))
  }

  @Test func aFullDiskUsesUpNoInvitation() throws {
    let (path, remove) = scratch("one\ntwo\n")
    defer { remove() }
    var steps = DurableSteps()
    steps.write = { _, _, _ in
      errno = ENOSPC
      return -1
    }
    #expect(throws: DurableFileError.self) { try InviteFile(path: path).claim([bytes("one")], steps: steps) }
    #expect(try InviteFile(path: path).holds(bytes("one")))
  }

  // MARK: Many changes at once

  private let hash = "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="
  private let other = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

  private func add(_ name: String, locked: Bool = false) -> UserChange {
    UserChange(bytes(name), .add(hash: bytes(hash), isLocked: locked, created: Timestamp(seconds: 0)))
  }

  @Test func changesAreMadeInOneEditAndTheRestStays() throws {
    let (path, remove) = scratch("# people\nalice:\(hash):groups=a b,keys=\n\n  bob:\(hash)  \r\ncarol:\(other)\n")
    defer { remove() }
    let applied = try UserFile(path: path).apply([
      add("dave", locked: true), UserChange(bytes("bob"), .replaceHash(old: bytes(hash), new: bytes(other))),
      UserChange(bytes("alice"), .replaceHash(old: bytes(hash), new: bytes(other))),
      UserChange(bytes("carol"), .replaceHash(old: bytes(hash), new: bytes(other))),
      UserChange(bytes("alice"), .replaceHash(old: bytes(hash), new: bytes(hash))), add("Carol"), add("erin"), add("erin"), add("a:b"),
    ])
    #expect(applied.failures.map { $0 == nil } == [true, true, true, false, false, false, true, false, false])
    #expect(
      String(decoding: applied.bytes, as: UTF8.self)
        == "# people\nalice:\(other):groups=a b,keys=\n\n  bob:\(other)  \r\ncarol:\(other)\ndave:\(hash):locked,created=1970-01-01\n"
        + "erin:\(hash):created=1970-01-01\n")
    #expect(try UserFile(path: path).read().bytes == applied.bytes)
    #expect(try UserTable(parsing: applied.bytes).users.count == 5)
  }

  @Test func aUserOfTwoLinesIsNotChanged() throws {
    let (path, remove) = scratch("alice:\(hash)\nalice:\(other)\n")
    defer { remove() }
    let applied = try UserFile(path: path).apply([
      UserChange(bytes("alice"), .replaceHash(old: bytes(hash), new: bytes(other))), add("alice"),
    ])
    #expect(applied.failures.allSatisfy { $0 != nil })
    #expect(try UserFile(path: path).read().bytes == bytes("alice:\(hash)\nalice:\(other)\n"))
  }

  @Test func whatIsRefusedMakesRoomForTheNext() throws {
    let (path, remove) = scratch("")
    defer { remove() }
    var asked: [[Int]] = []
    let applied = try UserFile(path: path).apply([add("a"), add("a"), add("b")]) { possible in
      asked.append(possible)
      return asked.count == 1 ? [0] : []
    }
    #expect(asked == [[0, 2], [1, 2]])
    #expect(applied.refused == [0] && applied.failures.allSatisfy { $0 == nil })
    #expect(applied.bytes.split(separator: 0x0A).count == 2)
  }

  @Test func aFullDiskLeavesTheFile() throws {
    let (path, remove) = scratch("alice:\(hash)\n")
    defer { remove() }
    var steps = DurableSteps()
    steps.sync = { _ in
      errno = EIO
      return -1
    }
    #expect(throws: DurableFileError.self) { try UserFile(path: path).apply([add("bob")], steps: steps) }
    #expect(try UserFile(path: path).read().bytes == bytes("alice:\(hash)\n"))
    let torn = scratch("alice:\(hash)")
    defer { torn.remove() }
    #expect(throws: UserEditFailure.self) { try UserFile(path: torn.path).apply([add("bob")]) }
  }

  @Test func aPasswordIsReadOnceMore() {
    func read(_ value: String) -> String? {
      guard let secret = PresentedPassword.read(bytes(value).span) else { return nil }
      return ASCII.string(secret.span)
    }
    #expect(read("Basic YWxpY2U6YTpi") == "a:b")
    for value in ["Bearer abc", "Basic", "Basic !!!", "Basic YWxpY2U=", ""] { #expect(read(value) == nil) }
  }
}
