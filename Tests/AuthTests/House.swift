// A gatekeeper to try things on: users with cheap settings of costly hashes, credentials as clients send them, decisions as values.

import Auth
import Crypto
import Primitives

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Stored hashes of the password `secret`, made once.
enum Stored {
  static let bcrypt = make(.bcrypt, 4)
  static let bcrypt5 = make(.bcrypt, 5)
  static let yescrypt = make(.yescrypt, 1)
  static let sha256 = make(.sha256, 1000)
  /// `secret`.
  static let sha1 = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

  private static func make(_ kind: PasswordHash.NewKind, _ cost: UInt) -> String {
    let password = Secret(copying: bytes("secret").span)
    guard let text = try? PasswordHash.make(kind, cost: cost, password: password) else { fatalError("no \(kind)") }
    return String(decoding: text, as: UTF8.self)
  }
}

/// A decision without its noncopyable grant.
enum Outcome: Equatable {
  case granted(String?)
  case challenged(Refusal.Reason)
  case malformed(Refusal.Reason)
  case denied(Refusal.Reason)
  case lockedOut
  case pending
}

/// What came of a request, and how.
struct Result {
  var outcome: Outcome
  /// Whether a costly check was asked for.
  var wasPending = false
  var refusal: Refusal?
  /// Password checks by cost, wherever they were done.
  var work: [String: Int] = [:]
}

/// A gatekeeper and a clock.
struct House {
  var gatekeeper: Gatekeeper
  let cache: VerifiedCache
  var now = Timestamp(seconds: 1_800_000_000)
  var instant = Instant(nanoseconds: 1_000_000_000)
  var client = ClientAddress.unix
  var certificate: ShownCertificate?
  let lockout: Lockout?

  /// What is asked for where it does not matter.
  private let get = bytes("GET")
  private let path = bytes("/")
  private var root: ByteBuffer {
    var buffer = ByteBuffer()
    buffer.append("/")
    return buffer
  }
  private var context: RequestContext {
    var context = RequestContext(client: client, now: now, instant: instant)
    context.certificate = certificate
    return context
  }

  init(_ lines: [String], seed: String = "seed", lifetime: Interval = .seconds(300), entries: Int = 1024, lockout: Lockout? = nil) throws {
    self.lockout = lockout
    cache = VerifiedCache(entries: entries)
    gatekeeper = Gatekeeper(
      users: try House.table(lines, seed: seed), cache: cache, options: GatekeeperOptions(cacheLifetime: lifetime),
      lockout: lockout)
  }

  static func table(_ lines: [String], seed: String = "seed") throws -> UserTable {
    let seed = DecoySeed(bytes(seed).span)
    return try UserTable(parsing: bytes(lines.map { $0 + "\n" }.joined()), seed: seed)
  }

  /// A reload: a new table, the same cache.
  mutating func reload(_ lines: [String]) throws {
    gatekeeper = Gatekeeper(users: try House.table(lines), cache: cache, options: gatekeeper.options, lockout: lockout)
  }

  /// The first decision, costly checks not run.
  func decide(_ values: [[UInt8]], _ requirement: Requirement = .validUser) -> Result {
    let value = values.first ?? []
    var scratch = Secret()
    let decision = gatekeeper.decide(
      authorization: value.span, count: values.count, method: get.span, path: path.span, requirement, context, scratch: &scratch)
    return Self.read(decision).result
  }

  /// The whole way: costly checks run and settled.
  func ask(_ value: [UInt8]?, _ requirement: Requirement = .validUser) -> Result {
    let tally = KDFTally()
    return KDFTally.$current.withValue(tally) {
      let sent = value ?? []
      var scratch = Secret()
      let decision = gatekeeper.decide(
        authorization: sent.span, count: value == nil ? 0 : 1, method: get.span, path: path.span, requirement, context, scratch: &scratch)
      var (result, check) = Self.read(decision)
      if let check {
        let matched = check.run()
        // What the pool does.
        if let attempt = check.attempt, case .barred = attempt.verdict(check, matched: matched, at: instant) {
          return Result(outcome: .lockedOut, wasPending: true, work: tally.take())
        }
        let settled = gatekeeper.settle(
          check, matched: matched, method: get.span, target: root, pathLength: 1, requirement, context)
        result = Self.read(settled).result
        result.wasPending = true
      }
      result.work = tally.take()
      return result
    }
  }

  func ask(_ name: String, _ password: String, _ requirement: Requirement = .validUser) -> Result {
    ask(basic(name, password), requirement)
  }

  /// A costly check that is asked for, for tests that settle it themselves.
  func pending(_ name: String, _ password: String) -> PasswordCheck? {
    let value = basic(name, password)
    var scratch = Secret()
    let decision = gatekeeper.decide(
      authorization: value.span, count: 1, method: get.span, path: path.span, .validUser, context, scratch: &scratch)
    return Self.read(decision).check
  }

  func settle(_ check: PasswordCheck, matched: Bool) -> Result {
    Self.read(
      gatekeeper.settle(check, matched: matched, method: get.span, target: root, pathLength: 1, .validUser, context)
    ).result
  }

  static func read(_ decision: consuming Decision) -> (result: Result, check: PasswordCheck?) {
    switch consume decision {
    case .grant(let grant): (Result(outcome: .granted(grant.user.map { String(decoding: $0.name, as: UTF8.self) })), nil)
    case .challenge(let refusal): (Result(outcome: .challenged(refusal.reason), refusal: refusal), nil)
    case .malformed(let refusal): (Result(outcome: .malformed(refusal.reason), refusal: refusal), nil)
    case .deny(let refusal): (Result(outcome: .denied(refusal.reason), refusal: refusal), nil)
    case .tooManyFailures(let refusal, _): (Result(outcome: .lockedOut, refusal: refusal), nil)
    case .pending(let check): (Result(outcome: .pending), check)
    }
  }
}

func basic(_ name: String, _ password: String) -> [UInt8] { basic(bytes(name) + [0x3A] + bytes(password)) }
func basic(_ pair: [UInt8]) -> [UInt8] { bytes("Basic ") + Base64.encode(pair.span) }

/// A token with its entry for a user file, `NAME/SHA256/EXPIRES/LAST4`.
struct Token {
  let text: String
  let entry: String
  let threePartEntry: String

  init(_ name: String, expires: String = "never") {
    let issued = APIKey.issue(name: bytes(name), expires: nil)
    let text = ASCII.string(issued.token.span)
    let digest = String(decoding: issued.key.digest.hex, as: UTF8.self)
    self.text = text
    threePartEntry = "\(name)/\(digest)/\(expires)"
    entry = threePartEntry + "/" + text.suffix(4)
  }
}
