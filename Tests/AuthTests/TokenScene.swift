// A gatekeeper with keys to try signed tokens on, and a forger who may know one of them.

import Crypto
import Primitives

@testable import Auth

struct TokenScene {
  /// Users, clock and decisions.
  var house: House
  let revocations = Revocations()
  var options = TokenOptions(keysPath: "token.keys")
  private var lines: [String]
  private(set) var keys: String

  static let secret = [UInt8](repeating: 7, count: 32)
  static let otherSecret = [UInt8](repeating: 8, count: 32)
  static func line(_ kid: String, _ secret: [UInt8], _ rest: String = "") -> String {
    "\(kid) \(String(decoding: Base64.encodeURLSafe(secret.span), as: UTF8.self))\(rest)\n"
  }
  static let users = ["alice:\(Stored.bcrypt):groups=staff", "bob:\(Stored.bcrypt5)", "robot:*"]

  init(_ lines: [String] = TokenScene.users, keys: String? = nil) throws {
    self.lines = lines
    self.keys = keys ?? TokenScene.line("k1", TokenScene.secret)
    house = try House(lines)
    try renew()
  }

  /// A reload of users, keys or options: what is not given stays.
  mutating func reload(_ lines: [String]? = nil, keys: String? = nil, options: TokenOptions? = nil) throws {
    if let lines { self.lines = lines }
    if let keys { self.keys = keys }
    if let options { self.options = options }
    try renew()
  }

  private mutating func renew() throws {
    let authority = TokenAuthority(options: options, keys: try TokenKeys(parsing: bytes(keys)), revocations: revocations)
    house.gatekeeper = Gatekeeper(
      users: try House.table(lines), cache: house.cache, options: house.gatekeeper.options, tokens: authority)
  }

  var authority: TokenAuthority {
    guard let tokens = house.gatekeeper.tokens else { fatalError("no authority") }
    return tokens
  }

  var users: UserTable { house.gatekeeper.users }
  var now: Timestamp {
    get { house.now }
    set { house.now = newValue }
  }

  func user(_ name: String) -> User {
    guard let user = users.user(named: bytes(name).span) else { fatalError("no \(name)") }
    return user
  }

  func issue(
    _ name: String = "alice", lifetime: Interval? = nil, scope: TokenScope = .unlimited, firstLogin: Timestamp? = nil,
    isTicket: Bool = false
  ) throws -> String {
    let issued = try authority.issue(
      to: user(name), at: now, lifetime: lifetime, scope: isTicket && scope.isUnlimited ? everywhere() : scope, firstLogin: firstLogin,
      isTicket: isTicket)
    return ASCII.string(issued.text.span)
  }

  /// A ticket has to have a scope, were it this one.
  private func everywhere() throws -> TokenScope { try TokenScope(items: [bytes("/")]) }

  /// Seconds that a token of alice's is given.
  func duration(_ lifetime: Interval? = nil, isTicket: Bool = false) throws -> Int64 {
    let issued = try authority.issue(
      to: user("alice"), at: now, lifetime: lifetime, scope: isTicket ? everywhere() : .unlimited, isTicket: isTicket)
    return issued.duration
  }

  /// What a gatekeeper that never saw the token says.
  func verdict(_ token: String, ticket: Bool = false) -> String { verdict(bytes(token), ticket: ticket) }

  func verdict(_ token: [UInt8], ticket: Bool = false) -> String {
    switch authority.verify(token.span, users: users, at: now, ticket: ticket) {
    case .valid(let token): "valid \(String(decoding: token.user.name, as: UTF8.self))"
    case .expired(let name): "expired \(String(decoding: name, as: UTF8.self))"
    case .revoked(let name): "revoked \(String(decoding: name, as: UTF8.self))"
    case .invalid: "invalid"
    case .unknownKey: "unknown key"
    case .userRefused(let refusal): "\(refusal.reason) \(String(decoding: refusal.user, as: UTF8.self))"
    }
  }

  func verified(_ token: String) -> VerifiedToken? {
    guard case .valid(let verified) = authority.verify(bytes(token).span, users: users, at: now, ticket: false) else { return nil }
    return verified
  }

  func bearer(_ token: String, _ requirement: Requirement = .validUser) -> Result { house.ask(bytes("Bearer \(token)"), requirement) }

  // MARK: Forging

  /// Signs whatever it is given as HS256 does.
  static func forge(_ header: String, _ payload: String, _ secret: [UInt8] = TokenScene.secret) -> String {
    let (first, second) = (encode(bytes(header)), encode(bytes(payload)))
    let input = bytes("\(first).\(second)")
    let mac = HMACSHA256Key(secret.span).authenticate(input.span).bytes
    return "\(first).\(second).\(encode(mac))"
  }

  static func encode(_ bytes: [UInt8]) -> String { String(decoding: Base64.encodeURLSafe(bytes.span), as: UTF8.self) }

  static let header = #"{"alg":"HS256","typ":"JWT","kid":"k1"}"#

  /// The claims of a good token for alice, each replaced or left out (nil) as `changes` says; `more` stands at the end as it is.
  func claims(_ changes: [String: String?] = [:], more: String = "") -> String {
    let fingerprint = String(
      decoding: TokenFingerprint.make(user("alice"), HMACSHA256Key(Self.secret.span)), as: UTF8.self)
    let good = [
      ("sub", "\"alice\""), ("iat", "\(now.seconds)"), ("exp", "\(now.seconds + 600)"), ("jti", "\"AAAAAAAAAAAAAAAAAAAAAA\""),
      ("fpr", "\"\(fingerprint)\""),
    ]
    let members = good.compactMap { name, value in (changes[name] ?? value).map { "\"\(name)\":\($0)" } }
    return "{" + members.joined(separator: ",") + more + "}"
  }
}
