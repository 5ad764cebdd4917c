// The clerk: many changes in one writing, each with its own answer, none before it is durable and in force.

import Auth
import Net
import Primitives
import Synchronization
import Testing

@testable import Proxy

@Suite struct ClerkTests {
  /// A clerk on a thread of its own, whose writings and answers are noted.
  private final class Office: Sendable {
    let clerk: Clerk
    let written: Mailbox<Clerk.Written>
    let answers = Mutex<[(Int, Clerk.Outcome)]>([])
    let answered = Semaphore()
    private let thread: Mutex<Net.Thread?>
    let path: String

    init(_ path: String) throws {
      self.path = path
      let written = try Mailbox<Clerk.Written>()
      self.written = written
      clerk = Clerk(errors: ErrorLog(level: .error, descriptor: -1, hasPriorityPrefix: false)) { written.post($0) }
      thread = Mutex(nil)
    }

    func start() throws {
      let thread = try Threads.spawn(name: "clerk") { [clerk] in clerk.run() }
      self.thread.withLock { $0 = thread }
    }

    func end() {
      clerk.finish()
      thread.withLock { $0 }?.join()
    }

    func edit(
      _ number: Int, _ name: String, _ kind: UserChange.Kind? = nil, invite: (path: String, code: [UInt8])? = nil, isLazy: Bool = false
    ) -> Bool {
      let kind = kind ?? .add(hash: bytes("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="), isLocked: false, created: Timestamp(seconds: 0))
      return clerk.submit(
        Clerk.Edit(change: UserChange(bytes(name), kind), path: path, invite: invite, isLazy: isLazy) { [self] outcome in
          answers.withLock { $0.append((number, outcome)) }
          answered.signal()
        })
    }

    /// Waits for `count` answers, in the order of the edits.
    func outcomes(_ count: Int) -> [Clerk.Outcome] {
      for _ in 0..<count { answered.wait() }
      return answers.withLock { $0.sorted { $0.0 < $1.0 }.map(\.1) }
    }

    /// Waits for a writing.
    func nextWritten() throws -> [Clerk.Written] {
      var poller = try Poller(capacity: 1)
      try poller.add(written.descriptor, .read, EventToken(kind: 0))
      _ = poller.wait(until: Instant.now().advanced(by: .seconds(20)), now: Instant.now())
      return written.drain()
    }
  }

  private func text(of path: String) throws -> String { String(decoding: try UserFile(path: path).read().bytes, as: UTF8.self) }

  private let hash = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

  @Test func allThatWaitsIsOneWritingAndEachHasItsAnswer() throws {
    let scratch = Scratch()
    write("alice:\(hash)\n", to: scratch.file("users"))
    let office = try Office(scratch.file("users"))
    #expect(office.edit(0, "bob") && office.edit(1, "alice") && office.edit(2, "BOB") && office.edit(3, "carol"))
    #expect(office.edit(4, "nobody", .replaceHash(old: bytes(hash), new: bytes(hash))))
    #expect(office.edit(5, "alice", .replaceHash(old: bytes("{SHA}other"), new: bytes(hash))))
    try office.start()
    let written = try office.nextWritten()
    #expect(written.count == 1)
    #expect(try text(of: office.path) == "alice:\(hash)\nbob:\(hash):created=1970-01-01\ncarol:\(hash):created=1970-01-01\n")
    // What was done is not told before it is in force.
    for _ in 1...4 { office.answered.wait() }
    #expect(office.answers.withLock { $0.allSatisfy { $0.1 != .done } })
    for file in written { office.clerk.adopted(file.ticket) }
    #expect(office.outcomes(2) == [.done, .taken, .taken, .done, .changed, .changed])
    office.end()
  }

  @Test func whatNobodyWaitsForGoesWithOthers() throws {
    let scratch = Scratch()
    write("alice:\(hash)\n", to: scratch.file("users"))
    let office = try Office(scratch.file("users"))
    #expect(office.edit(0, "alice", .replaceHash(old: bytes(hash), new: bytes("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=")), isLazy: true))
    #expect(office.edit(1, "bob"))
    try office.start()
    #expect(try office.nextWritten().count == 1)
    #expect(try text(of: office.path).hasPrefix("alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\nbob:"))
    office.clerk.adopted(1)
    #expect(office.outcomes(2) == [.done, .done])
    office.end()
  }

  @Test func whatIsWaitedForAfterAllKeepsForCompanyNoLonger() throws {
    let scratch = Scratch()
    write("alice:\(hash)\n", to: scratch.file("users"))
    let office = try Office(scratch.file("users"))
    try office.start()
    let began = Instant.now()
    #expect(office.edit(0, "alice", .replaceHash(old: bytes(hash), new: bytes("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=")), isLazy: true))
    office.clerk.hasten()
    #expect(try office.nextWritten().count == 1)
    #expect(Instant.now().since(began) < Clerk.laziness.nanoseconds / 2)
    office.clerk.adopted(1)
    #expect(office.outcomes(1) == [.done])
    office.end()
  }

  @Test func aWritingThatFailsChangesNothingAndUsesUpNoInvitation() throws {
    let scratch = Scratch()
    write("alice:\(hash)\nbob:\(hash)", to: scratch.file("users"))  // torn: not to be edited
    write("code-1\n", to: scratch.file("invites"))
    let office = try Office(scratch.file("users"))
    #expect(office.edit(0, "carol", invite: (scratch.file("invites"), bytes("code-1"))) && office.edit(1, "dave"))
    try office.start()
    #expect(office.outcomes(2) == [.failed, .failed])
    #expect(try text(of: office.path) == "alice:\(hash)\nbob:\(hash)")
    #expect(try text(of: scratch.file("invites")) == "code-1\n")
    office.end()
  }

  @Test func invitationsThatCannotBeUsedUpFailNobodyElse() throws {
    let scratch = Scratch()
    write("alice:\(hash)\n", to: scratch.file("users"))
    let office = try Office(scratch.file("users"))
    #expect(office.edit(0, "bob", invite: (scratch.file("missing"), bytes("code-1"))))
    #expect(office.edit(1, "alice", .replaceHash(old: bytes(hash), new: bytes("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="))))
    try office.start()
    #expect(try office.nextWritten().count == 1)
    office.clerk.adopted(1)
    #expect(office.outcomes(2) == [.failed, .done])
    #expect(try text(of: office.path) == "alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n")
    office.end()
  }

  @Test func anInvitationIsUsedUpByWhoIsAdded() throws {
    let scratch = Scratch()
    write("alice:\(hash)\n", to: scratch.file("users"))
    write("one\ntwo\nthree\n", to: scratch.file("invites"))
    let office = try Office(scratch.file("users"))
    let invites = scratch.file("invites")
    for (i, (name, code)) in [("bob", "one"), ("carol", "one"), ("alice", "two"), ("dave", "none"), ("dave", "three")].enumerated() {
      #expect(office.edit(i, name, invite: (invites, bytes(code))))
    }
    try office.start()
    for file in try office.nextWritten() { office.clerk.adopted(file.ticket) }
    // The second dave is not refused for the sake of the first, who had no right.
    #expect(office.outcomes(5) == [.done, .badInvite, .taken, .badInvite, .done])
    #expect(try text(of: invites) == "two\n")
    office.end()
  }

  @Test func theQueueIsBounded() throws {
    let office = try Office("/nonexistent/users")
    for i in 0..<Clerk.capacity { #expect(office.edit(i, "user\(i)")) }
    #expect(!office.edit(Clerk.capacity, "more"))
    // What nobody waits for has places of its own.
    #expect(office.edit(Clerk.capacity, "lazy", isLazy: true))
  }

  @Test func aRevocationIsOnDiskAndInForceBeforeItsAnswer() throws {
    let scratch = Scratch()
    let office = try Office(scratch.file("users"))
    try office.start()
    let (revocations, path, answered) = (Revocations(), scratch.file("keys.revoked"), Semaphore())
    let identifier = bytes("AAAAAAAAAAAAAAAAAAAAAA")
    let until = Timestamp(seconds: Timestamp.now().seconds + 600)
    let outcome = Mutex<Clerk.Outcome?>(nil)
    #expect(
      office.clerk.submit(
        Clerk.Revoking(revocation: .token(identifier: identifier, until: until), path: path, revocations: revocations) { result in
          outcome.withLock { $0 = result }
          answered.signal()
        }))
    answered.wait()
    #expect(outcome.withLock { $0 } == .done)
    #expect(revocations.cover(identifier: identifier, user: bytes("alice"), issued: .now()))
    #expect(try RevocationFile(path: path).read().count == 1)
    office.end()
  }

  @Test func theLastSignatureTells() throws {
    let told = Mutex(0)
    let adoption = Adoption(by: 3) { told.withLock { $0 += 1 } }
    adoption.sign()
    adoption.sign()
    #expect(told.withLock { $0 } == 0)
    adoption.sign()
    #expect(told.withLock { $0 } == 1)
  }
}
