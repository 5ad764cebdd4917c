// What the configuration says about authentication.

public import Primitives

public struct GatekeeperOptions: Sendable {
  /// The realm of the challenges; see `Challenge`.
  public var realm: String
  /// How long verified credentials are remembered after their last use. 0 is never.
  public var cacheLifetime: Interval
  /// How many are remembered: for `VerifiedCache.init`.
  public var cacheEntries: Int
  /// A field beside Authorization that may hold an API key, such as `X-API-Key`; empty for none.
  public var apiKeyField: [UInt8]

  public init(
    realm: String = "Authentication Required", cacheLifetime: Interval = .seconds(300), cacheEntries: Int = 65_536,
    apiKeyField: [UInt8] = []
  ) {
    self.realm = realm
    self.cacheLifetime = cacheLifetime
    self.cacheEntries = cacheEntries
    self.apiKeyField = apiKeyField
  }
}

/// Bounds that are not settings: libcrypt's, and those that keep an Authorization value small.
enum PasswordLimits {
  /// libcrypt refuses longer ones.
  static let longest = 511
}
