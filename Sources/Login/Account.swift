// One account at an upstream: who we are there, by what we prove it, and the line of a request's head that says so. No file is read here.

internal import Crypto
public import Primitives

/// How Gatehouse logs in to an upstream.
public enum LoginScheme: Equatable, Sendable {
  /// RFC 7617.
  case basic
  /// RFC 6750, with a token that somebody has given us.
  case bearer
  /// A value in a field of that name, which is a token.
  case header([UInt8])

  /// RFC 7616.
  case digest
  /// AWS Signature Version 4: the name is the access key.
  case awsSigV4(SigV4Scope)
  /// NTLMv2 (MS-NTHT, MS-NLMP): it logs in the connection, not the request.
  case ntlm(NTLMScope)
  /// RFC 6750, with tokens that are had from there: the name is the client's identifier.
  case clientCredentials(TokenEndpoint)
  /// RFC 4559, by Kerberos: the name is a principal.
  case negotiate(KerberosLogin)

  /// The word in proxy.conf.
  public var name: String {
    switch self {
    case .basic: "basic"
    case .bearer, .clientCredentials: "bearer"
    case .negotiate: "negotiate"
    case .digest: "digest"
    case .awsSigV4: "aws_sigv4"
    case .ntlm(let scope): scope.domain.isEmpty ? "ntlm" : "ntlm in \(String(decoding: scope.domain, as: UTF8.self))"
    case .header(let name): "header \(String(decoding: name, as: UTF8.self))"
    }
  }

  /// Whether an account has a name beside its secret.
  public var hasNames: Bool {
    switch self {
    case .basic, .digest, .awsSigV4, .ntlm, .clientCredentials, .negotiate: true
    case .bearer, .header: false
    }
  }
  /// Whether what proves the account is made anew for each request.
  var isMadeAnew: Bool {
    switch self {
    case .digest, .awsSigV4, .ntlm, .clientCredentials, .negotiate: true
    case .basic, .bearer, .header: false
    }
  }

  /// Whether we log in with what somebody else issues, and may have to wait for that.
  public var takesTokens: Bool {
    switch self {
    case .clientCredentials, .negotiate: true
    case .basic, .bearer, .header, .digest, .awsSigV4, .ntlm: false
    }
  }

  /// Whether services may take the login for the connection's, and not for the request's.
  public var mayBindConnections: Bool { if case .negotiate = self { true } else { false } }
}

/// Why something can't be an account's name or secret. Continues "the password …"; never says what it was.
public struct AccountFault: Error, Equatable, Sendable {
  public var reason: String
}

/// What we log in with, for one user of ours or for all. Wiped when it goes.
public final class Account: Sendable {
  /// Empty where the scheme has none.
  public let name: [UInt8]
  private let secret: Secret
  public let scheme: LoginScheme
  /// Whether the line is made, or looked up, for each request: see `DigestSession`, `SigV4` and `IssuedToken`.
  public let isMadeAnew: Bool
  /// The field's whole line, with its end; empty where there is none that fits all requests.
  private let fixedLine: Secret
  /// Where the scheme is NTLM.
  let ntlm: NTLMIdentity?

  /// - Parameters:
  ///   - name: of the account at the upstream, in UTF-8.
  ///   - secret: what proves it: 1 to 4096 bytes.
  /// - Throws: `AccountFault` for what could not be sent, or would be read as something else.
  public init(_ scheme: LoginScheme, name: [UInt8], secret: borrowing Secret) throws(AccountFault) {
    if secret.isEmpty { throw AccountFault(reason: "is empty") }
    if secret.count > Self.longest { throw AccountFault(reason: "has more than \(Self.longest) bytes") }
    var line = Secret(capacity: secret.count * 2 + name.count * 2 + 64)
    var ntlm: NTLMIdentity?
    switch scheme {
    case .basic:
      if let fault = Self.nameFault(name) { throw fault }
      if Self.hasControls(secret.span) { throw AccountFault(reason: "has control characters (RFC 7617 section 2)") }
      var pair = Secret(capacity: name.count + secret.count + 1)
      pair.append(name.span)
      pair.append(0x3A)
      pair.append(secret.span)
      line.append(text: "Authorization: Basic ")
      line.appendBase64(of: pair.span)
    case .awsSigV4:
      guard !name.isEmpty, name.count <= 128, name.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x5F || $0 == 0x2D }) else {
        throw AccountFault(reason: "has an access key with it that is none: letters, digits, '-' and '_' are")
      }
      if Self.hasControls(secret.span) { throw AccountFault(reason: "has control characters") }
    case .digest:
      if let fault = Self.nameFault(name) { throw fault }
      if Self.hasControls(secret.span) { throw AccountFault(reason: "has control characters") }
    case .ntlm(let scope):
      ntlm = try NTLMIdentity(name, secret.span, scope)
    case .clientCredentials:
      if name.isEmpty || name.count > Self.longest || Self.hasControls(name.span) {
        throw AccountFault(reason: "has a client_id with it that is none: 1 to \(Self.longest) bytes, no control characters")
      }
      if Self.hasControls(secret.span) { throw AccountFault(reason: "has control characters") }
    case .negotiate:
      if name.isEmpty || name.count > 255 || Self.hasControls(name.span) { throw AccountFault(reason: "has no principal with it") }
    case .bearer:
      guard Self.isToken(secret.span) else { throw AccountFault(reason: "has characters that no bearer token has (RFC 6750 section 2.1)") }
      line.append(text: "Authorization: Bearer ")
      line.append(secret.span)
    case .header(let field):
      let value = secret.span
      for i in value.indices where !ASCII.isFieldValue(value[i]) {
        throw AccountFault(reason: "has control characters, which no header may have")
      }
      if ASCII.isWhitespace(value[0]) || ASCII.isWhitespace(value[value.count - 1]) {
        throw AccountFault(reason: "begins or ends with white space, which no header's value does")
      }
      line.append(field.span)
      line.append(text: ": ")
      line.append(value)
    }
    if !line.isEmpty { line.append(text: "\r\n") }
    self.scheme = scheme
    isMadeAnew = scheme.isMadeAnew
    self.name = name
    // What NTLM needs is made of it already.
    self.secret = ntlm == nil ? Secret(copying: secret.span) : Secret()
    self.ntlm = ntlm
    fixedLine = line
  }

  static let longest = 4096

  func withSecret(_ body: (borrowing Secret) -> Void) { body(secret) }

  /// How often it may be tried, where the service counts. One for all workers.
  public var gate: LoginGate? { ntlm?.gate }

  /// Lends the field's line, with its end.
  public func withLine(_ body: (borrowing Secret) -> Void) { body(fixedLine) }

  /// RFC 7617 section 2: a colon would end the name early, and a control character has no business in either.
  private static func nameFault(_ name: [UInt8]) -> AccountFault? {
    if name.isEmpty { return AccountFault(reason: "has no user name with it") }
    if name.count > longest { return AccountFault(reason: "has a user name of more than \(longest) bytes") }
    if name.contains(0x3A) { return AccountFault(reason: "has a user name with a colon, which ends the name (RFC 7617 section 2, RFC 7616 section 3.4)") }
    return hasControls(name.span) ? AccountFault(reason: "has a user name with control characters") : nil
  }

  private static func hasControls(_ bytes: Span<UInt8>) -> Bool {
    for i in bytes.indices where ASCII.isControl(bytes[i]) { return true }
    return false
  }

  /// RFC 6750 section 2.1: whether all of it are bytes of a b64token.
  static func isToken(_ bytes: Span<UInt8>) -> Bool {
    if bytes.isEmpty { return false }
    for i in bytes.indices where !isTokenByte(bytes[i]) { return false }
    return true
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x2B, 0x2D, 0x2E, 0x2F, 0x3D, 0x5F, 0x7E: true
    default: ASCII.isAlpha(byte) || ASCII.isDigit(byte)
    }
  }

  /// Whether `other` is the same account by the same secret.
  public func isSame(as other: Account) -> Bool {
    guard scheme == other.scheme, name == other.name else { return false }
    var isSame = false
    withSecret { mine in other.withSecret { isSame = ConstantTime.equals(mine.span, $0.span) } }
    return isSame
  }
}

extension Secret {
  mutating func append(text: String) { for byte in text.utf8 { append(byte) } }

  /// Appends `bytes` in Base64 with padding (RFC 4648 section 4), leaving no copy elsewhere.
  mutating func appendBase64(of bytes: Span<UInt8>) {
    func digit(_ value: UInt32) -> UInt8 {
      switch UInt8(truncatingIfNeeded: value) & 63 {
      case let v where v < 26: v + 0x41
      case let v where v < 52: v - 26 + 0x61
      case let v where v < 62: v - 52 + 0x30
      case 62: 0x2B
      default: 0x2F
      }
    }
    var i = 0
    while i < bytes.count {
      let left = bytes.count - i
      let group =
        UInt32(bytes[i]) << 16 | (left > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[i + 2]) : 0)
      append(digit(group >> 18))
      append(digit(group >> 12))
      append(left > 1 ? digit(group >> 6) : 0x3D)
      append(left > 2 ? digit(group) : 0x3D)
      i += 3
    }
  }
}
