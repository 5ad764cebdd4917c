// Which signature algorithms an issuer's tokens may have: the operator says so, never the token.

internal import Crypto

/// In the order in which they were named, each once.
public struct TokenAlgorithms: Equatable, Sendable {
  private(set) var list: [SignatureAlgorithm] = []

  public init() {}

  /// All that there are.
  public static let allNames = SignatureAlgorithm.allCases.map(\.name)

  /// Adds the algorithm of that name (RFC 7518 section 3.1); false when there is none.
  public mutating func insert(named name: String) -> Bool {
    guard let algorithm = SignatureAlgorithm(name: name) else { return false }
    if !list.contains(algorithm) { list.append(algorithm) }
    return true
  }

  public var names: [String] { list.map(\.name) }
  public var isEmpty: Bool { list.isEmpty }

  /// All are HS…: the key is a secret that both sides know.
  public var areOfSecrets: Bool { !list.isEmpty && list.allSatisfy { $0.family == .secret } }

  /// HS… and others together. Refused: the public key of the others must never be taken for the secret of these.
  public var mixSecretsAndPublicKeys: Bool { list.contains { $0.family == .secret } && !areOfSecrets }
}
