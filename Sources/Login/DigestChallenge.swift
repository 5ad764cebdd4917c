// What a server says in WWW-Authenticate when it asks for Digest (RFC 7616 section 3.3), out of all that it may ask for.

public import Crypto
internal import Primitives

/// One Digest challenge that we can answer.
public struct DigestChallenge: Equatable, Sendable {
  /// As between the quotes, escapes included: they are echoed and hashed as they came (`unq`, RFC 7616 section 3.3).
  public var realm: [UInt8] = []
  public var nonce: [UInt8] = []
  public var opaque: [UInt8]?
  public var hash = DigestHash.md5
  /// Whether the algorithm was named: then it is named in the answer as well.
  var algorithm: [UInt8]?
  public var isSession = false
  /// Whether `qop` offers `auth`. Without any `qop` the answer has the older form of RFC 2069.
  public var hasQuality = false
  public var isStale = false
  public var hashesUser = false
  public var isUTF8 = false

  static let longest = 2048

  /// The one to answer of those in `values`, one for each field: SHA-256 before MD5 (RFC 7616 section 3.7: the first that we know; many put MD5
  /// first for the sake of clients that know no other). Nil when there is none that we can answer.
  public static func best(of values: [[UInt8]]) -> DigestChallenge? {
    let all = values.flatMap { challenges(in: $0.span) }
    return all.first { $0.hash == .sha256 } ?? all.first
  }

  private static func challenges(in value: Span<UInt8>) -> [DigestChallenge] {
    var found: [DigestChallenge] = []
    for challenge in AuthParameters.challenges(in: value) where challenge.scheme == Array("digest".utf8) {
      if let digest = DigestChallenge(challenge.parameters) { found.append(digest) }
    }
    return found
  }

  init?(_ parameters: [(name: [UInt8], value: [UInt8])]) {
    var hasRealm = false
    for (name, value) in parameters {
      guard value.count <= Self.longest else { return nil }
      let lower = value.map(ASCII.lowercased)
      switch String(decoding: name, as: UTF8.self) {
      case "realm": (realm, hasRealm) = (value, true)
      case "nonce": nonce = value
      case "opaque": opaque = value
      case "stale": isStale = lower == Array("true".utf8)
      case "userhash": hashesUser = lower == Array("true".utf8)
      case "charset": isUTF8 = lower == Array("utf-8".utf8)
      case "qop":
        hasQuality = lower.split { $0 == 0x2C || ASCII.isWhitespace($0) }.contains { Array($0) == Array("auth".utf8) }
        // `auth-int` alone: the answer would need the whole body first.
        if !hasQuality && !lower.isEmpty { return nil }
      case "algorithm":
        algorithm = value
        switch String(decoding: lower, as: UTF8.self) {
        case "md5": hash = .md5
        case "md5-sess": (hash, isSession) = (.md5, true)
        case "sha-256": hash = .sha256
        case "sha-256-sess": (hash, isSession) = (.sha256, true)
        default: return nil
        }
      default: break
      }
    }
    // RFC 7616 section 3.4.2: a session's key has a cnonce, which goes with `qop` alone.
    guard hasRealm, !nonce.isEmpty, hasQuality || !isSession else { return nil }
  }
}

/// RFC 9110 section 11.6.1: challenges and parameters, several in one field.
enum AuthParameters {
  struct Challenge {
    /// In lower case.
    var scheme: [UInt8]
    /// Names in lower case; values as between their quotes.
    var parameters: [(name: [UInt8], value: [UInt8])] = []
  }

  static func challenges(in text: Span<UInt8>) -> [Challenge] {
    var found: [Challenge] = []
    var i = 0
    while true {
      while i < text.count && (text[i] == 0x2C || ASCII.isWhitespace(text[i])) { i += 1 }
      let start = i
      while i < text.count && ASCII.isToken(text[i]) { i += 1 }
      // What is neither a token nor a separator ends what can be understood.
      if i == start { return found }
      let token = ASCII.array(text.extracting(start..<i)).map(ASCII.lowercased)
      var next = i
      while next < text.count && ASCII.isWhitespace(text[next]) { next += 1 }
      guard next < text.count, text[next] == 0x3D, !found.isEmpty else {
        found.append(Challenge(scheme: token))
        continue
      }
      i = next + 1
      while i < text.count && ASCII.isWhitespace(text[i]) { i += 1 }
      guard let value = value(text, &i) else { return found }
      found[found.count - 1].parameters.append((token, value))
    }
  }

  /// The parameters of a field that has no scheme (Authentication-Info).
  static func list(in text: Span<UInt8>) -> [(name: [UInt8], value: [UInt8])] {
    var whole = Array("x ".utf8)
    whole += ASCII.array(text)
    return challenges(in: whole.span).first?.parameters ?? []
  }

  private static func value(_ text: Span<UInt8>, _ i: inout Int) -> [UInt8]? {
    guard i < text.count, text[i] == 0x22 else {
      let start = i
      // Also what should have stood in quotes.
      while i < text.count && text[i] != 0x2C && !ASCII.isWhitespace(text[i]) { i += 1 }
      return ASCII.array(text.extracting(start..<i))
    }
    i += 1
    let start = i
    while i < text.count && text[i] != 0x22 { i += text[i] == 0x5C ? 2 : 1 }
    guard i < text.count else { return nil }
    let value = ASCII.array(text.extracting(start..<i))
    i += 1
    return value
  }
}
