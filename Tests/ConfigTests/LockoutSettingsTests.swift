// What `lockout` and `admin` come to.

import Auth
import Primitives
import Proxy
import Testing

@testable import Config

@Suite struct LockoutSettingsTests {
  private func settings(_ line: String) throws -> Settings {
    let text = try #require(Minimal.text(adding: line, in: .top))
    return try #require(Configuration.load(text: text, name: "/etc/t.conf", environment: { _ in nil }).settings)
  }

  @Test func whoSaysNothingIsProtected() throws {
    #expect(try settings("").lockout == LockoutOptions(failures: 10, within: .seconds(60), ban: .seconds(600)))
    #expect(try settings("lockout { }").lockout == LockoutOptions())
    #expect(try settings("lockout off").lockout == nil)
  }

  @Test func theBlockSaysHowOftenAndHowLong() throws {
    let lockout = try #require(try settings("lockout { failures 3; within 2m; ban 1h; exempt 10.0.0.0/8 ::1; exempt unix: }").lockout)
    #expect(lockout.failures == 3 && lockout.within == .seconds(120) && lockout.ban == .seconds(3600))
    func isExempt(_ client: ClientAddress) -> Bool { lockout.exempt.contains { $0.contains(client) } }
    #expect(isExempt(.ipv4(0x0AFF_0000)) && isExempt(.unix) && isExempt(.ipv6(high: 0, low: 1)))
    #expect(!isExempt(.ipv4(0x0B00_0000)) && !isExempt(.ipv6(high: 0, low: 2)))
  }

  @Test func theAdminSocketIsWhereItIsSaidToBe() throws {
    #expect(try settings("").admin == .standard)
    #expect(try settings("admin off").admin == .off)
    #expect(try settings("admin unix:/run/x/a.sock").admin == .unix(path: "/run/x/a.sock"))
    // Relative paths start at the file's folder.
    #expect(try settings("admin unix:a.sock").admin == .unix(path: "/etc/a.sock"))
    // What asks the server needs no more of its configuration.
    let broken = Configuration.load(text: "admin unix:/run/x/a.sock\nnonsense\n", name: "/etc/t.conf", environment: { _ in nil })
    #expect(broken.settings == nil && broken.admin == .unix(path: "/run/x/a.sock"))
  }
}
