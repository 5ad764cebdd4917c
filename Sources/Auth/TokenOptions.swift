// What the configuration says about tokens of our own making (`tokens { … }`), and what asking for one can meet.

public import Primitives

public struct TokenOptions: Equatable, Sendable {
  /// The file of keys. Revocations stand beside it.
  public var keysPath: String
  /// Of a token for which nothing else was asked.
  public var lifetime = Interval.seconds(600)
  /// Most that may be asked for.
  public var longestLifetime = Interval.seconds(86_400)
  /// How long after its owner's password was given a token may be exchanged for another; 0 is never.
  public var renewWithin = Interval(nanoseconds: 0)
  /// The path where tokens are given out; nil for nowhere.
  public var endpoint: [UInt8]? = TokenOptions.standardEndpoint

  /// The parameter of a query that holds a ticket; nil for no tickets. It is taken out of what is forwarded and logged.
  public var ticketParameter: [UInt8]? = TokenOptions.standardTicketParameter

  public static let standardTicketParameter = Array("ticket".utf8)
  public static let standardEndpoint = Array("/api/token".utf8)
  /// What `longestLifetime` may be at most.
  public static let longestOfAll = SignedToken.longestLife
  /// Of a ticket, where nothing else was asked: links get copied.
  public static let ticketLifetime = Interval.seconds(60)
  /// Longest life of a ticket, whatever was asked: links stand in histories and in the logs of others.
  public static let longestTicketLifetime = Interval.seconds(300)

  public init(keysPath: String) {
    self.keysPath = keysPath
  }

  /// The file of revocations.
  public var revokedPath: String { keysPath + ".revoked" }

  /// How long a key has to go on verifying when another takes its place.
  public var overlap: Interval { Interval(nanoseconds: longestLifetime.nanoseconds + SignedToken.skew.nanoseconds) }
}

/// A token, to be shown once. To be kept in a `let` before its parts are used: Swift 6.3 destroys what was never made when the call
/// throws in the middle of an expression such as `try issue(…).text.span`.
public struct IssuedToken: ~Copyable, Sendable {
  public let text: Secret
  /// `jti`, to revoke it by.
  public let identifier: [UInt8]
  public let expires: Timestamp
  /// Seconds.
  public let duration: Int64
}

/// Why no token was made.
public enum TokenIssueFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// Less than a second.
  case tooShort
  case tooLong(longest: Interval)
  /// A ticket that would be good for everything.
  case ticketWithoutScope
  /// The password was given too long ago.
  case renewalIsOver
  /// Nothing of this user's is accepted.
  case userRefused(Refusal.Reason)

  public var description: String {
    switch self {
    case .tooShort: "a token lives for a second at least"
    case .tooLong(let longest): "a token may live for \(longest.nanoseconds / 1_000_000_000) seconds at most"
    case .ticketWithoutScope: "a ticket has a scope, such as GET /downloads/report.pdf"
    case .renewalIsOver: "the time for renewals is over: log in by password"
    case .userRefused(let reason): "\(reason.label)"
    }
  }
}

/// What is to be thought of a token.
public enum TokenVerdict: Sendable {
  case valid(VerifiedToken)
  /// The name of its owner: it was ours.
  case expired([UInt8])
  case revoked([UInt8])
  /// It names one of our keys and is not to be believed.
  case invalid
  /// It names no key of ours: perhaps another issuer's.
  case unknownKey
  /// It is ours, and its owner is not who he was or may not pass.
  case userRefused(Refusal)
}
