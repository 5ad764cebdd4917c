// Failed logins and bans as lines of the error log, in forms that stay as they are: fail2ban's filter (deploy/fail2ban) reads them, and
// docs/OPERATIONS.md shows them. Bounded, so that a flood of guesses is no flood of lines.

import Auth
import Primitives
import Synchronization

/// From any thread.
final class LoginFailures: Sendable {
  /// Lines that may come at once, and how many more each second: several times what one machine's fail2ban has use for.
  private static let burst: UInt64 = 100
  private static let perSecond: UInt64 = 20

  private struct Bucket {
    var lines = LoginFailures.burst
    var filled = Instant(nanoseconds: 0)
    var leftOut: UInt64 = 0

    /// How many were left out before this line; nil where this one is to be left out too.
    mutating func take(_ now: Instant) -> UInt64? {
      let step = 1_000_000_000 / LoginFailures.perSecond
      let fresh = now.since(filled) / step
      if fresh > 0 {
        lines = min(LoginFailures.burst, lines + min(fresh, LoginFailures.burst))
        filled = fresh >= LoginFailures.burst ? now : filled.advanced(by: Interval(nanoseconds: fresh * step))
      }
      guard lines > 0 else {
        leftOut += 1
        return nil
      }
      lines -= 1
      defer { leftOut = 0 }
      return leftOut
    }
  }

  private let bucket = Mutex(Bucket())
  private let errors: ErrorLog

  init(_ errors: ErrorLog) {
    self.errors = errors
  }

  /// `auth failure from 203.0.113.7 user "alice": wrong password`. The address stands first: what a client chose comes after it.
  func failed(_ refusal: Refusal, from client: ClientAddress, at now: Instant) {
    if let leftOut = bucket.withLock({ $0.take(now) }) {
      if leftOut > 0 { errors.notice("\(leftOut) auth failures were not logged: too many at once") }
      errors.notice("auth failure from \(client.text) user \(Self.quoted(refusal.user)): \(refusal.reason.label)")
    }
    banned(refusal.bans)
  }

  /// `lockout: banned 203.0.113.7 for 600 s after 10 failures`, with `, user "alice"` where it is for one name only. Each is paid for with as
  /// many failures, so that they need no bound of their own.
  func banned(_ bans: [BanNotice]) {
    for ban in bans {
      let user = ban.user.map { ", user \(Self.quoted($0))" } ?? ""
      let seconds = (ban.length.nanoseconds + 999_999_999) / 1_000_000_000
      errors.notice("lockout: banned \(ban.client.networkText) for \(seconds) s after \(ban.failures) failures\(user)")
      if ban.user == nil && ban.client.isLoopback {
        errors.warning("lockout: \(ban.client.text) is this machine: if a proxy comes from there, name it in `trusted_proxies`")
      }
    }
  }

  private static func quoted(_ name: [UInt8]) -> String {
    var text = "\""
    for character in String(decoding: name, as: UTF8.self).unicodeScalars {
      if character == "\"" || character == "\\" { text += "\\" }
      text.unicodeScalars.append(character)
    }
    return text + "\""
  }
}
