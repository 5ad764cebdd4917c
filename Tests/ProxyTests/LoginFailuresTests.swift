// Failed logins and bans in the error log: the lines that fail2ban reads, and what a client can't do to them.

import Auth
import Glibc
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct LoginFailuresTests {
  /// What `body` has written.
  private func lines(_ body: (LoginFailures) throws -> Void) throws -> [String] {
    var ends: [Int32] = [-1, -1]
    try #require(unsafe pipe(&ends) == 0)
    try body(LoginFailures(ErrorLog(level: .notice, descriptor: ends[1], hasPriorityPrefix: false)))
    close(ends[1])
    var all: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe read(ends[0], &part, part.count)
      if count <= 0 { break }
      all += part[..<count]
    }
    close(ends[0])
    return String(decoding: all, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  private let client = ClientAddress.ipv4(0xCB00_7107)
  private let now = Instant(nanoseconds: 1_000_000_000_000)

  @Test func aFailedLoginIsOneLine() throws {
    let found = try lines { failures in
      failures.failed(Refusal(.wrongPassword, user: bytes("alice")), from: client, at: now)
      failures.failed(Refusal(.unknownUser), from: .ipv6(high: 0x2001_0DB8_0000_0000, low: 7), at: now)
    }
    #expect(
      found == [
        "gatehouse: auth failure from 203.0.113.7 user \"alice\": wrong password",
        "gatehouse: auth failure from 2001:db8::7 user \"\": unknown user",
      ])
  }

  @Test func aNameCannotPassForAnAddress() throws {
    let name = "x\": wrong password\ngatehouse: auth failure from 198.51.100.1 user \"y"
    let found = try lines { $0.failed(Refusal(.unknownUser, user: bytes(name)), from: client, at: now) }
    #expect(found.count == 1 && found[0].hasPrefix("gatehouse: auth failure from 203.0.113.7 user \"x\\\": wrong password?gatehouse"))
  }

  @Test func aBanIsOneLine() throws {
    let lockout = Lockout(LockoutOptions(failures: 2, ban: .seconds(90)), start: now)
    let found = try lines { failures in
      let gatekeeper = Gatekeeper(
        users: try UserTable(parsing: bytes(People.file)), cache: VerifiedCache(entries: 0), lockout: lockout)
      for client in [client, .ipv6(high: 0x2001_0DB8_0000_0000, low: 7)] {
        for _ in 0..<2 {
          var scratch = Secret()
          let decision = gatekeeper.decide(
            authorization: bytes(People.basic("bob", "guess")).span, count: 1, method: bytes("GET").span, path: bytes("/").span, .validUser,
            RequestContext(client: client, now: Timestamp(seconds: 0), instant: now), scratch: &scratch)
          if case .challenge(let refusal) = consume decision { failures.banned(refusal.bans) }
        }
      }
    }
    #expect(
      found == [
        "gatehouse: lockout: banned 203.0.113.7 for 90 s after 2 failures, user \"bob\"",
        "gatehouse: lockout: banned 203.0.113.7 for 90 s after 2 failures",
        "gatehouse: lockout: banned 2001:db8::/64 for 90 s after 2 failures, user \"bob\"",
        "gatehouse: lockout: banned 2001:db8::/64 for 90 s after 2 failures",
      ])
  }

  @Test func aFloodOfGuessesIsNoFloodOfLines() throws {
    let found = try lines { failures in
      for _ in 0..<1000 { failures.failed(Refusal(.wrongPassword), from: client, at: now) }
      failures.failed(Refusal(.wrongPassword), from: client, at: now.advanced(by: .milliseconds(50)))
      for _ in 0..<1000 { failures.failed(Refusal(.wrongPassword), from: client, at: now.advanced(by: .seconds(3600))) }
    }
    #expect(found.count == 100 + 2 + 100, "\(found.count)")
    #expect(found[100] == "gatehouse: 900 auth failures were not logged: too many at once")
  }
}
