// Revocations: on disk before they count as made, whole after every failure, and forgotten only when no token is left that they are about.

import Primitives
import Testing

@testable import Auth

@Suite struct RevocationsTests {
  private let now = Timestamp(seconds: 1_800_000_000)
  private let instant = Instant(nanoseconds: 5)

  private func list(_ text: String) throws -> RevocationList { try RevocationList(parsing: bytes(text)) }

  @Test func linesAreRead() throws {
    let list = try list(
      """
      # why
      jti abc until=2027-02-01

      user alice before=2027-01-15T08:00:00Z until=2027-03-01
        user a  b before=1 before=2027-01-15 until=2027-03-01\t
      user bob before=2027-01-01 until=2028-01-01
      user bob before=2027-01-10 until=2028-01-01
      all before=2026-01-01 until=2027-06-01

      """)
    #expect(list.count == 5)
    let (early, late) = (Timestamp(seconds: 1_799_999_999), Timestamp(seconds: 1_800_000_000))
    #expect(list.cover(identifier: bytes("abc"), user: bytes("x"), issued: late))
    #expect(!list.cover(identifier: bytes("abd"), user: bytes("x"), issued: late))
    #expect(
      list.cover(identifier: [], user: bytes("alice"), issued: early) && !list.cover(identifier: [], user: bytes("alice"), issued: late))
    #expect(list.earliestIssue(for: bytes("a  b before=1")) == Timestamp(seconds: 1_799_971_200))
    #expect(list.earliestIssue(for: bytes("bob")) == Timestamp(seconds: 1_799_539_200), "the later of two")
    #expect(list.earliestIssue(for: bytes("nobody")) == Timestamp(seconds: 1_767_225_600))
  }

  @Test func aLineThatIsNotUnderstoodMakesTheFileUseless() throws {
    let good = "jti abc until=2027-02-01\n"
    for bad in [
      "jti abc\n", "jti until=2027-02-01\n", "jti a b until=2027-02-01\n", "jti \u{1}a until=2027-02-01\n", "abc until=2027-02-01\n",
      "user alice until=2027-02-01\n", "user before=2027-01-01 until=2027-02-01\n", "user a:b before=2027-01-01 until=2027-02-01\n",
      "all until=2027-02-01\n", "all before=never until=2027-02-01\n", "ALL before=2027-01-01 until=2027-02-01\n", "x\n",
      "until=2027-02-01\n",
      "all of them before=2027-01-01 until=2027-02-01\n", "jti abc until=2027-02-01", "jti abc until=2027-02-01\r\n", "\0\n",
      "jti \(String(repeating: "a", count: 256)) until=2027-02-01\n",
    ] {
      let error = #expect(throws: RevocationFault.self) { try list(good + bad) }
      guard case .line(2, _) = error else {
        Issue.record("\(bad.debugDescription): \(String(describing: error))")
        continue
      }
      #expect(throws: RevocationFault.self) { try RevocationText.edited(bytes(good + bad), adding: [], at: now) }
    }
  }

  @Test func anEditDropsWhatIsPastAndKeepsTheRest() throws {
    let file = "# why\njti old until=2027-01-15T08:00:00Z\njti new until=2027-01-15T08:00:01Z\n\nall before=2020-01-01 until=2021-01-01\n"
    let edited = try RevocationText.edited(
      bytes(file), adding: [.token(identifier: bytes("x-_"), until: now.advanced(by: .milliseconds(1)))], at: now)
    #expect(
      String(decoding: edited, as: UTF8.self)
        == "# why\njti new until=2027-01-15T08:00:01Z\n\njti x-_ until=2027-01-15T08:00:01Z\n")
  }

  @Test func revokingAgainDoesNotMakeTheFileGrow() throws {
    var file: [UInt8] = []
    for second in 0..<20 {
      let moment = now.advanced(by: .seconds(UInt64(second)))
      file = try RevocationText.edited(
        file, adding: [.user(bytes("alice"), before: moment), .all(before: moment), .token(bytes("abc"), issuedBefore: moment)], at: moment)
    }
    #expect(file.count { $0 == 0x0A } == 3)
    // What says less does not take the place of what says more.
    file = try RevocationText.edited(file, adding: [.user(bytes("alice"), before: now)], at: now)
    #expect(try RevocationList(parsing: file).earliestIssue(for: bytes("alice")) == now.advanced(by: .seconds(19)))
  }

  @Test func whatCannotBeWrittenIsRefused() throws {
    for revocation in [
      Revocation.token(bytes("a b"), issuedBefore: now), .token([], issuedBefore: now), .token(bytes("a\nall"), issuedBefore: now),
      .user(bytes("a\nall before=2030-01-01"), before: now), .user([], before: now), .user(bytes(" a"), before: now),
    ] {
      #expect(throws: RevocationFault.self) { try RevocationText.edited([], adding: [revocation], at: now) }
    }
  }

  /// A moment within a second counts as the end of it: a token says its second only.
  @Test func timesAreRoundedAgainstTheToken() throws {
    let moment = Timestamp(microseconds: now.microseconds + 1)
    let file = try RevocationText.edited([], adding: [.all(before: moment)], at: now)
    #expect(String(decoding: file, as: UTF8.self).hasPrefix("all before=2027-01-15T08:00:01Z until="))
    #expect(try RevocationList(parsing: file).cover(identifier: [], user: [], issued: now))
    var list = RevocationList()
    try list.insert(.all(before: moment))
    #expect(list.cover(identifier: [], user: [], issued: now))
  }

  @Test func aFullListRefusesAndForgetsNothing() throws {
    var list = RevocationList(capacity: 3)
    for name in ["a", "b"] { try list.insert(.token(bytes(name), issuedBefore: now)) }
    try list.insert(.user(bytes("alice"), before: now))
    #expect(throws: RevocationFault.full) { try list.insert(.token(bytes("c"), issuedBefore: now)) }
    #expect(throws: RevocationFault.full) { try list.insert(.user(bytes("bob"), before: now)) }
    try list.insert(.token(bytes("a"), issuedBefore: now))
    try list.insert(.all(before: now))
    #expect(list.cover(identifier: bytes("b"), user: [], issued: now) && !list.cover(identifier: bytes("c"), user: [], issued: now))
  }

  // MARK: In memory

  @Test func everyChangeIsAnotherEpoch() throws {
    let revocations = Revocations()
    var epochs = [revocations.epoch]
    try revocations.insert(.token(bytes("a"), issuedBefore: now), at: instant)
    epochs.append(revocations.epoch)
    revocations.replace(with: RevocationList(), at: instant)
    epochs.append(revocations.epoch)
    #expect(Set(epochs).count == 3)
  }

  /// The file was read, then a revocation was written to it and made here, and only then came the news of what was read.
  @Test func aReloadDoesNotForgetWhatWasJustRevoked() throws {
    let revocations = Revocations()
    let stale = RevocationList()
    try revocations.insert(.token(bytes("a"), issuedBefore: now), at: instant)
    revocations.replace(with: stale, at: instant.advanced(by: .seconds(1)))
    #expect(revocations.cover(identifier: bytes("a"), user: [], issued: now))
    // A reading of much later knows all that was written.
    revocations.replace(with: stale, at: instant.advanced(by: .seconds(11)))
    #expect(!revocations.cover(identifier: bytes("a"), user: [], issued: now))
  }

  // MARK: On disk

  @Test func aMissingFileHoldsNone() throws {
    #expect(try TokenFolder().revoked.read().count == 0)
  }

  @Test func revocationsAreThereWhenAddReturns() throws {
    let folder = TokenFolder()
    try folder.revoked.add([.token(bytes("a"), issuedBefore: now)], at: now)
    try folder.revoked.add([.user(bytes("al ice"), before: now), .all(before: now)], at: now)
    #expect(try folder.mode("keys.revoked") == 0o600)
    let list = try folder.revoked.read()
    #expect(list.count == 3 && list.cover(identifier: bytes("a"), user: [], issued: now))
    #expect(list.earliestIssue(for: bytes("al ice")) == now)
  }

  @Test(arguments: BrokenDisk.allCases) func aBrokenDiskIsAnErrorAndLeavesTheOldFile(_ disk: BrokenDisk) throws {
    let folder = TokenFolder()
    let old = "jti abc until=2027-02-01\n"
    folder.write("keys.revoked", old)
    #expect(throws: DurableFileError.self) {
      try folder.revoked.add([.token(bytes("a"), issuedBefore: now)], at: now, steps: disk.steps)
    }
    #expect(try folder.text("keys.revoked") == old)
  }

  @Test func aFileThatIsNotUnderstoodIsNotWrittenOver() throws {
    let folder = TokenFolder()
    folder.write("keys.revoked", "jti abc until=2027-02-01\nwhat is this\n")
    #expect(throws: RevocationFault.self) { try folder.revoked.add([.all(before: now)], at: now) }
    #expect(throws: RevocationFault.self) { try folder.revoked.read() }
    #expect(try folder.text("keys.revoked").hasSuffix("what is this\n"))
  }
}
