// OAuth 2 client credentials (RFC 6749 section 4.4): what an authorization server is asked for access tokens with, as bytes. Nothing is sent here.

public import Primitives

/// Where access tokens come from, and what is asked for. Who asks is the account: its name is the client's identifier, its secret the client's.
public struct TokenEndpoint: Equatable, Sendable {
  /// How the client says who it is (RFC 6749 section 2.3.1).
  public enum ClientAuthentication: Equatable, Sendable {
    /// In `Authorization: Basic`.
    case basic
    /// In the form.
    case post
  }

  /// A parameter of the form, beside `grant_type` and what `post` puts there: `scope`, `audience`, …
  public struct Parameter: Equatable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }

  /// An `https` URL, or an `http` one of this machine; without user information and fragment, of visible ASCII.
  public var url: String
  public var authentication = ClientAuthentication.basic
  /// In the order in which they are sent.
  public var parameters: [Parameter] = []
  /// A PEM file of the authorities to trust instead of the system's.
  public var certificateAuthority: String?

  public init(url: String) { self.url = url }

  /// Parameters that are ours to say.
  public static let reserved = ["grant_type", "client_id", "client_secret"]

  /// For logs: without what stands behind a `?`.
  public var place: String { String(url.prefix { $0 != "?" }) }
}

/// A request to a token endpoint. Wiped when it goes.
public final class TokenRequest: Sendable {
  private let line: Secret
  private let form: Secret

  fileprivate init(line: consuming Secret, form: consuming Secret) {
    self.line = line
    self.form = form
  }

  /// Lends the line that says who asks, without its end; an empty one where the form says it.
  public func withLine<Result>(_ body: (borrowing Secret) -> Result) -> Result { body(line) }

  /// Lends the request's body, `application/x-www-form-urlencoded`. It stays where it is as long as the request lives.
  public func withForm<Result>(_ body: (borrowing Secret) -> Result) -> Result { body(form) }
}

extension Account {
  /// What `endpoint` is asked for an access token with.
  public func tokenRequest(to endpoint: TokenEndpoint) -> TokenRequest {
    var line = Secret(capacity: 256)
    var form = Secret(capacity: 256)
    form.append(text: "grant_type=client_credentials")
    for parameter in endpoint.parameters { form.append(parameter: parameter.name, parameter.value.span) }
    let name = name
    withSecret { secret in
      switch endpoint.authentication {
      case .basic:
        // RFC 6749 section 2.3.1: both are encoded as in a form first, so that a colon may stand in either.
        var pair = Secret(capacity: 3 * (name.count + secret.count) + 1)
        pair.append(formEncoded: name.span)
        pair.append(0x3A)
        pair.append(formEncoded: secret.span)
        line.append(text: "Authorization: Basic ")
        line.appendBase64(of: pair.span)
      case .post:
        form.append(parameter: Array("client_id".utf8), name.span)
        form.append(parameter: Array("client_secret".utf8), secret.span)
      }
    }
    return TokenRequest(line: line, form: form)
  }
}

extension Secret {
  fileprivate mutating func append(parameter name: [UInt8], _ value: Span<UInt8>) {
    append(0x26)
    append(formEncoded: name.span)
    append(0x3D)
    append(formEncoded: value)
  }

  /// `application/x-www-form-urlencoded` (RFC 6749 appendix B): what is not escaped is what no reader takes for something else.
  fileprivate mutating func append(formEncoded bytes: Span<UInt8>) {
    for i in bytes.indices {
      switch bytes[i] {
      case 0x20: append(0x2B)
      case 0x2A, 0x2D, 0x2E, 0x5F: append(bytes[i])
      case let byte where ASCII.isAlpha(byte) || ASCII.isDigit(byte): append(byte)
      case let byte:
        append(0x25)
        append(ASCII.upperHexDigit(byte >> 4))
        append(ASCII.upperHexDigit(byte & 15))
      }
    }
  }
}
