// The keys of an issuer, from the bytes of a file: one key (PEM or a secret), or a JWK Set (RFC 7517). Each key is pinned to the algorithms
// that it may be used with when the file is read; a token can't choose others.

internal import Crypto
internal import Primitives

/// Immutable: a changed file makes a new one.
public struct ForeignKeySet: Sendable {
  struct Key: Sendable {
    /// nil when it has none: it may then be the key of any token.
    var kid: [UInt8]?
    var key: VerificationKey
    var algorithms: [SignatureAlgorithm]
  }

  let keys: [Key]
  /// What was left out of a set, and why.
  public let warnings: [String]

  /// Largest file, in bytes.
  public static let largest = 1 << 20
  static let mostKeys = 64

  public var count: Int { keys.count }

  /// What kinds of keys there are, for people: `2 keys (RSA, 2048 bits; EC, P-256)`.
  public var summary: String {
    var kinds: [String] = []
    for key in keys where !kinds.contains(key.key.kind.description) { kinds.append(key.key.kind.description) }
    return "\(keys.count) key\(keys.count == 1 ? "" : "s") (\(kinds.joined(separator: "; ")))"
  }

  /// Reads a key file for the algorithms that its issuer uses.
  public init(parsing file: [UInt8], _ format: ForeignIssuer.KeyFormat, for algorithms: TokenAlgorithms) throws(ForeignKeyFault) {
    guard file.count <= Self.largest else { throw ForeignKeyFault("it has more than \(Self.largest) bytes") }
    switch format {
    case .single:
      keys = [try Self.single(file, algorithms)]
      warnings = []
    case .set:
      (keys, warnings) = try Self.set(file, algorithms)
    }
  }

  // MARK: One key

  private static func single(_ file: [UInt8], _ algorithms: TokenAlgorithms) throws(ForeignKeyFault) -> Key {
    let key: VerificationKey
    do throws(VerificationKeyFault) {
      key = algorithms.areOfSecrets ? try secret(file) : try VerificationKey(pem: file.span)
    } catch {
      throw ForeignKeyFault("\(error)")
    }
    for algorithm in algorithms.list where !key.fits(algorithm) {
      throw ForeignKeyFault("\(algorithm.name) does not go with this key (\(key.kind.description))")
    }
    return Key(kid: nil, key: key, algorithms: algorithms.list)
  }

  /// The file as it is but for the line end that editors put behind it.
  private static func secret(_ file: [UInt8]) throws(VerificationKeyFault) -> VerificationKey {
    var secret = file[...]
    if secret.last == 0x0A { secret.removeLast() }
    if secret.last == 0x0D { secret.removeLast() }
    let text = Array(secret)
    // A public key is known to everybody: with it as the secret, everybody could sign.
    if text.count > 10, ASCII.equals(text.span.extracting(0..<10), "-----BEGIN") {
      throw .unusable("it is PEM, and HS256, HS384 and HS512 take a secret")
    }
    return try VerificationKey(secret: text.span)
  }

  // MARK: A set

  private static func set(_ file: [UInt8], _ algorithms: TokenAlgorithms) throws(ForeignKeyFault) -> ([Key], [String]) {
    let json: JSON
    do throws(JSONFailure) {
      json = try JSON.parse(file.span, mostMembers: JWSParts.mostMembers)
    } catch {
      throw ForeignKeyFault("it is no JSON that can be taken: \(error)")
    }
    guard let entries = json["keys"]?.array else { throw ForeignKeyFault("it is no JWK Set: there is no array \"keys\" in it") }
    guard entries.count <= mostKeys else { throw ForeignKeyFault("it has \(entries.count) keys, and at most \(mostKeys) are read") }
    var keys: [Key] = []
    var warnings: [String] = []
    for (index, entry) in entries.enumerated() {
      let name =
        entry["kid"]?.string.map { UserName.isLoggable($0.span) ? " (\(String(decoding: $0.prefix(64), as: UTF8.self)))" : "" } ?? ""
      // Also of a key that is not used: it was never meant to be in this file.
      if isPrivate(entry) { throw ForeignKeyFault("key \(index + 1)\(name): \(VerificationKeyFault.privateKey)") }
      do throws(ForeignKeyFault) {
        keys.append(try JWK.read(entry, algorithms))
      } catch {
        warnings.append("key \(index + 1)\(name) is left out: \(error)")
      }
    }
    guard !keys.isEmpty else {
      throw ForeignKeyFault(
        warnings.isEmpty ? "there are no keys in it" : "no key can be used: " + warnings.prefix(5).joined(separator: "; "))
    }
    return (keys, warnings)
  }

  private static func isPrivate(_ entry: JSON) -> Bool {
    entry["d"] != nil || entry["p"] != nil || entry["q"] != nil || entry["dp"] != nil || entry["dq"] != nil || entry["qi"] != nil
  }
}

/// Why a file holds no keys that can be used. Holds no part of a key.
public struct ForeignKeyFault: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// One entry of a set.
private enum JWK {
  /// Throws why the entry is to be left out.
  static func read(_ entry: JSON, _ algorithms: TokenAlgorithms) throws(ForeignKeyFault) -> ForeignKeySet.Key {
    // RFC 7517 sections 4.2 and 4.3.
    if let use = entry["use"], use.string != Array("sig".utf8) { throw ForeignKeyFault("its use is not sig") }
    if let operations = entry["key_ops"] {
      guard operations.array?.contains(.string(Array("verify".utf8))) == true else {
        throw ForeignKeyFault("verify is not among its key_ops")
      }
    }
    let kid = entry["kid"]?.string
    if entry["kid"] != nil && (kid == nil || kid?.isEmpty == true || (kid?.count ?? 0) > JWSParts.longestKid) {
      throw ForeignKeyFault("its kid is no string of 1 to \(JWSParts.longestKid) bytes")
    }
    var allowed = algorithms.list
    if let alg = entry["alg"] {
      guard let name = alg.string, let own = SignatureAlgorithm(name: name.span) else { throw ForeignKeyFault("its alg is not supported") }
      allowed = allowed.filter { $0 == own }
      if allowed.isEmpty { throw ForeignKeyFault("its alg, \(own.name), is not among the algorithms of this issuer") }
    }
    let key: VerificationKey
    do throws(VerificationKeyFault) {
      key = try material(entry, algorithms)
    } catch {
      throw ForeignKeyFault("\(error)")
    }
    let fitting = allowed.filter { key.fits($0) }
    guard !fitting.isEmpty else {
      throw ForeignKeyFault("none of the algorithms of this issuer goes with it (\(key.kind.description))")
    }
    return ForeignKeySet.Key(kid: kid, key: key, algorithms: fitting)
  }

  private static func material(_ entry: JSON, _ algorithms: TokenAlgorithms) throws(VerificationKeyFault) -> VerificationKey {
    guard let kty = entry["kty"]?.string else { throw .unusable("it has no kty") }
    let crv = entry["crv"]?.string.map { String(decoding: $0, as: UTF8.self) }
    switch (String(decoding: kty, as: UTF8.self), crv) {
    case ("RSA", _):
      let (n, e) = (try number(entry["n"], "n"), try number(entry["e"], "e"))
      return try VerificationKey(rsaModulus: n.span, exponent: e.span)
    case ("EC", "P-256"), ("EC", "P-384"):
      let (x, y) = (try number(entry["x"], "x"), try number(entry["y"], "y"))
      return try VerificationKey(curve: crv == "P-256" ? .p256 : .p384, x: x.span, y: y.span)
    case ("OKP", "Ed25519"):
      let x = try number(entry["x"], "x")
      return try VerificationKey(ed25519: x.span)
    case ("oct", _):
      // A secret among public keys has been published, or soon will be.
      guard algorithms.areOfSecrets else { throw .unusable("it is a secret, and this issuer's algorithms are those of public keys") }
      let k = try number(entry["k"], "k")
      return try VerificationKey(secret: k.span)
    default: throw .unsupported("its kind")
    }
  }

  private static func number(_ member: JSON?, _ name: StaticString) throws(VerificationKeyFault) -> [UInt8] {
    guard let text = member?.string, let bytes = Base64.decodeURLSafe(text.span), !bytes.isEmpty else {
      throw .unusable("\(name) is no Base64url")
    }
    return bytes
  }
}
