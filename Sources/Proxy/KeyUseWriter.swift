// Writes down when API keys were last used, on a thread of its own: a disk may take its time, and nobody waits for this.

import Auth
import Glibc
import Net
import Primitives

/// At most once a minute, and at the end. What can't be written is complained about once, and kept for the next time, as far as there is room.
final class KeyUseWriter: Sendable {
  private enum Message {
    case adopt(path: String?, users: UserTable)
    case finish
  }

  private static let pause = Interval.seconds(60)
  /// Keys whose uses wait to be written.
  private static let most = 65_536

  private let uses: KeyUses
  private let errors: ErrorLog
  private let mailbox: Mailbox<Message>

  init(_ uses: KeyUses, errors: ErrorLog) throws(NetError) {
    self.uses = uses
    self.errors = errors
    mailbox = try Mailbox()
  }

  /// From now on the uses belong beside this user file, and to the keys that are in it.
  func adopt(_ path: String?, _ users: UserTable) { mailbox.post(.adopt(path: path, users: users)) }

  /// Makes `run` write what is left, and end.
  func finish() { mailbox.post(.finish) }

  /// The thread's life.
  func run() {
    guard var poller = try? Poller(capacity: 1), (try? poller.add(mailbox.descriptor, .read, EventToken(kind: 0))) != nil else {
      errors.warning("the last use of tokens is not kept: no descriptor is left to wait with")
      return
    }
    var state = State(errors: errors)
    var due = Instant.now().advanced(by: Self.pause)
    while true {
      _ = poller.wait(until: due, now: Instant.now())
      for message in mailbox.drain() {
        switch message {
        case .adopt(let path, let users):
          if let old = state.path, old != path { state.write(uses.take()) }
          state.path = path
          state.users = users
        case .finish:
          state.write(uses.take())
          return
        }
      }
      if Instant.now() >= due {
        state.write(uses.take())
        due = Instant.now().advanced(by: Self.pause)
      }
    }
  }

  private struct State {
    let errors: ErrorLog
    var path: String?
    /// Which keys there are: lines of others are dropped.
    var users: UserTable?
    private var unwritten = KeyUseLedger()
    private var hasComplained = false

    init(errors: ErrorLog) { self.errors = errors }

    mutating func write(_ fresh: [KeyUses.Use]) {
      for use in fresh where unwritten.uses.count < KeyUseWriter.most { unwritten.add(use) }
      guard let path, !unwritten.uses.isEmpty else { return }
      let file = DurableFile(path: KeyUseLedger.path(besides: path))
      let (news, users) = (unwritten.uses, users)
      do {
        let unreadable = try file.edit(createIfMissing: true) { bytes in
          var ledger = KeyUseLedger(bytes)
          for use in news.values { ledger.add(use) }
          if let users { ledger.keep(users) }
          bytes = ledger.bytes
          return ledger.unreadable
        }
        if unreadable > 0 { errors.notice("\(file.path): \(unreadable) lines can't be read and were dropped") }
        unwritten = KeyUseLedger()
        hasComplained = false
      } catch {
        if !hasComplained { errors.warning("the last use of tokens can't be kept: \(error)") }
        hasComplained = true
      }
    }
  }
}
