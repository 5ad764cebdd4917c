// A user file that changes under the reader: what is in force is whole, always.

import Auth
import Glibc
import Primitives
import Testing

@testable import Proxy

@Suite struct UserDirectoryTests {
  private static let alice = "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
  private static let bob = "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"

  /// What a look found, in words.
  private func look(_ directory: UserDirectory) -> String {
    switch directory.look() {
    case .changing: "changing"
    case .unchanged: "unchanged"
    case .value(let table): "table " + table.users.map { String(decoding: $0.name, as: UTF8.self) }.joined(separator: " ")
    case .failed: "failed"
    }
  }

  /// Looks until it is no longer changing; the number of looks is bounded.
  private func settled(_ directory: UserDirectory) -> String {
    for _ in 0..<100 {
      let found = look(directory)
      if found != "changing" { return found }
    }
    return "never settled"
  }

  private struct Scene {
    let scratch = Scratch()
    let directory: UserDirectory
    var path: String { scratch.file("users") }

    init(_ text: String) throws {
      write(text, to: scratch.file("users"))
      directory = UserDirectory(path: scratch.file("users"))
      _ = try directory.readSettled()
    }
  }

  @Test func fileIsTakenOnceItHeldStill() throws {
    let scene = try Scene(Self.alice)
    #expect(look(scene.directory) == "unchanged")
    write(Self.alice + Self.bob, to: scene.path)
    #expect(look(scene.directory) == "changing")
    #expect(look(scene.directory) == "table alice bob")
    #expect(look(scene.directory) == "unchanged")
  }

  @Test func truncationIsWaitedOut() throws {
    // `htpasswd` truncates the file and writes it anew.
    let scene = try Scene(Self.alice)
    write("", to: scene.path)
    for _ in 0..<5 { #expect(look(scene.directory) == "changing") }
    write(Self.alice + Self.bob, to: scene.path)
    #expect(settled(scene.directory) == "table alice bob")
  }

  @Test func lastUsersRemovalTakesEffectAllTheSame() throws {
    let scene = try Scene(Self.alice)
    write("", to: scene.path)
    #expect(settled(scene.directory) == "table ")
    write(Self.bob, to: scene.path)
    #expect(settled(scene.directory) == "table bob")
  }

  @Test func tornLastLineIsWaitedFor() throws {
    let scene = try Scene(Self.alice)
    write(Self.alice + "bob:{SHA}5en6", to: scene.path)
    for _ in 0..<5 { #expect(look(scene.directory) == "changing") }
    write(Self.alice + Self.bob, to: scene.path)
    #expect(settled(scene.directory) == "table alice bob")
  }

  @Test func tornLastLineThatStaysIsAFailureAndTheOldTableStays() throws {
    let scene = try Scene(Self.alice)
    write(Self.alice + "bob:{SHA}5en6", to: scene.path)
    #expect(settled(scene.directory) == "failed")
    write(Self.alice + Self.bob, to: scene.path)
    #expect(settled(scene.directory) == "table alice bob")
  }

  @Test func fileThatKeepsChangingIsNotTakenInBetween() throws {
    let scene = try Scene(Self.alice)
    for i in 0..<10 {
      write(Self.alice + String(repeating: "#", count: i + 1) + "\n", to: scene.path)
      #expect(look(scene.directory) == "changing")
    }
    #expect(look(scene.directory) == "table alice")
  }

  @Test func brokenFileIsSaidOnceAndTakenWhenItIsRepaired() throws {
    let scene = try Scene(Self.alice)
    write("no user file at all\n", to: scene.path)
    #expect(settled(scene.directory) == "failed")
    #expect(look(scene.directory) == "unchanged", "the same complaint again and again")
    write(Self.bob, to: scene.path)
    #expect(settled(scene.directory) == "table bob")
  }

  @Test func fileWithNULIsNoUserFile() throws {
    let scene = try Scene(Self.alice)
    write(Self.alice + "b", to: scene.path)
    let file = unsafe open(scene.path, O_WRONLY | O_APPEND)
    unsafe _ = Glibc.write(file, [0, 0x0A] as [UInt8], 2)
    close(file)
    #expect(settled(scene.directory) == "failed")
  }

  @Test func renamedFileIsTaken() throws {
    let scene = try Scene(Self.alice)
    write(Self.bob, to: scene.scratch.file("new"))
    #expect(unsafe rename(scene.scratch.file("new"), scene.path) == 0)
    #expect(settled(scene.directory) == "table bob")
    #expect(look(scene.directory) == "unchanged")
  }

  @Test func removedFileKeepsTheOldTableUntilItIsBack() throws {
    let scene = try Scene(Self.alice)
    #expect(unsafe unlink(scene.path) == 0)
    for _ in 0..<5 { #expect(look(scene.directory) == "changing") }
    #expect(settled(scene.directory) == "failed")
    write(Self.bob, to: scene.path)
    #expect(settled(scene.directory) == "table bob")
  }

  @Test func noFileIsNoUsers() throws {
    let directory = UserDirectory(path: nil)
    #expect(try directory.readSettled().users.isEmpty)
    #expect(look(directory) == "unchanged")
  }

  @Test func folderIsNoUserFile() throws {
    let scratch = Scratch()
    let directory = UserDirectory(path: scratch.path)
    #expect(settled(directory) == "failed")
  }
}
