// API keys as text: tokens with their checksum, entries with their restrictions, and how edits replace them.

import Foundation
import Primitives
import Testing

@testable import Auth

@Suite struct APIKeyTests {
  private func entry(_ text: String) -> APIKey? { try? APIKey(entry: bytes(text).span) }
  private func form(_ text: [UInt8]) -> APIKey.Form { APIKey.form(of: text.span) }
  private func form(_ text: String) -> APIKey.Form { form(bytes(text)) }
  private let digest = String(repeating: "5d", count: 32)

  // MARK: Tokens

  @Test func aTokenHasTheFormThatScannersLookFor() throws {
    let pattern = try NSRegularExpression(pattern: "^ghk_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$")
    for _ in 0..<50 {
      let text = Token("ci").text
      #expect(pattern.numberOfMatches(in: text, range: NSRange(location: 0, length: text.utf16.count)) == 1)
      #expect(form(text) == .sound)
    }
  }

  @Test func theChecksumIsTheOneThatOthersCompute() {
    // zlib.crc32(b"123456789") is 0xCBF43926.
    for (text, checksum) in [("123456789", "3jZRME"), ("", "000000")] {
      let made = APIKey.checksum(bytes(text).span)
      #expect(made == bytes(checksum))
    }
  }

  @Test func everySlipOfTheHandIsFound() {
    let token = bytes(Token("ci").text)
    for i in token.indices {
      var other = token
      other[i] = other[i] == 0x78 ? 0x79 : 0x78
      #expect(form(other) == (i < 4 ? .other : .mistyped), "letter \(i)")
      var shorter = token
      shorter.remove(at: i)
      #expect(form(shorter) != .sound, "without letter \(i)")
      if i > 4, token[i] != token[i - 1] {
        var swapped = token
        swapped.swapAt(i, i - 1)
        #expect(form(swapped) == .mistyped, "letters \(i - 1) and \(i) the other way round")
      }
    }
    #expect(form(token + [0x78]) == .mistyped)
    #expect(form("ghk_") == .mistyped)
    #expect(form("ghp_" + String(repeating: "x", count: 49)) == .other)
  }

  @Test func aTokenOfBeforeTheChecksumMayHaveBeenIssued() {
    #expect(form("ghk_" + String(repeating: "A", count: 43)) == .sound)
    #expect(form("ghk_" + String(repeating: "A", count: 42) + "+") == .mistyped)
  }

  // MARK: Entries

  @Test(arguments: [
    "", "/x7Qa", "/x7Qa/scope=GET%3A%2Freports%2F", "/from=10.0.0.0%2F8%202001%3Adb8%3A%3A%2F32", "/scope=%2Fa/from=unix%3A",
  ])
  func whatIsReadIsWrittenAgain(_ rest: String) throws {
    let text = "ci/\(digest)/2027-01-31\(rest)"
    let key = try APIKey(entry: bytes(text).span)
    #expect(String(decoding: key.entry, as: UTF8.self) == text)
  }

  @Test func restrictionsAreRead() throws {
    let key = try #require(entry("ci/\(digest)/never/x7Qa/scope=GET%2CHEAD:%2Freports%2F%20%2ffiles/from=192.0.2.0%2f24"))
    #expect(key.scope == (try TokenScope(items: [bytes("GET,HEAD /reports/"), bytes("/files")])))
    #expect(key.isUsable(from: .ipv4(0xC000_0207)) && !key.isUsable(from: .ipv4(0xC000_0307)) && !key.isUsable(from: .unix))
  }

  @Test(arguments: [
    "/x7Qa/", "/x7Qa//", "/x7Qa/scope", "/x7Qa/scope=", "/x7Qa/from=", "/x7Qa/scope=GET", "/x7Qa/scope=%2Fa/scope=%2Fa",
    "/x7Qa/from=10.0.0.0",
    "/x7Qa/from=10.0.0.0%2F8/from=10.0.0.0%2F8", "/x7Qa/from=10.1.0.0%2F8", "/x7Qa/from=10.0.0.0%2F8%20", "/x7Qa/from=everywhere",
    "/x7Qa/scope=%2", "/x7Qa/scope=%zz", "/x7Qa/scope=%2Fa%00", "/x7Qa/scope=%2Fa%2F..%2Fb", "/x7Qa/SCOPE=%2Fa", "/x7Qa/only=%2Fa",
    "/x7Qa/=",
    "/x7Qa/y7Qa", "/only=1", "//scope=%2Fa", "/x7Q/scope=%2Fa",
  ])
  func aRestrictionThatIsNotUnderstoodIsNeverTakenForNone(_ rest: String) throws {
    guard rest != "/x7Qa/from=10.0.0.0" else {
      // One address, which is a network too.
      #expect(entry("ci/\(digest)/never\(rest)")?.networks.count == 1)
      return
    }
    #expect(entry("ci/\(digest)/never\(rest)") == nil)
    let house = try House(["alice:\(Stored.sha1):keys=ci/\(digest)/never\(rest) ok/\(digest.replacing("5d", with: "6e"))/never"])
    let alice = house.gatekeeper.users.users[0]
    #expect(alice.keys.map(\.name) == [bytes("ok")], "the others are not in doubt")
    #expect(house.gatekeeper.users.problems.map(\.isWarning) == [false])
    #expect(house.gatekeeper.users.problems[0].reason.contains("key 1 can't be used"))
  }

  @Test func tooManyNetworksAreRefused() {
    let networks = (0...APIKey.mostNetworks).map { "10.0.\($0).0%2F24" }
    #expect(entry("ci/\(digest)/never/from=\(networks.dropLast().joined(separator: "%20"))") != nil)
    #expect(entry("ci/\(digest)/never/from=\(networks.joined(separator: "%20"))") == nil)
  }

  // MARK: Replacing

  private let now = Timestamp(microseconds: 1_800_000_000_500_000)

  private func replace(
    _ keys: String, expires: UserFileText.NewExpiry = .asBefore, overlap: Interval = .seconds(3600)
  ) throws -> (table: UserTable, replacement: UserFileText.Replacement, issued: APIKey) {
    var text = try UserFileText(bytes("alice:\(Stored.sha1):groups=a,keys=\(keys),note=1\n"))
    let issued = APIKey.issue(name: bytes("ci"), expires: nil).key
    let replacement = try text.replaceKey(bytes("ci"), of: bytes("alice"), by: issued, expires: expires, overlap: overlap, now: now)
    #expect(
      String(decoding: text.bytes, as: UTF8.self).contains("groups=a,keys=")
        && String(decoding: text.bytes, as: UTF8.self).contains(",note=1"))
    return (try UserTable(parsing: text.bytes), replacement, issued)
  }

  @Test func aReplacedKeyKeepsItsRestrictionsAndTheOldOneEnds() throws {
    let other = "other/\(digest.replacing("5d", with: "6e"))/never/what-it-may-mean=1"
    let (table, replacement, issued) = try replace("\(other) ci/\(digest)/2027-06-30/x7Qa/scope=%2Fa/from=10.0.0.0%2F8")
    let keys = table.users[0].keys
    #expect(keys.map { String(decoding: $0.name, as: UTF8.self) } == ["ci", "ci.old"])
    #expect(keys[0].digest == issued.digest && keys[0].lastFour == issued.lastFour && keys[0].expires == Timestamp(seconds: 1_814_313_600))
    #expect(keys[1].digest != issued.digest && keys[1].lastFour == bytes("x7Qa") && keys[1].expires == Timestamp(seconds: 1_800_003_600))
    for key in keys {
      #expect(key.scope == keys[0].scope && !key.scope.isUnlimited && key.networks == keys[0].networks && key.networks.count == 1)
    }
    #expect(replacement == .init(key: keys[0], old: keys[1]))
    // What we can't read is not ours to lose.
    #expect(table.problems.map(\.isWarning) == [false, true], "the key, and an attribute")
  }

  @Test func theOldOneNeverLivesLongerThanItWouldHave() throws {
    let soon = "2027-01-15T08:10:00Z"
    let (table, _, _) = try replace("ci/\(digest)/\(soon)", expires: .never)
    #expect(table.users[0].keys.map(\.expires) == [nil, Timestamp(seconds: 1_800_000_600)])
    // 500 ms are left: whole seconds are what the file has.
    #expect(try replace("ci/\(digest)/never", overlap: .milliseconds(900)).table.users[0].keys.count == 1)
    #expect(try replace("ci/\(digest)/never", overlap: .seconds(0)).replacement.old == nil)
  }

  @Test func anExpiredKeyIsReplacedOnlyByOneWithADate() throws {
    #expect(throws: UserEditFailure.self) { try replace("ci/\(digest)/2020-01-01") }
    let (table, replacement, _) = try replace("ci/\(digest)/2020-01-01", expires: .at(Timestamp(seconds: 1_900_000_000)))
    #expect(replacement.old == nil && table.users[0].keys.map(\.expires) == [Timestamp(seconds: 1_900_000_000)])
  }

  @Test func aKeyThatCannotBeReadIsNotReplaced() throws {
    for keys in ["ci/\(digest)/never/only=1", "ci/\(digest)/never ci/\(digest)/never", "other/\(digest)/never"] {
      #expect(throws: UserEditFailure.self) { try replace(keys) }
    }
  }

  @Test func oldNamesAreUsedAgainOnceTheirKeysHaveExpired() throws {
    let second = digest.replacing("5d", with: "6e")
    let (live, _, _) = try replace("ci/\(digest)/never ci.old/\(second)/2027-06-30")
    #expect(live.users[0].keys.map { String(decoding: $0.name, as: UTF8.self) } == ["ci", "ci.old", "ci.old2"])
    let (dead, _, _) = try replace("ci/\(digest)/never ci.old/\(second)/2020-01-01")
    #expect(dead.users[0].keys.map { String(decoding: $0.name, as: UTF8.self) } == ["ci", "ci.old"])
  }
}
