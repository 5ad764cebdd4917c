// The signature algorithms of JSON Web Signatures: RFC 7518 section 3.1 and RFC 8037 section 3.1. `none` is not among them.

public enum SignatureAlgorithm: UInt8, CaseIterable, Sendable {
  case hs256, hs384, hs512
  case rs256, rs384, rs512
  case ps256, ps384, ps512
  case es256, es384
  /// With Ed25519; Ed448 is not supported.
  case edDSA

  /// What a key has to be.
  public enum Family: Equatable, Sendable {
    /// A secret that both sides know: whoever can verify can sign.
    case secret
    case rsa
    case ecdsa
    case edwards
  }

  public var family: Family {
    switch self {
    case .hs256, .hs384, .hs512: .secret
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
    case .es256, .es384: .ecdsa
    case .edDSA: .edwards
    }
  }

  /// The name of the IANA registry "JSON Web Signature and Encryption Algorithms".
  public var name: String {
    switch self {
    case .hs256: "HS256"
    case .hs384: "HS384"
    case .hs512: "HS512"
    case .rs256: "RS256"
    case .rs384: "RS384"
    case .rs512: "RS512"
    case .ps256: "PS256"
    case .ps384: "PS384"
    case .ps512: "PS512"
    case .es256: "ES256"
    case .es384: "ES384"
    case .edDSA: "EdDSA"
    }
  }

  /// The algorithm of that very name. Names are case-sensitive (RFC 7515 section 4.1.1), so no spelling of `none` finds one.
  public init?(name: Span<UInt8>) {
    for algorithm in Self.allCases {
      let known = algorithm.name
      guard known.utf8.count == name.count else { continue }
      var i = 0
      for byte in known.utf8 {
        guard byte == name[i] else { break }
        i += 1
      }
      if i == name.count {
        self = algorithm
        return
      }
    }
    return nil
  }

  /// The same from text, as a configuration has it.
  public init?(name: String) {
    let bytes = Array(name.utf8)
    self.init(name: bytes.span)
  }

  /// Bytes of the hash; 0 for EdDSA, which brings its own.
  var hashSize: Int {
    switch self {
    case .hs256, .rs256, .ps256, .es256: 32
    case .hs384, .rs384, .ps384, .es384: 48
    case .hs512, .rs512, .ps512: 64
    case .edDSA: 0
    }
  }

  var isPSS: Bool {
    switch self {
    case .ps256, .ps384, .ps512: true
    default: false
    }
  }
}
