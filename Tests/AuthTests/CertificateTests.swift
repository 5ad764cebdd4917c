// Certificates as credentials: whose they are, what they open, and what they must not.

import Crypto
import Primitives
import Testing

@testable import Auth

private typealias Rule = Requirement.Rule

@Suite struct CertificateTests {
  private static func certificate(
    _ subject: String = "CN=alice,O=Example", cn: [String] = ["alice"], emails: [String] = [], dns: [String] = [], uris: [String] = [],
    end: Int64 = 1_900_000_000
  ) -> PeerCertificate {
    PeerCertificate(
      subject: bytes(subject), commonNames: cn.map(bytes), emails: emails.map(bytes), dnsNames: dns.map(bytes), uris: uris.map(bytes),
      serial: bytes("01"), fingerprint: bytes(String(repeating: "0a", count: 32)), notBefore: Timestamp(seconds: 1_700_000_000),
      end: Timestamp(seconds: end), policy: [1])
  }

  private static func pattern(_ field: CertificatePattern.Field, _ text: String) throws -> CertificatePattern {
    try #require(CertificatePattern(field, bytes(text)))
  }

  private func house(_ certificate: PeerCertificate?, users: CertificatePattern? = CertificatePattern(.commonName)) throws -> House {
    var house = try House([
      "alice:\(Stored.sha1):groups=staff", "bob:\(Stored.sha1)", "lo:\(Stored.sha1):locked", "ex:\(Stored.sha1):expires=2020-01-01",
    ])
    house.certificate = certificate.map { ShownCertificate($0, users: users) }
    return house
  }

  private func ask(_ house: House, _ pair: String?, _ requirement: Requirement = .validUser) throws -> Result {
    house.ask(pair.map { basic(bytes($0)) }, requirement)
  }

  private func requirement(_ rules: Rule...) throws -> Requirement { try #require(Requirement(oneOf: rules)) }

  private static let staff = Rule.term(.groups([bytes("staff")]))
  private static let any = Rule.term(.certificate([]))

  // MARK: Patterns

  @Test func aPatternIsHeldAgainstWholeValues() throws {
    let certificate = Self.certificate(
      emails: ["alice@example.com", "a@b"], dns: ["host.example.com"], uris: ["spiffe://example.com/user/alice"])
    func holds(_ field: CertificatePattern.Field, _ text: String) throws -> Bool { try Self.pattern(field, text).matches(certificate) }
    #expect(try holds(.subject, "CN=alice,O=Example") && holds(.commonName, "alice") && holds(.commonName, "a*e"))
    #expect(try holds(.email, "a@b") && holds(.email, "*@example.com") && holds(.dns, "HOST.example.com") && holds(.dns, "*.example.com"))
    #expect(try holds(.uri, "spiffe://example.com/user/*") && holds(.fingerprint, String(repeating: "0A", count: 32)))
    #expect(try !holds(.subject, "CN=alice") && !holds(.subject, "cn=alice,O=Example") && !holds(.subject, "CN=alice,O=*"))
    #expect(
      try !holds(.commonName, "alice*") && !holds(.commonName, "Alice") && !holds(.commonName, "ali") && !holds(.commonName, "alicealice"))
    #expect(try !holds(.email, "*@example.co") && !holds(.email, "host.example.com") && !holds(.dns, "alice@example.com"))
    #expect(try !holds(.email, "alice@example.com*") && !holds(.uri, "spiffe://example.com/user/alice/*"))
    // A kind of name that it lacks matches nothing.
    #expect(!CertificatePattern(.email).matches(Self.certificate()) && CertificatePattern(.email).matches(certificate))
    for text in ["", "a*b*", "**"] { #expect(CertificatePattern(.email, bytes(text)) == nil) }
  }

  @Test func overlappingEndsOfAPatternAreNotCountedTwice() throws {
    #expect(try !Self.pattern(.commonName, "aba*ba").matches(Self.certificate(cn: ["aba"])))
    #expect(try !Self.pattern(.commonName, "ab*ab").matches(Self.certificate(cn: ["abab"])))
    #expect(try Self.pattern(.commonName, "ab*ab").matches(Self.certificate(cn: ["abxab"])))
  }

  @Test func severalCommonNamesAreNone() throws {
    let certificate = Self.certificate(cn: ["alice", "bob"])
    #expect(try !Self.pattern(.commonName, "alice").matches(certificate) && !Self.pattern(.commonName, "bob").matches(certificate))
    #expect(ShownCertificate(certificate, users: CertificatePattern(.commonName)).owner == .unclear)
  }

  @Test func theUserIsWhatStandsForTheStar() throws {
    func owner(_ field: CertificatePattern.Field, _ text: String, _ certificate: PeerCertificate) throws -> ShownCertificate.Owner {
      ShownCertificate(certificate, users: try Self.pattern(field, text)).owner
    }
    let mail = Self.certificate(emails: ["alice@example.com", "alice@elsewhere.test"])
    #expect(try owner(.email, "*@example.com", mail) == .user(bytes("alice")))
    #expect(try owner(.email, "*", mail) == .unclear, "two addresses")
    #expect(try owner(.email, "alice@example.com", mail) == .user(bytes("alice@example.com")))
    #expect(try owner(.email, "*@example.org", mail) == .nobody)
    #expect(try owner(.uri, "spiffe://e/u/*", Self.certificate(uris: ["spiffe://e/u/bob", "https://x"])) == .user(bytes("bob")))
    #expect(try owner(.email, "*@example.com", Self.certificate(emails: ["a@example.com", "b@example.com"])) == .unclear)
    #expect(try owner(.email, "*@example.com", Self.certificate(emails: ["a@example.com", "a@example.com"])) == .user(bytes("a")))
    #expect(ShownCertificate(mail, users: nil).owner == .notAsked)
  }

  // MARK: Logging in

  @Test func aCertificateIsItsUsersLogin() throws {
    var house = try house(Self.certificate())
    #expect(try ask(house, nil).outcome == .granted("alice"))
    #expect(try ask(house, nil, requirement(Self.staff)).outcome == .granted("alice"))
    #expect(try ask(house, nil, .anyOf(users: ["bob"])).outcome == .denied(.notPermitted))
    #expect(try ask(house, nil, .nobody).outcome == .granted(nil), "where nobody is asked for, nobody is named")
    // At once, and not later: a user who is gone is gone.
    try house.reload(["bob:\(Stored.sha1)"])
    #expect(try ask(house, nil).outcome == .challenged(.unknownUser))
  }

  @Test func aUserWhoMayNotLogInMayNotByCertificate() throws {
    for (name, reason) in [
      ("lo", Refusal.Reason.locked), ("ex", .expired), ("mallory", .unknownUser), ("alice ", .unknownUser),
      ("a b", .certificateWithoutUser),
    ] {
      let house = try house(Self.certificate(cn: name == "a b" ? ["alice", "bob"] : [name]))
      let expected = reason
      let result = try ask(house, nil)
      #expect(result.outcome == .challenged(expected) && result.refusal?.isGuess != true, "\(name)")
      // Nor does his certificate open what any certificate opens.
      #expect(try ask(house, nil, requirement(Self.any)).outcome == .challenged(expected), "\(name)")
      // But what is open to everybody is open to him.
      #expect(try ask(house, nil, .nobody).outcome == .granted(nil))
    }
  }

  @Test func aCertificateThatHasExpiredSinceIsNone() throws {
    var house = try house(Self.certificate(end: 1_800_000_001))
    #expect(try ask(house, nil).outcome == .granted("alice"))
    house.now = Timestamp(seconds: 1_800_000_001)
    #expect(try ask(house, nil).outcome == .challenged(.expiredCertificate))
    #expect(try ask(house, nil, requirement(Self.any)).outcome == .challenged(.expiredCertificate))
    #expect(try ask(house, "alice:secret", requirement(.all([Self.any, Self.staff]))).outcome == .denied(.notPermitted))
    #expect(try ask(house, "alice:secret").outcome == .granted("alice"))
  }

  @Test func whereCertificatesAreNoUsersTheyLogNobodyIn() throws {
    let house = try house(Self.certificate(), users: nil)
    #expect(try ask(house, nil).outcome == .challenged(.noCredentials))
    #expect(try ask(house, nil, requirement(Self.staff)).outcome == .challenged(.noCredentials))
  }

  @Test func aCertificateThatNamesNoUserIsACertificateAllTheSame() throws {
    let machine = try house(Self.certificate(cn: []))
    #expect(try ask(machine, nil).outcome == .challenged(.certificateWithoutUser))
    #expect(try ask(machine, nil, requirement(Self.any)).outcome == .granted(nil))
    #expect(try ask(machine, "bob:secret").outcome == .granted("bob"))
  }

  // MARK: Beside other credentials

  @Test func authorizationSaysWhoItIsAndTheCertificateMustAgree() throws {
    let house = try house(Self.certificate())
    #expect(try ask(house, "alice:secret").outcome == .granted("alice"))
    #expect(try ask(house, "bob:secret").outcome == .challenged(.certificateOfAnother))
    #expect(try ask(house, "alice:wrong").outcome == .challenged(.wrongPassword), "wrong credentials are not made good by a certificate")
    #expect(try ask(house, "mallory:secret").outcome == .challenged(.unknownUser))
    // Also where the certificate's own user is none who may log in.
    let locked = try self.house(Self.certificate(cn: ["lo"]))
    #expect(try ask(locked, "alice:secret").outcome == .challenged(.certificateOfAnother))
    // A certificate that is nobody's in particular agrees with everybody.
    let machine = try self.house(Self.certificate(), users: nil)
    #expect(try ask(machine, "bob:secret").outcome == .granted("bob"))
    let unclear = try self.house(Self.certificate(cn: ["a", "b"]))
    #expect(try ask(unclear, "bob:secret").outcome == .granted("bob"))
  }

  @Test func besideAUsersCertificateCredentialsAreLookedAtAlsoWhereNobodyIsAskedForThem() throws {
    let house = try house(Self.certificate())
    let rule = try requirement(Self.any)
    #expect(try ask(house, "alice:secret", rule).outcome == .granted("alice"))
    #expect(try ask(house, "bob:secret", rule).outcome == .challenged(.certificateOfAnother), "the service would be told of alice, and sent bob")
    #expect(try ask(house, "bob:wrong", rule).outcome == .challenged(.wrongPassword))
    #expect(try ask(house, "bob:wrong", requirement(Self.any, .term(.nobody))).outcome == .challenged(.wrongPassword))
    // Where it is nobody's in particular nothing is said of anybody, and the service's own business stays its own.
    let machine = try self.house(Self.certificate(), users: nil)
    #expect(try ask(machine, "bob:wrong", rule).outcome == .granted(nil))
    #expect(try ask(house, "bob:wrong", .nobody).outcome == .granted(nil))
  }

  // MARK: Rules

  @Test func aRuleAsksForACertificate() throws {
    let agents = Rule.term(.certificate([try Self.pattern(.commonName, "agent-*")]))
    let agent = try house(Self.certificate("CN=agent-7", cn: ["agent-7"]), users: nil)
    let other = try house(Self.certificate(), users: nil)
    let none = try house(nil)
    #expect(try ask(agent, nil, requirement(agents)).outcome == .granted(nil))
    #expect(try ask(other, nil, requirement(agents)).outcome == .challenged(.noCredentials))
    #expect(try ask(none, nil, requirement(agents)).outcome == .challenged(.noCredentials))
    #expect(try ask(none, "alice:secret", requirement(agents)).outcome == .denied(.notPermitted))
    #expect(try ask(agent, "alice:secret", requirement(agents)).outcome == .granted(nil), "nothing depends on who he is")
    // Both.
    let both = try requirement(.all([agents, Self.staff]))
    #expect(try ask(agent, "alice:secret", both).outcome == .granted("alice"))
    #expect(try ask(agent, "bob:secret", both).outcome == .denied(.notPermitted))
    #expect(try ask(other, "alice:secret", both).outcome == .denied(.notPermitted))
    #expect(try ask(agent, nil, both).outcome == .challenged(.noCredentials))
    // Either.
    let either = try requirement(agents, Self.staff)
    #expect(try ask(agent, nil, either).outcome == .granted(nil))
    #expect(try ask(other, nil, either).outcome == .challenged(.noCredentials))
    #expect(try ask(none, "alice:secret", either).outcome == .granted("alice"))
    #expect(try ask(agent, "alice:wrong", either).outcome == .challenged(.wrongPassword), "who sends credentials is held to them")
  }

  @Test func aRuleThatIsMetByAUsersCertificateNamesHim() throws {
    let house = try house(Self.certificate())
    #expect(try ask(house, nil, requirement(Self.any)).outcome == .granted("alice"))
    #expect(try ask(house, nil, requirement(.all([Self.any, Self.staff]))).outcome == .granted("alice"))
  }

  @Test func noRuleAboutCertificatesOpensAnythingWithoutOne() throws {
    let terms = [Self.any, .term(.certificate([]), isNegated: true), .term(.certificate([try Self.pattern(.commonName, "alice")]))]
    let none = try house(nil)
    for rule in terms + [.all(terms), .any(terms), .any([.all([terms[1]])])] {
      let requirement = try requirement(rule)
      #expect(!requirement.permitsNobody(from: .unix))
      #expect(try ask(none, nil, requirement).outcome == .challenged(.noCredentials), "\(requirement.text)")
    }
    // `not certificate` is for users who have none.
    let without = try requirement(.term(.certificate([]), isNegated: true))
    #expect(try ask(none, "alice:secret", without).outcome == .granted("alice"))
    let shown = try house(Self.certificate())
    #expect(
      try ask(shown, nil, without).outcome != .granted("alice") && ask(shown, "alice:secret", without).outcome == .denied(.notPermitted))
  }
}
