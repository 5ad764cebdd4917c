// What the configuration says of an issuer whose tokens are accepted: a `jwt` block. Its keys stand in a file of their own.

public import Primitives

public struct ForeignIssuer: Equatable, Sendable {
  public enum KeyFormat: Equatable, Sendable {
    /// One key: PEM, or for HS… the secret itself.
    case single
    /// A JWK Set (RFC 7517 section 5).
    case set
  }

  /// What `iss` has to be, byte by byte (RFC 7519 section 4.1.1); nil accepts any and none.
  public var issuer: [UInt8]?
  /// One of which `aud` has to name; nil accepts any and none.
  public var audiences: [[UInt8]]?
  public var algorithms = TokenAlgorithms()
  public var keyPath = ""
  public var keyFormat = KeyFormat.single
  /// The claim that holds the user's name.
  public var userClaim = Array("sub".utf8)
  /// Where the user's groups stand: the name of a claim, and those of members inside it. nil when tokens bring no groups.
  public var groupsClaim: [[UInt8]]?
  /// How far this machine's clock and the issuer's may be apart: 0 to 300 s.
  public var leeway = Interval.seconds(60)
  /// Users need not stand in the user file.
  public var acceptsAnyUser = false

  public static let longestLeeway = Interval.seconds(300)

  public init() {}

  /// How messages name it.
  public var label: String { issuer.map { String(decoding: $0, as: UTF8.self) } ?? "any issuer" }
}
