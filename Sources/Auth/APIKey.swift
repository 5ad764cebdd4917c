// An API key: a token that was issued once and is known here by its digest only, with what it may be used for and from where.

public import Crypto
public import Primitives
internal import Synchronization

/// An entry of `keys=`. Immutable, but for the mark of `KeyUses`; shared by its user and by every request that it speaks for.
public final class APIKey: Sendable {
  /// What its owner calls it: 1 to 64 of `A–Z a–z 0–9 . _ @ + -`.
  public let name: [UInt8]
  /// SHA-256 of the token's text, prefix included.
  public let digest: SHA256.Digest
  /// From this moment on it is not accepted; nil is `never`.
  public let expires: Timestamp?
  /// The last four characters of the token, to recognise it by; nil in entries that were written without.
  public let lastFour: [UInt8]?
  /// Which requests it is good for.
  public let scope: TokenScope
  /// From where it may be used; empty is from anywhere.
  public let networks: [AddressRange]
  /// The minute in which its use was last noted: see `KeyUses`.
  let notedMinute = Atomic<UInt32>(0)

  public init(
    name: [UInt8], digest: SHA256.Digest, expires: Timestamp?, lastFour: [UInt8]?, scope: TokenScope = .unlimited,
    networks: [AddressRange] = []
  ) {
    self.name = name
    self.digest = digest
    self.expires = expires
    self.lastFour = lastFour
    self.scope = scope
    self.networks = networks
  }

  /// Most networks that a key is bound to.
  public static let mostNetworks = 32

  public func isExpired(at now: Timestamp) -> Bool {
    guard let expires else { return false }
    return now >= expires
  }

  func isUsable(from client: ClientAddress) -> Bool {
    if networks.isEmpty { return true }
    for network in networks where network.contains(client) { return true }
    return false
  }

  static func isName(_ text: Span<UInt8>) -> Bool {
    guard text.count >= 1 && text.count <= 64 else { return false }
    for i in text.indices {
      switch text[i] {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2E, 0x5F, 0x40, 0x2B, 0x2D: break
      default: return false
      }
    }
    return true
  }
}

extension APIKey: Equatable {
  public static func == (a: APIKey, b: APIKey) -> Bool {
    a.name == b.name && a.digest == b.digest && a.expires == b.expires && a.lastFour == b.lastFour && a.scope == b.scope
      && a.networks == b.networks
  }
}
