// Reading files at a start or a reload: when they are waited for, and what need not be read twice.

import Auth
import Primitives
import Testing

@testable import Proxy

@Suite struct FilesAtStartTests {
  private static let alice = "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
  private static let bob = "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"

  private let scratch = Scratch()
  private var path: String { scratch.file("users") }
  private var later: Timestamp { Timestamp.now().advanced(by: .seconds(10)) }

  private func names(_ table: UserTable) -> [String] { table.users.map { String(decoding: $0.name, as: UTF8.self) } }

  private func table(_ text: String) throws -> UserTable { try UserTable(parsing: Array(text.utf8), seed: .ofThisMachine) }

  @Test func aFileThatWasWrittenLongAgoIsTakenAtOnce() throws {
    write(Self.alice, to: path)
    var pauses = 0
    let table = try UserDirectory(path: path).readSettled(now: later) { pauses += 1 }
    #expect(names(table) == ["alice"])
    #expect(pauses == 0)
  }

  @Test func aFileThatWasWrittenAMomentAgoIsWaitedFor() throws {
    write(Self.alice, to: path)
    var pauses = 0
    let path = path
    let table = try UserDirectory(path: path).readSettled {
      pauses += 1
      if pauses == 1 { write(Self.alice + Self.bob, to: path) }
    }
    #expect(names(table) == ["alice", "bob"])
    #expect(pauses == 2)
  }

  @Test func aTornFileIsWaitedForHoweverOldItIs() throws {
    write(Self.alice + "bob:{SHA}5en6", to: path)
    var pauses = 0
    let path = path
    let table = try UserDirectory(path: path).readSettled(now: later) {
      pauses += 1
      if pauses == 1 { write(Self.alice + Self.bob, to: path) }
    }
    #expect(names(table) == ["alice", "bob"])
    #expect(pauses > 0)
  }

  @Test func aChangeAfterTheStartIsSeen() throws {
    write(Self.alice, to: path)
    let directory = UserDirectory(path: path)
    _ = try directory.readSettled(now: later)
    write(Self.alice + Self.bob, to: path)
    #expect(directory.looksChanged())
  }

  @Test func theTableAtHandIsTakenForTheSameBytes() throws {
    write(Self.alice, to: path)
    let known = FileAtHand(bytes: Array(Self.alice.utf8), value: try table(Self.alice))
    #expect(try UserDirectory(path: path).readSettled(atHand: known, now: later) === known.value)
  }

  @Test func theTableAtHandIsNotTakenForOthers() throws {
    // As long, so that nothing but the bytes tells.
    write(Self.bob + "\n\n", to: path)
    let known = FileAtHand(bytes: Array(Self.alice.utf8), value: try table(Self.alice))
    #expect(names(try UserDirectory(path: path).readSettled(atHand: known, now: later)) == ["bob"])
  }

  @Test func theTableAtHandIsForgottenAfterTheStart() throws {
    write(Self.alice, to: path)
    let known = FileAtHand(bytes: Array(Self.alice.utf8), value: try table(Self.alice))
    let directory = UserDirectory(path: path)
    _ = try directory.readSettled(atHand: known, now: later)
    directory.readAgain()
    for _ in 0..<3 {
      guard case .value(let fresh) = directory.look() else { continue }
      #expect(fresh !== known.value)
      return
    }
    Issue.record("the file was not read again")
  }

  @Test(arguments: [("staff: alice\n", true), ("staff: bob  \n", false)])
  func usersAreMadeAnewWithOtherGroups(_ groups: String, _ isAsJudged: Bool) throws {
    let judged = "staff: alice\n"
    write(Self.alice, to: path)
    write(groups, to: scratch.file("groups"))
    var settings = Settings()
    settings.usersPath = path
    settings.groupsPath = scratch.file("groups")
    let file = try GroupFile(parsing: Array(judged.utf8))
    var atHand = FilesAtHand()
    atHand.groups = FileAtHand(bytes: Array(judged.utf8), value: file)
    let known = try UserTable(parsing: Array(Self.alice.utf8), seed: .ofThisMachine, groups: file)
    atHand.users = FileAtHand(bytes: Array(Self.alice.utf8), value: known)
    let files = AuthFiles(settings, revocations: Revocations())
    _ = try files.readSettled(atHand)
    #expect((files.users === known) == isAsJudged)
    #expect(files.users.user(named: Array("alice".utf8).span)?.groups.isEmpty == !isAsJudged)
  }
}
