// AWS Signature Version 4, for S3 and what speaks as it does. Signs what is sent, byte for byte as it is sent: the canonical forms are made here, and the
// request itself stays as it was composed. (libcurl 7.88's canonicalises neither path nor query.)

internal import Crypto
public import Primitives

/// What a signature is good for, beside the day.
public struct SigV4Scope: Equatable, Sendable {
  /// As AWS names them, `eu-central-1` and `s3`: letters, digits and hyphens, in lower case.
  public var region: [UInt8]
  public var service: [UInt8]

  public init(region: [UInt8], service: [UInt8]) {
    self.region = region
    self.service = service
  }

  /// S3 takes paths as they are, all others encode them once more; and S3 alone takes bodies that are not signed.
  var isS3: Bool { service == Array("s3".utf8) }
}

/// A field that is signed: name in lower case, value without outer white space.
public struct SigV4Field: Sendable {
  public var name: [UInt8]
  public var value: [UInt8]

  public init(name: [UInt8], value: [UInt8]) {
    self.name = name
    self.value = value
  }
}

public enum SigV4 {
  /// Fields that we write: a client's own of these names are not forwarded.
  public static let fields: [[UInt8]] = ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"].map { Array($0.utf8) }

  /// Whether a client's field would have our account do more than the request's path says: copy from elsewhere, give rights away, pass over locks. Signed
  /// by us, the store would take our word for it. Metadata and checksums of the client's own object are his to say.
  public static func isBeyond(_ name: Span<UInt8>) -> Bool {
    let folded = name.indices.map { ASCII.isAlpha(name[$0]) || ASCII.isDigit(name[$0]) ? ASCII.lowercased(name[$0]) : 0x2D }
    guard folded.starts(with: bytes("x-amz-")), !fields.contains(folded) else { return false }
    return !["x-amz-meta-", "x-amz-checksum-", "x-amz-sdk-"].contains { folded.starts(with: bytes($0)) } && folded != bytes("x-amz-user-agent")
  }

  /// The same of a query: stores take parameters of these names for fields, as presigned URLs have them.
  public static func isBeyond(query: Span<UInt8>) -> Bool {
    // Some take a semicolon for an ampersand.
    ASCII.array(query).split { $0 == 0x26 || $0 == 0x3B }.contains { isBeyond(decoded(Array($0.prefix { $0 != 0x3D })).span) }
  }

  /// The lines of a login, with their ends: the time, what is said of the body, and the signature.
  ///
  /// - Parameters:
  ///   - target: path and query, as they are sent.
  ///   - fields: `host`, and every `x-amz-…` that is sent: AWS wants those signed.
  ///   - hasBody: whether one follows. It streams, so that nobody knows its hash: it is said to be unsigned, which TLS makes up for.
  public static func lines(
    _ account: Account, _ scope: SigV4Scope, method: [UInt8], target: [UInt8], fields: [SigV4Field], hasBody: Bool, at now: Timestamp
  ) -> Secret {
    let time = timeText(now)
    let hash = hasBody ? bytes("UNSIGNED-PAYLOAD") : emptyHash
    let own = [SigV4Field(name: bytes("x-amz-date"), value: time), SigV4Field(name: bytes("x-amz-content-sha256"), value: hash)]
    let (names, signature) = signature(account, scope, method: method, target: target, fields: fields + own, payload: hash, time: time)
    var line = Secret(capacity: 512)
    for field in own {
      line.append(field.name.span)
      line.append(text: ": ")
      line.append(field.value.span)
      line.append(text: "\r\n")
    }
    line.append(text: "Authorization: AWS4-HMAC-SHA256 Credential=")
    let name = account.name
    line.append(name.span)
    line.append(text: "/")
    let place = credentialScope(scope, time)
    line.append(place.span)
    line.append(text: ", SignedHeaders=")
    line.append(names.span)
    line.append(text: ", Signature=")
    line.append(signature.span)
    line.append(text: "\r\n")
    return line
  }

  static func signature(
    _ account: Account, _ scope: SigV4Scope, method: [UInt8], target: [UInt8], fields: [SigV4Field], payload: [UInt8], time: [UInt8]
  ) -> (names: [UInt8], signature: [UInt8]) {
    let (names, request) = canonicalRequest(scope, method: method, target: target, fields: fields, payload: payload)
    var text = bytes("AWS4-HMAC-SHA256\n") + time + bytes("\n") + credentialScope(scope, time) + bytes("\n")
    text += SHA256.hash(request.span).hex
    var key = Secret(capacity: 256)
    key.append(text: "AWS4")
    account.withSecret { key.append($0.span) }
    for part in [Array(time.prefix(8)), scope.region, scope.service, bytes("aws4_request")] {
      key = code(key, part)
    }
    return (names, HMACSHA256Key(key.span).authenticate(text.span).hex)
  }

  private static func code(_ key: borrowing Secret, _ message: [UInt8]) -> Secret {
    var hex = HMACSHA256Key(key.span).authenticate(message.span).hex
    var code = Secret(capacity: 32)
    for i in 0..<32 { code.append((ASCII.hexValue(hex[i * 2]) ?? 0) << 4 | (ASCII.hexValue(hex[i * 2 + 1]) ?? 0)) }
    _ = Secret(moving: &hex)
    return code
  }

  static func canonicalRequest(
    _ scope: SigV4Scope, method: [UInt8], target: [UInt8], fields: [SigV4Field], payload: [UInt8]
  ) -> (names: [UInt8], text: [UInt8]) {
    let mark = target.firstIndex(of: 0x3F) ?? target.count
    var text = method + [0x0A]
    text += canonicalPath(Array(target[..<mark]), isS3: scope.isS3) + [0x0A]
    text += canonicalQuery(Array(target[min(mark + 1, target.count)...])) + [0x0A]
    // Of one name the values are joined in their order.
    var joined: [(name: [UInt8], value: [UInt8])] = []
    for field in fields {
      let value = collapsed(field.value)
      if let i = joined.firstIndex(where: { $0.name == field.name }) {
        joined[i].value += [0x2C] + value
      } else {
        joined.append((field.name, value))
      }
    }
    joined.sort { $0.name.lexicographicallyPrecedes($1.name) }
    for (name, value) in joined { text += name + [0x3A] + value + [0x0A] }
    let names = Array(joined.map { $0.name }.joined(separator: [0x3B]))
    text += [0x0A] + names + [0x0A] + payload
    return (names, text)
  }

  /// S3: each byte encoded once. Others: without empty segments, and what stands on the wire encoded once more.
  static func canonicalPath(_ path: [UInt8], isS3: Bool) -> [UInt8] {
    if path.isEmpty { return [0x2F] }
    if isS3 { return encoded(decoded(path), keepsSlash: true) }
    var merged: [UInt8] = []
    for byte in path where !(byte == 0x2F && merged.last == 0x2F) { merged.append(byte) }
    return encoded(merged, keepsSlash: true)
  }

  /// Names and values encoded once, in the order of their bytes.
  static func canonicalQuery(_ query: [UInt8]) -> [UInt8] {
    var pairs: [(name: [UInt8], value: [UInt8])] = []
    for part in query.split(separator: 0x26) {
      let equals = part.firstIndex(of: 0x3D) ?? part.endIndex
      let value = equals < part.endIndex ? Array(part[(equals + 1)...]) : []
      pairs.append((encoded(decoded(Array(part[..<equals])), keepsSlash: false), encoded(decoded(value), keepsSlash: false)))
    }
    pairs.sort { $0.name == $1.name ? $0.value.lexicographicallyPrecedes($1.value) : $0.name.lexicographicallyPrecedes($1.name) }
    return Array(pairs.map { $0.name + [0x3D] + $0.value }.joined(separator: [0x26]))
  }

  private static func decoded(_ text: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    var i = 0
    while i < text.count {
      if text[i] == 0x25, i + 2 < text.count, let high = ASCII.hexValue(text[i + 1]), let low = ASCII.hexValue(text[i + 2]) {
        out.append(high << 4 | low)
        i += 3
      } else {
        out.append(text[i])
        i += 1
      }
    }
    return out
  }

  private static func encoded(_ bytes: [UInt8], keepsSlash: Bool) -> [UInt8] {
    var out: [UInt8] = []
    for byte in bytes {
      switch byte {
      case 0x2D, 0x2E, 0x5F, 0x7E: out.append(byte)
      case 0x2F where keepsSlash: out.append(byte)
      case _ where ASCII.isAlpha(byte) || ASCII.isDigit(byte): out.append(byte)
      default: out += [0x25, ASCII.upperHexDigit(byte >> 4), ASCII.upperHexDigit(byte & 15)]
      }
    }
    return out
  }

  /// White space in a row is one space.
  private static func collapsed(_ value: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    for byte in value {
      if ASCII.isWhitespace(byte) {
        if out.last != 0x20 && !out.isEmpty { out.append(0x20) }
      } else {
        out.append(byte)
      }
    }
    if out.last == 0x20 { out.removeLast() }
    return out
  }

  private static func credentialScope(_ scope: SigV4Scope, _ time: [UInt8]) -> [UInt8] {
    Array(time.prefix(8)) + [0x2F] + scope.region + [0x2F] + scope.service + bytes("/aws4_request")
  }

  private static let emptyHash: [UInt8] = {
    let nothing: [UInt8] = []
    return SHA256.hash(nothing.span).hex
  }()

  /// `20150830T123600Z`.
  static func timeText(_ now: Timestamp) -> [UInt8] {
    let seconds = now.seconds
    var days = seconds / 86_400
    let second = seconds - days * 86_400
    // Days since 0000-03-01 of the proleptic Gregorian calendar, in eras of 400 years.
    days += 719_468
    let era = days / 146_097
    let day = days - era * 146_097
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
    let ofYear = day - (365 * year + year / 4 - year / 100)
    let part = (5 * ofYear + 2) / 153
    let month = part < 10 ? part + 3 : part - 9
    func digits(_ value: Int64, _ count: Int) -> String {
      let text = "\(value)"
      return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
    let date = digits(year + era * 400 + (month <= 2 ? 1 : 0), 4) + digits(month, 2) + digits(ofYear - (153 * part + 2) / 5 + 1, 2)
    return bytes("\(date)T\(digits(second / 3600, 2))\(digits(second / 60 % 60, 2))\(digits(second % 60, 2))Z")
  }

  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
}
