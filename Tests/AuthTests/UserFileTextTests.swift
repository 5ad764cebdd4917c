// Edits of a user file's text: what changes, and that the rest does not.

import Crypto
import Primitives
import Testing

@testable import Auth

private func edited(_ text: String, _ change: (inout UserFileText) throws -> Void) throws -> String {
  var file = try UserFileText(bytes(text))
  try change(&file)
  return String(decoding: file.bytes, as: UTF8.self)
}

private func failure(_ text: String, _ change: (inout UserFileText) throws -> Void) -> UserEditFailure? {
  do {
    var file = try UserFileText(bytes(text))
    let before = file.bytes
    do {
      try change(&file)
      return nil
    } catch {
      #expect(file.bytes == before, "a failed edit changes nothing")
      throw error
    }
  } catch {
    return error as? UserEditFailure
  }
}

@Suite struct UserFileTextTests {
  private let hash = bytes(Stored.sha1)
  private let file = """
    # users of the house

      alice:{PLAIN}one:groups=a b,email=x@y,created=2025-01-01  \r
    bob:{PLAIN}two
    # bob is on leave

    """

  @Test func usersAreAddedAtTheEnd() throws {
    #expect(try edited("") { try $0.add(bytes("new"), hash: hash) } == "new:\(Stored.sha1)\n")
    #expect(
      try edited(file) {
        try $0.add(
          bytes("ünï"), hash: hash, groups: [bytes("a"), bytes("b")], isLocked: true, expires: Timestamp(seconds: 1_801_353_600),
          created: Timestamp(seconds: 1_801_396_800))
      } == file + "ünï:\(Stored.sha1):groups=a b,locked,expires=2027-01-31,created=2027-01-31T12:00:00Z\n")
    #expect(try edited("") { try $0.add(bytes("robot"), hash: nil) } == "robot:*\n")
  }

  @Test func whatIsAddedIsRead() throws {
    let text = try edited(file) { try $0.add(bytes("new"), hash: hash, groups: [bytes("a")], isLocked: true) }
    let table = try UserTable(parsing: bytes(text))
    let user = try #require(table.users.last)
    #expect(user.name == bytes("new") && user.isLocked && user.groups == [bytes("a")])
  }

  @Test func onlyTheHashOfOneLineChanges() throws {
    let changed = try edited(file) { try $0.setHash(hash, of: bytes("alice")) }
    #expect(changed == file.replacing("{PLAIN}one", with: Stored.sha1))
    #expect(try edited(file) { try $0.setHash(nil, of: bytes("bob")) } == file.replacing("{PLAIN}two", with: "*"))
  }

  @Test func removalTakesTheLineAlone() throws {
    #expect(try edited(file) { try $0.remove(bytes("bob")) } == file.replacing("bob:{PLAIN}two\n", with: ""))
    #expect(
      try edited("a:{PLAIN}1\nb:{PLAIN}2\na:{PLAIN}3\n") { try $0.remove(bytes("a")) } == "b:{PLAIN}2\n", "every line of the name")
  }

  @Test func lockingAndUnlockingAreEachOthersReverse() throws {
    let locked = try edited(file) {
      try $0.lock(bytes("alice"))
      try $0.lock(bytes("bob"))
      try $0.lock(bytes("bob"))
    }
    #expect(
      locked == file.replacing("created=2025-01-01", with: "created=2025-01-01,locked").replacing("{PLAIN}two", with: "{PLAIN}two:locked"))
    let unlocked = try edited(locked) {
      try $0.unlock(bytes("alice"))
      try $0.unlock(bytes("bob"))
    }
    #expect(unlocked == file)
    #expect(try edited("a:{PLAIN}1:Locked,x\n") { try $0.unlock(bytes("a")) } == "a:{PLAIN}1:x\n")
  }

  @Test func groupsAreEditedInPlace() throws {
    #expect(try edited(file) { try $0.addGroup(bytes("c"), to: bytes("alice")) } == file.replacing("groups=a b", with: "groups=a b c"))
    #expect(try edited(file) { try $0.addGroup(bytes("b"), to: bytes("alice")) } == file)
    #expect(try edited(file) { try $0.removeGroup(bytes("a"), from: bytes("alice")) } == file.replacing("groups=a b", with: "groups=b"))
    #expect(try edited(file) { try $0.setGroups([], of: bytes("alice")) } == file.replacing("groups=a b,", with: ""))
    #expect(
      try edited(file) { try $0.addGroup(bytes("x"), to: bytes("bob")) } == file.replacing("{PLAIN}two", with: "{PLAIN}two:groups=x"))
  }

  @Test func expiryIsSetAndTakenAway() throws {
    let time = Timestamp(seconds: 1_801_353_600)
    let changed = try edited(file) { try $0.setExpiry(time, of: bytes("bob")) }
    #expect(changed == file.replacing("{PLAIN}two", with: "{PLAIN}two:expires=2027-01-31"))
    #expect(try edited(changed) { try $0.setExpiry(nil, of: bytes("bob")) } == file)
  }

  @Test func issuedKeysAreReadAndRevoked() throws {
    var file = try UserFileText(bytes(file))
    let first = APIKey.issue(name: bytes("ci"), expires: nil)
    let second = APIKey.issue(name: bytes("deploy"), expires: Timestamp(seconds: 1_801_396_800))
    try file.addKey(first.key, to: bytes("bob"))
    try file.addKey(second.key, to: bytes("bob"))
    var table = try UserTable(parsing: file.bytes)
    #expect(table.users[1].keys == [first.key, second.key])
    #expect(table.users[1].keys[0].lastFour == Array(ASCII.array(first.token.span).suffix(4)))
    #expect(first.token.count == APIKey.tokenLength)
    #expect(!String(decoding: file.bytes, as: UTF8.self).contains(ASCII.string(first.token.span)))
    #expect(throws: UserEditFailure.keyExists(bytes("ci"))) { try file.addKey(first.key, to: bytes("bob")) }

    try file.revokeKey(bytes("ci"), of: bytes("bob"))
    table = try UserTable(parsing: file.bytes)
    #expect(table.users[1].keys == [second.key])
    #expect(throws: UserEditFailure.noSuchKey(bytes("ci"))) { try file.revokeKey(bytes("ci"), of: bytes("bob")) }
    try file.revokeKey(bytes("deploy"), of: bytes("bob"))
    #expect(String(decoding: file.bytes, as: UTF8.self) == self.file)
  }

  @Test func editsThatMakeNoSenseAreRefused() {
    #expect(failure(file) { try $0.add(bytes("alice"), hash: hash) } == .userExists(bytes("alice")))
    #expect(failure(file) { try $0.setHash(hash, of: bytes("nobody")) } == .noSuchUser(bytes("nobody")))
    #expect(failure(file) { try $0.remove(bytes("# users of the house")) } == .noSuchUser(bytes("# users of the house")))
    #expect(failure(file) { try $0.lock(bytes("")) } == .noSuchUser([]))
    #expect(failure(file) { try $0.removeGroup(bytes("z"), from: bytes("alice")) } == .notInGroup(bytes("z")))
    #expect(
      failure("a:{PLAIN}1\n\na:{PLAIN}2\n") { try $0.lock(bytes("a")) } == .standsTwice(bytes("a"), lines: [1, 3]),
      "which of the two would be locked?")
    #expect(failure("a:{PLAIN}1\nb:{PLAIN}2") { try $0.lock(bytes("a")) } == .fault(.lastLineUnfinished(line: 2)))
    #expect(failure("a:\0\n") { try $0.lock(bytes("a")) } == .fault(.holdsNUL(line: 1)))
  }

  /// What would break the line or the file, or would not be read, is never written.
  @Test func nothingIsWrittenThatWouldNotBeRead() {
    for name in ["", "a:b", "a\nb", "#a", " a", "a ", "ghk_a", "a\u{7}", String(repeating: "x", count: 256)] {
      #expect(failure(file) { try $0.add(bytes(name), hash: hash) } != nil, "\(name)")
    }
    for hash in ["", "secret", "$2y$04$short", "{PLAIN}a:b", "{PLAIN}a\nb", "{PLAIN}a ", "{PLAIN}a\r"] {
      #expect(failure(file) { try $0.add(bytes("new"), hash: bytes(hash)) } != nil, "\(hash)")
    }
    for group in ["", "a b", "a,b", "a\nb"] {
      #expect(failure(file) { try $0.addGroup(bytes(group), to: bytes("bob")) } != nil, "\(group)")
    }
    let digest = APIKey.issue(name: [], expires: nil).key.digest
    for name in ["", "a/b", "a b", "a,b", "a\n", String(repeating: "x", count: 65)] {
      #expect(
        failure(file) { try $0.addKey(APIKey(name: bytes(name), digest: digest, expires: nil, lastFour: nil), to: bytes("bob")) } != nil)
    }
    #expect(failure(file) { try $0.setGroups([bytes(String(repeating: "g", count: 250))].repeated(300), of: bytes("bob")) } != nil)
  }

  @Test func fileOfWindowsKeepsItsLineEnds() throws {
    #expect(try edited("a:{PLAIN}1\r\nb:{PLAIN}2\r\n") { try $0.lock(bytes("a")) } == "a:{PLAIN}1:locked\r\nb:{PLAIN}2\r\n")
  }
}

extension Array {
  fileprivate func repeated(_ times: Int) -> [Element] { (0..<times).flatMap { _ in self } }
}
