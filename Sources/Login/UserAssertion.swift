// What an upstream is told of a user so that it can check it: a short-lived JWT (RFC 7519) that we sign. Whether he may pass was decided before.

internal import Crypto
public import Primitives

/// How the users of one upstream are asserted, as `assert_jwt` says. Equal when what it signs would be the same but for the time.
public final class UserAssertion: Sendable, Equatable, CustomStringConvertible {
  /// The field that an assertion stands in: only we may say it.
  public let field: [UInt8]
  public let issuer: String
  public let audience: String
  public let lifetime: Interval
  private let key: SigningKey
  /// The encoded header of all its tokens, with its dot.
  private let header: [UInt8]

  /// What it may be good for.
  public static let lifetimes = Interval.seconds(2)...Interval.seconds(3600)
  /// Bytes of the claims. The user file allows 4096 bytes of groups; tokens of others may bring more than a header has room for.
  static let mostClaims = 6 << 10

  /// - Parameter pem: a private key: P-256, RSA of 2048 to 4096 bits, or Ed25519.
  public init(pem: borrowing Secret, field: [UInt8], issuer: String, audience: String, lifetime: Interval) throws(AssertionFault) {
    do throws(SigningKeyFault) {
      key = try SigningKey(pem: pem.span)
    } catch {
      throw AssertionFault(reason: error.reason)
    }
    self.field = field
    self.issuer = issuer
    self.audience = audience
    self.lifetime = lifetime
    let text = Array("{\"alg\":\"\(key.algorithm.name)\",\"kid\":\"\(String(decoding: key.identifier, as: UTF8.self))\",\"typ\":\"JWT\"}".utf8)
    header = Base64.encodeURLSafe(text.span) + [0x2E]
  }

  /// `kid`: the thumbprint of the public key.
  public var keyIdentifier: [UInt8] { key.identifier }
  /// What may be published.
  public var publicJWK: [UInt8] { key.publicJWK }

  var seconds: Int64 { Int64(lifetime.nanoseconds / 1_000_000_000) }

  /// The field's whole line, with its end. Nil where the claims are longer than any header should be, or nothing could be signed.
  ///
  /// - Parameters:
  ///   - user: in UTF-8, without control characters.
  ///   - now: seconds since 1970.
  func line(for user: [UInt8], _ groups: [[UInt8]], at now: Int64) -> [UInt8]? {
    var claims = Array("{\"iss\":".utf8)
    JSON.append(quoted: Array(issuer.utf8).span, to: &claims)
    claims += Array(",\"aud\":".utf8)
    JSON.append(quoted: Array(audience.utf8).span, to: &claims)
    claims += Array(",\"sub\":".utf8)
    JSON.append(quoted: user.span, to: &claims)
    let identifier = RandomBytes.array(16)
    claims += Array(",\"iat\":\(now),\"exp\":\(now + seconds),\"jti\":\"".utf8) + Base64.encodeURLSafe(identifier.span)
    claims += Array("\",\"groups\":[".utf8)
    for (i, group) in groups.enumerated() {
      if i > 0 { claims.append(0x2C) }
      JSON.append(quoted: group.span, to: &claims)
      if claims.count > Self.mostClaims { return nil }
    }
    claims += Array("]}".utf8)
    let token = header + Base64.encodeURLSafe(claims.span)
    guard let signature = key.sign(token.span) else { return nil }
    return field + [0x3A, 0x20] + token + [0x2E] + Base64.encodeURLSafe(signature.span) + [0x0D, 0x0A]
  }

  /// What `check` says of it: no secret.
  public var description: String {
    "users asserted in \(String(decoding: field, as: UTF8.self)) by \(key.algorithm.name), from \(issuer) for \(audience), \(seconds)s each"
  }

  public static func == (a: UserAssertion, b: UserAssertion) -> Bool {
    a === b || a.key.identifier == b.key.identifier && a.field == b.field && a.issuer == b.issuer && a.audience == b.audience && a.lifetime == b.lifetime
  }

  /// The public keys of `assertions` as a JWK Set (RFC 7517 section 5), each once.
  public static func keySet(_ assertions: [UserAssertion]) -> [UInt8] {
    var seen: [[UInt8]] = []
    var out = Array("{\"keys\":[".utf8)
    for assertion in assertions where !seen.contains(assertion.keyIdentifier) {
      if !seen.isEmpty { out.append(0x2C) }
      seen.append(assertion.keyIdentifier)
      out += assertion.publicJWK
    }
    return out + Array("]}".utf8)
  }
}

/// Why a key can't sign assertions. Continues "the key can't be used: …"; nothing of the key is in it.
public struct AssertionFault: Error, Equatable, Sendable {
  public var reason: String
}
