// Where directives stand.

/// A block of proxy.conf, or its top level.
public enum Place: String, CaseIterable, Sendable {
  case top
  case listen
  case clientCertificates
  case http2
  case upstream
  case upstreamTLS
  case login
  case assertion
  case via
  case fileLogin
  case directory
  case route
  case tokens
  case jwt
  case register
  case lockout
  case requirement

  /// How messages say where something stands: "… belongs in an 'upstream' block".
  var phrase: String {
    switch self {
    case .top: "at the top level"
    case .listen: "in a 'listen' block"
    case .clientCertificates: "in a 'client_certificates' block"
    case .http2: "in the 'http2' block"
    case .upstream: "in an 'upstream' block"
    case .upstreamTLS: "in the 'tls' block of an 'upstream'"
    case .login: "in an 'authenticate' block"
    case .assertion: "in an 'assert_jwt' block"
    case .via: "in the block of 'via'"
    case .fileLogin: "in the 'login' block of an 'upstream'"
    case .directory: "in the 'directory' block of an 'upstream'"
    case .route: "in a 'route' block"
    case .tokens: "in a 'tokens' block"
    case .jwt: "in a 'jwt' block"
    case .register: "in the 'register' block"
    case .lockout: "in the 'lockout' block"
    case .requirement: "in a block of 'require'"
    }
  }

  /// The heading in docs/CONFIGURATION.md.
  var heading: String {
    switch self {
    case .top: "At the top level"
    case .listen: "In `listen … { … }`"
    case .clientCertificates: "In `client_certificates { … }` of a listener with TLS"
    case .http2: "In `http2 { … }`"
    case .upstream: "In `upstream NAME { … }`"
    case .upstreamTLS: "In `tls { … }` of an upstream"
    case .login: "In `authenticate … { … }` of an upstream"
    case .assertion: "In `assert_jwt { … }` of an upstream"
    case .via: "In `via … { … }` of an upstream"
    case .fileLogin: "In `login { … }` of an upstream"
    case .directory: "In `directory { … }` of an upstream"
    case .route: "In `route … { … }`"
    case .tokens: "In `tokens { … }`"
    case .jwt: "In `jwt { … }`"
    case .register: "In `register { … }`"
    case .lockout: "In `lockout { … }`"
    case .requirement: "In `require all { … }` and `require any { … }`"
    }
  }
}
