// Who meets a requirement: the traps of `not`, who passes without credentials, and that nothing opens by accident.

import Crypto
import Primitives
import Testing

@testable import Auth

private typealias Rule = Requirement.Rule

@Suite struct RequirementTests {
  private static let office = ClientAddress.ipv4(0x0A01_0203)
  private static let elsewhere = ClientAddress.ipv4(0xC000_0201)
  private static let inOffice = Rule.term(.from([AddressRange(.ipv4(0x0A00_0000), prefix: 96 + 8)]))
  private static let notInOffice = Rule.term(.from([AddressRange(.ipv4(0x0A00_0000), prefix: 96 + 8)]), isNegated: true)
  private static let guests = Rule.term(.groups([bytes("guests")]))
  private static let notGuests = Rule.term(.groups([bytes("guests")]), isNegated: true)
  private static let alice = Rule.term(.users([bytes("alice")]))
  private static let notAlice = Rule.term(.users([bytes("alice")]), isNegated: true)

  private func requirement(_ rules: Rule...) throws -> Requirement { try #require(Requirement(oneOf: rules)) }

  private func house(from client: ClientAddress = elsewhere) throws -> House {
    var house = try House(["alice:\(Stored.sha1):groups=staff", "gus:\(Stored.sha1):groups=guests staff", "bob:\(Stored.sha1)"])
    house.client = client
    return house
  }

  private static func token(_ words: [String], _ user: User) -> Credential {
    let now = Timestamp(seconds: 1)
    return .token(
      VerifiedToken(
        kind: .foreign, user: user, identifier: [], issued: now, expires: now, firstLogin: now, scopeWords: words.map { bytes($0) }))
  }

  // MARK: Without credentials

  /// No rule but `nobody` lets in who has no credentials, whatever it says, negated or not, alone or in blocks.
  @Test func noRuleIsPublicUnlessNobodyIsWritten() throws {
    let terms: [Requirement.Term] = [
      .validUser, .users([bytes("alice")]), .groups([bytes("guests")]), .from([AddressRange(.ipv4(0x0A00_0000), prefix: 104)]),
      .from([]), .scope([bytes("read")]),
    ]
    var rules: [Rule] = []
    for term in terms { rules += [.term(term), .term(term, isNegated: true)] }
    rules += [.all(rules), .any(rules), .all([]), .any([]), .any([.all([Self.notGuests, Self.notInOffice])])]
    for rule in rules {
      let requirement = try requirement(rule)
      for client in [Self.office, Self.elsewhere, .unix] {
        #expect(!requirement.permitsNobody(from: client), "\(requirement.text)")
        #expect(try house(from: client).ask(nil, requirement).outcome == .challenged(.noCredentials), "\(requirement.text)")
      }
    }
    #expect(!(try requirement(.term(.nobody, isNegated: true)).permitsNobody(from: Self.office)))
  }

  @Test func nobodyFromANetworkIsPublicThereAlone() throws {
    let requirement = try requirement(.all([.term(.nobody), Self.inOffice]))
    #expect(try house(from: Self.office).ask(nil, requirement).outcome == .granted(nil))
    #expect(try house(from: Self.elsewhere).ask(nil, requirement).outcome == .challenged(.noCredentials))
    #expect(try house(from: .unix).ask(nil, requirement).outcome == .challenged(.noCredentials))
    // Nothing depends on who it is: credentials are not looked at there, right or wrong; elsewhere they are, and are of no use.
    #expect(try house(from: Self.office).ask("alice", "wrong", requirement).outcome == .granted(nil))
    #expect(try house(from: Self.elsewhere).ask("alice", "wrong", requirement).outcome == .challenged(.wrongPassword))
    #expect(try house(from: Self.elsewhere).ask("alice", "secret", requirement).outcome == .denied(.notPermitted))
  }

  @Test func publicInTheOfficeAndForUsersElsewhere() throws {
    let requirement = try requirement(.all([.term(.nobody), Self.inOffice]), Self.alice)
    #expect(try house(from: Self.office).ask(nil, requirement).outcome == .granted(nil))
    #expect(try house(from: Self.elsewhere).ask(nil, requirement).outcome == .challenged(.noCredentials))
    #expect(try house(from: Self.elsewhere).ask("alice", "secret", requirement).outcome == .granted("alice"))
    #expect(try house(from: Self.elsewhere).ask("bob", "secret", requirement).outcome == .denied(.notPermitted))
    // Who says who he is is taken at his word, and has to prove it.
    #expect(try house(from: Self.office).ask("alice", "secret", requirement).outcome == .granted("alice"))
    #expect(try house(from: Self.office).ask("bob", "secret", requirement).outcome == .granted("bob"))
    #expect(try house(from: Self.office).ask("alice", "wrong", requirement).outcome == .challenged(.wrongPassword))
  }

  @Test func nobodyWithATermAboutUsersAsksForAUser() throws {
    for rule in [Self.alice, Self.notAlice, Self.notGuests, .term(.validUser)] {
      let requirement = try requirement(.all([.term(.nobody), rule]))
      #expect(try house(from: Self.office).ask(nil, requirement).outcome == .challenged(.noCredentials))
    }
  }

  @Test func nobodyInsideBlocksCountsWhereItIsReached() throws {
    let requirement = try requirement(.all([.any([.term(.nobody), Self.alice]), Self.inOffice]))
    #expect(try house(from: Self.office).ask(nil, requirement).outcome == .granted(nil))
    #expect(try house(from: Self.elsewhere).ask(nil, requirement).outcome == .challenged(.noCredentials))
    // The alternative that holds is the network, which lets in users only.
    let other = try self.requirement(.any([.all([.term(.nobody), Self.notInOffice]), Self.inOffice]))
    #expect(try house(from: Self.office).ask(nil, other).outcome == .challenged(.noCredentials))
    #expect(try house(from: Self.elsewhere).ask(nil, other).outcome == .granted(nil))
  }

  // MARK: With credentials

  @Test func notStillAsksForAUser() throws {
    let requirement = try requirement(Self.notGuests)
    let house = try house()
    #expect(house.ask(nil, requirement).outcome == .challenged(.noCredentials))
    #expect(house.ask("alice", "secret", requirement).outcome == .granted("alice"))
    #expect(house.ask("gus", "secret", requirement).outcome == .denied(.notPermitted))
    #expect(house.ask("gus", "wrong", requirement).outcome == .challenged(.wrongPassword))
    #expect(house.ask("nemo", "secret", requirement).outcome == .challenged(.unknownUser))
  }

  @Test func severalLinesAreAlternativesAndABlockIsAll() throws {
    let house = try house()
    let any = try requirement(Self.alice, Self.guests)
    let all = try requirement(.all([Self.alice, Self.guests]))
    #expect(house.ask("alice", "secret", any).outcome == .granted("alice"))
    #expect(house.ask("gus", "secret", any).outcome == .granted("gus"))
    #expect(house.ask("bob", "secret", any).outcome == .denied(.notPermitted))
    for name in ["alice", "gus", "bob"] { #expect(house.ask(name, "secret", all).outcome == .denied(.notPermitted)) }
    // Of two negated lines each lets in what the other keeps out: that is what "one is enough" means.
    #expect(house.ask("gus", "secret", try requirement(Self.notAlice, Self.notGuests)).outcome == .granted("gus"))
    #expect(house.ask("gus", "secret", try requirement(.all([Self.notAlice, Self.notGuests]))).outcome == .denied(.notPermitted))
  }

  @Test func networksAreThoseOfTheClient() throws {
    let requirement = try requirement(.all([Self.inOffice, Self.notGuests]))
    #expect(try house(from: Self.office).ask("alice", "secret", requirement).outcome == .granted("alice"))
    #expect(try house(from: Self.elsewhere).ask("alice", "secret", requirement).outcome == .denied(.notPermitted))
    #expect(try house(from: .unix).ask("alice", "secret", requirement).outcome == .denied(.notPermitted))
    #expect(try house(from: Self.office).ask("gus", "secret", requirement).outcome == .denied(.notPermitted))
    let mapped = ClientAddress.ipv6(high: 0, low: 0xFFFF_0A00_0001)
    #expect(try house(from: mapped).ask("alice", "secret", requirement).outcome == .granted("alice"))
  }

  @Test func scopesAreThoseOfTokens() throws {
    let requirement = try requirement(.term(.scope([bytes("read"), bytes("write")])))
    let house = try house()
    let name = bytes("alice")
    let found = house.gatekeeper.users.user(named: name.span)
    let alice = try #require(found)
    #expect(house.ask("alice", "secret", requirement).outcome == .denied(.notPermitted))
    #expect(requirement.permits(alice, by: Self.token(["x", "write"], alice), from: .unix))
    for words in [[], ["x"], ["Read"], ["read write"], ["rea"]] {
      #expect(!requirement.permits(alice, by: Self.token(words, alice), from: .unix), "\(words)")
    }
    let key = APIKey(name: bytes("read"), digest: SHA256.hash(bytes("x").span), expires: nil, lastFour: nil)
    #expect(!requirement.permits(alice, by: .apiKey(key), from: .unix))
  }

  @Test func namesAreComparedByteByByte() throws {
    // Two spellings of é.
    let house = try House(["caf\u{E9}:\(Stored.sha1)", "cafe\u{301}:\(Stored.sha1)"])
    let requirement = Requirement.anyOf(users: ["caf\u{E9}"])
    #expect(house.ask("caf\u{E9}", "secret", requirement).outcome == .granted("caf\u{E9}"))
    #expect(house.ask("cafe\u{301}", "secret", requirement).outcome == .denied(.notPermitted))
  }

  // MARK: Form

  @Test func sizeAndDepthAreBounded() {
    var deep = Self.alice
    for _ in 0..<Requirement.deepest { deep = .all([deep]) }
    #expect(Requirement(oneOf: [deep]) != nil)
    #expect(Requirement(oneOf: [.all([deep])]) == nil)
    #expect(Requirement(oneOf: [.any(Array(repeating: Self.alice, count: Requirement.mostNodes - 1))]) != nil)
    #expect(Requirement(oneOf: [.any(Array(repeating: Self.alice, count: Requirement.mostNodes))]) == nil)
  }

  @Test func whereItIsWrittenMakesNoDifference() throws {
    let a = try requirement(.term(.validUser, .init(place: "a:1", text: "valid-user")))
    #expect(a == .validUser)
    #expect(try requirement(.all([Self.alice, Self.guests])) != requirement(.any([Self.alice, Self.guests])))
    #expect(try requirement(.all([.all([Self.alice]), Self.guests])) != requirement(.all([.all([Self.alice, Self.guests])])))
  }

  // MARK: In advance

  private func rehearse(_ house: House, _ name: String?, _ requirement: Requirement) -> String {
    let found = house.gatekeeper.rehearse(
      name.map { bytes($0) }, scopeWords: nil, method: bytes("GET").span, path: bytes("/").span, requirement,
      RequestContext(client: house.client, now: house.now, instant: house.instant))
    let words = found.sources.map(\.place).joined(separator: " ")
    return (found.refusal.map { "\($0.reason)" } ?? "granted") + (words.isEmpty ? "" : " " + words)
  }

  @Test func theDecidingLineIsNamed() throws {
    func line(_ number: Int, _ rule: Rule) -> Rule {
      let source = Requirement.Source(place: "\(number)", text: "")
      switch rule {
      case .term(let term, let isNegated, _): return .term(term, isNegated: isNegated, source)
      case .all(let rules, _): return .all(rules, source)
      case .any(let rules, _): return .any(rules, source)
      }
    }
    let requirement = try requirement(
      line(1, Self.alice), line(2, .all([line(3, Self.inOffice), line(4, .any([line(5, Self.guests), line(6, .term(.nobody))]))])))
    #expect(rehearse(try house(), "alice", requirement) == "granted 1")
    #expect(rehearse(try house(from: Self.office), "bob", requirement) == "granted 2")
    #expect(rehearse(try house(), "bob", requirement) == "notPermitted 1 3")
    #expect(rehearse(try house(), nil, requirement) == "noCredentials 1 3")
    #expect(rehearse(try house(from: Self.office), nil, requirement) == "granted 2")
    #expect(rehearse(try house(), "nemo", requirement) == "unknownUser")
  }

  /// What is said in advance is what is decided.
  @Test func theRehearsalDecidesAsTheDecisionDoes() throws {
    let rules = [
      Self.alice, Self.notAlice, Self.guests, Self.notGuests, Self.inOffice, Self.notInOffice, .term(.nobody), .term(.validUser),
      .term(.scope([bytes("x")])), .term(.scope([bytes("x")]), isNegated: true),
    ]
    for a in rules {
      for b in rules {
        for requirement in [try requirement(a, b), try requirement(.all([a, b])), try requirement(.all([.any([a, b]), a]))] {
          for client in [Self.office, Self.elsewhere] {
            let house = try house(from: client)
            for name in [nil, "alice", "gus", "nemo"] {
              let decided = name.map { house.ask($0, "secret", requirement) } ?? house.ask(nil, requirement)
              let rehearsed = rehearse(house, name, requirement).split(separator: " ")[0]
              switch decided.outcome {
              case .granted: #expect(rehearsed == "granted", "\(requirement.text)")
              case .challenged(let reason), .denied(let reason): #expect(rehearsed == "\(reason)", "\(requirement.text)")
              default: Issue.record("\(decided)")
              }
            }
          }
        }
      }
    }
  }
}
