// Digest towards one server as one account (RFC 7616): the nonce that it gave us last, and the answers that we make of it. Sent with each request from the
// second one on, so that only the first, and one whose nonce has grown old, go twice.

internal import Crypto
public import Primitives

/// Belongs to one worker: two that counted one nonce would have to ask each other.
public final class DigestSession {
  public let account: Account
  private var challenge: DigestChallenge?
  /// H(A1) in hexadecimal digits: as good as the password, for this realm.
  private var key = Secret()
  private var clientNonce: [UInt8] = []
  private var count: UInt32 = 0
  /// Which of the nonces that it has had this is; 0 for none.
  public private(set) var generation = 0
  /// Whether the server took an answer that was made of it.
  private var isProved = false

  private let makeClientNonce: () -> [UInt8]

  public convenience init(_ account: Account) {
    self.init(account) { RandomBytes.array(16).flatMap { [ASCII.lowerHexDigit($0 >> 4), ASCII.lowerHexDigit($0 & 15)] } }
  }

  /// For tests.
  init(_ account: Account, clientNonce: @escaping () -> [UInt8]) {
    self.account = account
    makeClientNonce = clientNonce
  }

  /// The line for a request, with its end; nil while there is no nonce.
  ///
  /// - Parameters:
  ///   - method: as it is sent.
  ///   - target: as it is sent.
  public func line(method: Span<UInt8>, target: Span<UInt8>) -> Secret? {
    guard let challenge else { return nil }
    count &+= 1  // of a nonce that never grows old; the server then asks for another
    let hash = challenge.hash
    var second = Secret(capacity: method.count + target.count + 2)
    second.append(method)
    second.append(0x3A)
    second.append(target)
    let request = hash.hex(second)
    let number = Self.eightDigits(count)
    var input = Secret(capacity: 512)
    input.append(key.span)
    input.append(0x3A)
    input.append(challenge.nonce.span)
    if challenge.hasQuality {
      for part in [number, clientNonce, Array("auth".utf8)] {
        input.append(0x3A)
        input.append(part.span)
      }
    }
    input.append(0x3A)
    input.append(request.span)
    let response = hash.hex(input)

    var line = Secret(capacity: 512 + target.count)
    line.append(text: "Authorization: Digest ")
    appendName(challenge, &line)
    // Between quotes as it stood there.
    Self.append("realm", challenge.realm, escaping: false, &line)
    Self.append("nonce", challenge.nonce, escaping: false, &line)
    Self.append("uri", ASCII.array(target), escaping: true, &line)
    Self.append("response", response, escaping: false, &line)
    if let algorithm = challenge.algorithm {
      line.append(text: "algorithm=")
      line.append(algorithm.span)
      line.append(text: ", ")
    }
    if let opaque = challenge.opaque { Self.append("opaque", opaque, escaping: false, &line) }
    if challenge.hasQuality {
      line.append(text: "qop=auth, nc=")
      line.append(number.span)
      line.append(text: ", ")
      Self.append("cnonce", clientNonce, escaping: false, &line)
    }
    line.truncate(to: line.count - 2)
    line.append(text: "\r\n")
    return line
  }

  public enum Verdict: Equatable, Sendable {
    /// Make a new line, and send the request again.
    case again
    /// Nothing that we can answer is asked for.
    case unknown
    /// It does not take the account.
    case refused
  }

  /// The server has answered 401.
  ///
  /// - Parameters:
  ///   - values: of all its WWW-Authenticate fields.
  ///   - generation: of the nonce that the request was sent with; nil for none.
  ///   - mayRepeat: whether the request may go once more. What the server says is remembered all the same.
  public func challenged(_ values: [[UInt8]], sentWith generation: Int?, mayRepeat: Bool = true) -> Verdict {
    guard let fresh = DigestChallenge.best(of: values) else { return .unknown }
    // Another request has brought a newer nonce meanwhile.
    if let generation, generation < self.generation, mayRepeat { return .again }
    let wasProved = isProved
    adopt(fresh)
    // A wrong password is tried once for each request, not twice, or services that lock accounts would lock ours the sooner. Some say nothing of `stale`
    // when their nonce has grown old.
    guard generation == nil || fresh.isStale || wasProved else { return .refused }
    return mayRepeat ? .again : .refused
  }

  /// The server has answered something else.
  ///
  /// - Parameter information: of its Authentication-Info field, which may bring the next nonce (RFC 7616 section 3.5).
  public func accepted(_ information: [UInt8]?, sentWith generation: Int?) {
    guard generation == self.generation, generation != 0 else { return }
    isProved = true
    guard let information, var next = challenge else { return }
    for (name, value) in AuthParameters.list(in: information.span) where name == Array("nextnonce".utf8) {
      guard !value.isEmpty, value.count <= DigestChallenge.longest else { return }
      next.nonce = value
      adopt(next)
      isProved = true
    }
  }

  private func adopt(_ fresh: DigestChallenge) {
    challenge = fresh
    generation += 1
    count = 0
    isProved = false
    clientNonce = makeClientNonce()
    var first = Secret(capacity: 256)
    let name = account.name
    first.append(name.span)
    first.append(0x3A)
    first.append(fresh.realm.span)
    first.append(0x3A)
    account.withSecret { first.append($0.span) }
    var hex = fresh.hash.hex(first)
    if fresh.isSession {
      var session = Secret(capacity: 256)
      session.append(hex.span)
      session.append(0x3A)
      session.append(fresh.nonce.span)
      session.append(0x3A)
      session.append(clientNonce.span)
      hex = fresh.hash.hex(session)
    }
    key = Secret(moving: &hex)
  }

  /// RFC 7616 sections 3.4 and 3.4.4: the name as it is, its hash, or in the notation of RFC 8187.
  private func appendName(_ challenge: DigestChallenge, _ line: inout Secret) {
    if challenge.hashesUser {
      var input = Secret(capacity: 128)
      let name = account.name
      input.append(name.span)
      input.append(0x3A)
      input.append(challenge.realm.span)
      Self.append("username", challenge.hash.hex(input), escaping: false, &line)
      line.append(text: "userhash=true, ")
    } else if challenge.isUTF8 && account.name.contains(where: { $0 >= 0x80 }) {
      line.append(text: "username*=UTF-8''")
      for byte in account.name {
        if ASCII.isAlpha(byte) || ASCII.isDigit(byte) {
          line.append(byte)
        } else {
          line.append(0x25)
          line.append(ASCII.upperHexDigit(byte >> 4))
          line.append(ASCII.upperHexDigit(byte & 15))
        }
      }
      line.append(text: ", ")
    } else {
      Self.append("username", account.name, escaping: true, &line)
    }
  }

  private static func append(_ name: String, _ value: [UInt8], escaping: Bool, _ line: inout Secret) {
    line.append(text: name)
    line.append(text: "=\"")
    for byte in value {
      if escaping && (byte == 0x22 || byte == 0x5C) { line.append(0x5C) }
      line.append(byte)
    }
    line.append(text: "\", ")
  }

  private static func eightDigits(_ number: UInt32) -> [UInt8] {
    (0..<8).map { ASCII.lowerHexDigit(UInt8(truncatingIfNeeded: number >> UInt32(28 - 4 * $0)) & 15) }
  }
}
