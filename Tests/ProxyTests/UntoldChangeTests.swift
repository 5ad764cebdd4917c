// Changes of the user file that nobody tells are seen by looking: on a network file system, or where the file may not be read for a while.

import Auth
import Glibc
import Primitives
import Testing

@testable import Proxy

@Suite struct UntoldChangeTests {
  private static let alice = "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"

  /// Looks until something came of it.
  private func settle(_ directory: UserDirectory) {
    for _ in 0..<100 {
      if case .changing = directory.look() { continue }
      return
    }
  }

  @Test func everyChangeIsSeenUntilItWasTaken() throws {
    let scratch = Scratch()
    let path = scratch.file("users")
    write(Self.alice, to: path)
    let directory = UserDirectory(path: path)
    _ = try directory.readSettled()
    #expect(!directory.looksChanged())
    write(Self.alice + "# more\n", to: path)
    #expect(directory.looksChanged())
    settle(directory)
    #expect(!directory.looksChanged())
  }

  @Test func whatWasGivenUpIsLookedAtAgainOnlyWhenItChanges() throws {
    let scratch = Scratch()
    let path = scratch.file("users")
    write(Self.alice, to: path)
    let directory = UserDirectory(path: path)
    _ = try directory.readSettled()
    #expect(unsafe unlink(path) == 0)
    #expect(directory.looksChanged())
    settle(directory)
    #expect(!directory.looksChanged(), "the same complaint again and again")
    write("no user file\n", to: path)
    #expect(directory.looksChanged())
    settle(directory)
    #expect(!directory.looksChanged())
    #expect(unsafe chmod(path, 0o640) == 0)
    #expect(directory.looksChanged(), "a file that could not be read may be readable now")
  }
}
