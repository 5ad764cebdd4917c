// Who is shut out, for how long, and who is not: attacks on the lockout, and by means of it.

import HTTP
import Primitives
import Testing

@testable import Auth

@Suite struct LockoutAttacks {
  private static let here = ClientAddress.ipv4(0xCB00_7107)
  private static let elsewhere = ClientAddress.ipv4(0xCB00_7108)

  /// alice's hash is costly, bob's is cheap; mallory is locked. All have `secret`.
  private static let lines = [
    "alice:\(Stored.bcrypt)", "bob:\(Stored.sha1)", "carol:\(Stored.bcrypt)", "mallory:\(Stored.bcrypt):locked", "trent:*",
  ]

  private func house(_ lines: [String] = lines, _ options: LockoutOptions = LockoutOptions()) throws -> House {
    var house = try House(lines, lockout: Lockout(options, start: Instant(nanoseconds: 0)))
    house.client = Self.here
    return house
  }

  private func guess(_ house: House, _ name: String, _ count: Int = 10) {
    for i in 0..<count { #expect(house.ask(name, "guess \(i)").outcome != .lockedOut, "\(i)") }
  }

  @Test(arguments: ["alice", "bob", "mallory", "nobody"])
  func theEleventhGuessIsNotLookedAt(name: String) throws {
    var house = try house()
    guess(house, name)
    for password in ["guess 11", "secret"] {
      let result = house.ask(name, password)
      #expect(result.outcome == .lockedOut && result.work.isEmpty && !result.wasPending)
    }
    // Another name and another password: it is the address.
    #expect(house.ask("bob", "secret").outcome == .lockedOut)
    house.client = Self.elsewhere
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    #expect(house.ask("bob", "secret").outcome == .granted("bob"))
    // At its end it is as it was.
    house.client = Self.here
    house.instant = house.instant.advanced(by: .seconds(599))
    #expect(house.ask("bob", "secret").outcome == .lockedOut)
    house.instant = house.instant.advanced(by: .seconds(1))
    #expect(house.ask("bob", "secret").outcome == .granted("bob"))
  }

  @Test func nobodyLocksAUserOutFromElsewhere() throws {
    var house = try house()
    for network in UInt64(0)..<200 {
      house.client = .ipv6(high: 0x2001_0DB8_0000_0000 + network, low: 1)
      guess(house, "alice", 9)
    }
    for network in UInt32(0)..<20 {
      house.client = .ipv4(0x0A00_0000 + network)
      guess(house, "alice", 10)
      #expect(house.ask("alice", "secret").outcome == .lockedOut)
    }
    house.client = Self.here
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
  }

  @Test func aNetworkOf64BitsIsOneAddress() throws {
    var house = try house()
    for i in UInt64(0)..<10 {
      house.client = .ipv6(high: 0x2001_0DB8_0000_0001, low: i << 40)
      #expect(house.ask("name \(i)", "guess").outcome == .challenged(.unknownUser))
    }
    house.client = .ipv6(high: 0x2001_0DB8_0000_0001, low: 99)
    #expect(house.ask("bob", "secret").outcome == .lockedOut)
    house.client = .ipv6(high: 0x2001_0DB8_0000_0002, low: 99)
    #expect(house.ask("bob", "secret").outcome == .granted("bob"))
  }

  @Test func aGuesserDoesNotShutOutHisNeighbours() throws {
    var house = try house()
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    #expect(house.ask("bob", "secret").outcome == .granted("bob"))
    guess(house, "carol")
    // Neither the cache nor its absence matters.
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    house.cache.removeAll()
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    #expect(house.ask("bob", "secret").outcome == .granted("bob"))
    // Who did not log in from there has to wait, whatever he knows.
    #expect(house.ask("carol", "secret").outcome == .lockedOut)
    // A neighbour of yesterday too.
    house.instant = house.instant.advanced(by: .seconds(26 * 3600))
    guess(house, "carol")
    #expect(house.ask("bob", "secret").outcome == .lockedOut)
  }

  @Test func theCacheIsNoOracleForWhoIsBanned() throws {
    var house = try house()
    house.client = Self.elsewhere
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    house.client = Self.here
    guess(house, "nobody")
    #expect(house.ask("alice", "secret").outcome == .lockedOut, "it is in the cache, and was never used from here")
    // Guessing at a neighbour's password is limited as before, and costs no hash.
    var shared = try self.house()
    #expect(shared.ask("alice", "secret").outcome == .granted("alice"))
    guess(shared, "nobody")
    for i in 0..<10 {
      let result = shared.ask("alice", "guess \(i)")
      #expect(result.outcome == .lockedOut && result.work.isEmpty)
    }
    #expect(shared.ask("alice", "secret").outcome == .lockedOut, "the pair is banned by now")
    shared.client = Self.elsewhere
    #expect(shared.ask("alice", "secret").outcome == .granted("alice"))
  }

  @Test func aBanDoesNotTellWhoExists() throws {
    for cached in [true, false] {
      var seen: Set<[String]> = []
      for name in ["alice", "bob", "mallory", "trent", "nobody"] {
        var house = try house()
        // One neighbour is known, and it makes no difference to him who is not.
        if cached { #expect(house.ask("carol", "secret").outcome == .granted("carol")) }
        var answers: [String] = []
        for i in 0..<30 {
          house.instant = house.instant.advanced(by: .milliseconds(100))
          let before = house.lockout?.bans(at: house.instant).map(\.remaining) ?? []
          let result = house.ask(name, "guess \(i)")
          answers.append("\(result.outcome == .lockedOut) \(result.work.values.reduce(0, +) > 0 && result.outcome == .lockedOut) \(before)")
        }
        seen.insert(answers)
      }
      #expect(seen.count == 1, "\(seen)")
    }
  }

  @Test func anAddressIsNotExcusedByALogin() throws {
    let house = try house()
    for i in 0..<10 {
      #expect(house.ask("alice", "guess \(i)").outcome == .challenged(.wrongPassword))
      #expect(house.ask("bob", "secret").outcome == .granted("bob"), "a guesser's own account")
    }
    #expect(house.ask("alice", "guess").outcome == .lockedOut)
    #expect(house.ask("carol", "secret").outcome == .lockedOut)
  }

  @Test func aLoginExcusesItsOwnMistakes() throws {
    var house = try house()
    for round in 0..<10 {
      guess(house, "alice", 9)
      #expect(house.ask("alice", "secret").outcome == .granted("alice"), "\(round)")
      // The address's failures before the first login count on; let them pass.
      house.instant = house.instant.advanced(by: .seconds(round == 0 ? 60 : 1))
    }
    guess(house, "alice", 10)
    #expect(house.ask("alice", "secret").outcome == .lockedOut)
    // Her failures were hers alone: others are not shut out by them.
    #expect(house.ask("carol", "secret").outcome == .granted("carol"))
  }

  @Test func tokensWorkOnWhileTheirAddressIsBanned() throws {
    let token = Token("ci")
    var house = try house(Self.lines + ["dave:*:keys=\(token.entry)"])
    guess(house, "nobody")
    #expect(house.ask(bytes("Bearer \(token.text)")).outcome == .granted("dave"))
    #expect(house.ask(token.text, "x").outcome == .granted("dave"))
    #expect(house.ask("dave", token.text).outcome == .granted("dave"))
    let other = Token("other").text
    #expect(house.ask(bytes("Bearer \(other)")).outcome == .lockedOut)
    #expect(house.ask(other, "x").outcome == .lockedOut)
    #expect(house.ask("dave", other).outcome == .lockedOut)
    house.client = Self.elsewhere
    for _ in 0..<10 { #expect(house.ask(bytes("Bearer \(other)")).outcome == .challenged(.unknownToken)) }
    #expect(house.ask("bob", "secret").outcome == .lockedOut, "guessing at tokens is guessing")
  }

  @Test func whatIsNoGuessDoesNotCount() throws {
    let expired = Token("old", expires: "2020-01-01")
    let house = try house(Self.lines + ["dave:*:keys=\(expired.entry)"])
    for _ in 0..<30 {
      #expect(house.ask(nil).outcome == .challenged(.noCredentials))
      #expect(house.ask(bytes("Basic !!!")).outcome == .challenged(.malformed))
      #expect(house.ask(bytes("Digest x")).outcome == .challenged(.unknownScheme))
      #expect(house.ask(bytes("Bearer \(expired.text)")).outcome == .challenged(.expiredToken))
      #expect(house.ask("bob", "secret", .anyOf(users: [bytes("alice")], groups: [])).outcome == .denied(.notPermitted))
    }
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
  }

  @Test func aLinkOfAnotherPageBansNobodyWhoFollowsIt() throws {
    let lockout = Lockout(LockoutOptions(), start: Instant(nanoseconds: 0))
    let scene = try TokenScene()
    let gatekeeper = Gatekeeper(users: scene.users, cache: scene.house.cache, tokens: scene.authority, lockout: lockout)
    let context = RequestContext(client: Self.here, now: scene.now, instant: scene.house.instant)
    // One that a page makes up, and one of a service that has a parameter of that name.
    let forged = TokenScene.forge(#"{"alg":"HS256","typ":"ticket+jwt","kid":"k1"}"#, "{}", TokenScene.otherSecret)
    for ticket in [forged, forged.replacing("a", with: "b"), "ST-1856339-aA5Yuvrxzpv8Tau1cYQ7", ""] {
      for _ in 0..<20 {
        var head = RequestHead()
        var parser = HeadParser(limits: HeadLimits())
        let text = bytes("GET /x?ticket=\(ticket) HTTP/1.1\r\nHost: a\r\n\r\n")
        try #require(parser.parse(text.span, into: &head) == .complete(consumed: text.count))
        var target = ByteBuffer()
        target.append("/x")
        var scratch = Secret()
        let result = House.read(gatekeeper.decide(head, target: target, pathLength: 2, .validUser, context, scratch: &scratch)).result
        guard case .challenged = result.outcome, let refusal = result.refusal, !refusal.isGuess else {
          Issue.record("\(ticket): \(result.outcome)")
          break
        }
      }
    }
    #expect(lockout.bans(at: scene.house.instant).isEmpty)
  }

  @Test func localClientsDoNotLockEachOtherOut() throws {
    var house = try house()
    house.client = .unix
    guess(house, "alice")
    #expect(house.ask("alice", "secret").outcome == .lockedOut)
    #expect(house.ask("bob", "secret").outcome == .granted("bob"))
    let nobodys = Token("x").text
    for _ in 0..<30 { #expect(house.ask(bytes("Bearer \(nobodys)")).outcome == .challenged(.unknownToken)) }
  }

  @Test func whoIsExemptIsNeitherCountedNorBanned() throws {
    var house = try house(Self.lines, LockoutOptions(exempt: [AddressRange(.ipv4(0x0A00_0000), prefix: 104)]))
    house.client = .ipv4(0x0A01_0203)
    guess(house, "alice", 100)
    #expect(house.ask("alice", "secret").outcome == .granted("alice"))
    house.client = .ipv4(0x0B01_0203)
    guess(house, "alice", 10)
    #expect(house.ask("alice", "secret").outcome == .lockedOut)
  }

  @Test func bansOutliveAReloadAndEndWhenLifted() throws {
    let house = try house()
    guess(house, "alice")
    let old = try #require(house.lockout)
    let fresh = Lockout(LockoutOptions(failures: 3), start: house.instant, continuing: old)
    var after = try House(Self.lines, lockout: fresh)
    after.client = Self.here
    #expect(after.ask("alice", "secret").outcome == .lockedOut)
    let bans = fresh.bans(at: after.instant)
    #expect(bans.map(\.user) == [nil, bytes("alice")] || bans.map(\.user) == [bytes("alice"), nil])
    #expect(bans.allSatisfy { $0.remaining == 600 && $0.count == 1 && $0.client == Self.here })
    #expect(fresh.lift(Self.elsewhere, at: after.instant) == 0)
    #expect(after.ask("alice", "secret").outcome == .lockedOut)
    #expect(fresh.lift(Self.here, at: after.instant) == 2)
    #expect(after.ask("alice", "secret").outcome == .granted("alice"))
    #expect(fresh.bans(at: after.instant).isEmpty)
    // The new limit, and the next ban is a first one.
    guess(after, "nobody", 3)
    #expect(fresh.bans(at: after.instant).contains { $0.remaining == 600 })
    #expect(fresh.lift(nil, at: after.instant) == 2)
  }

  @Test func theLogIsToldWhoWasBannedAndWhy() throws {
    let house = try house()
    guess(house, "bob", 9)
    let notices = house.ask("bob", "guess").refusal?.bans ?? []
    #expect(notices.map(\.user) == [bytes("bob"), nil])
    #expect(notices.allSatisfy { $0.client == Self.here && $0.length == .seconds(600) && $0.failures == 10 })
    #expect(house.ask("bob", "guess").refusal?.bans == [])
    // What may be a token is nobody's name.
    let other = try self.house(["bob:\(Stored.sha1)"])
    for _ in 0..<9 { _ = other.ask("my ghk_token", "guess") }
    #expect(other.ask("my ghk_token", "guess").refusal?.bans.first?.user == [])
  }

  @Test func aCheckUnderWayIsNotToldToWhoIsBannedMeanwhile() throws {
    var house = try house()
    let right = try #require(house.pending("alice", "secret"))
    let wrong = try #require(house.pending("alice", "wrong"))
    guess(house, "bob", 9)
    #expect(house.ask("nobody", "guess").outcome == .challenged(.unknownUser), "the tenth")
    for check in [right, wrong] {
      guard case .barred(let seconds) = check.attempt?.verdict(check, matched: check.run(), at: house.instant) else {
        Issue.record("it was told")
        continue
      }
      #expect(seconds == 600)
    }
    house.instant = house.instant.advanced(by: .seconds(600))
    guard case .matched? = right.attempt?.verdict(right, matched: true, at: house.instant) else {
      Issue.record("the ban is over")
      return
    }
  }
}
