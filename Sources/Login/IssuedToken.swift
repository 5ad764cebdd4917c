// What a token endpoint answers (RFC 6749 sections 5.1 and 5.2): an access token that can be sent as it is, or why there is none.

public import Primitives

/// An access token that was issued to us. Wiped when it goes.
public final class IssuedToken: Sendable {
  private let line: Secret
  /// For how long it is good, from when it was asked for.
  public let lifetime: Interval

  /// What is believed of an endpoint that does not say how long its tokens are good.
  public static let assumedLifetime = Interval.seconds(300)
  /// A token is asked for anew at least so often, however long it would be good.
  public static let longestLifetime = Interval.seconds(86_400)
  /// Services take no longer heads than that.
  static let longest = 16 << 10

  private init(line: consuming Secret, lifetime: Interval) {
    self.line = line
    self.lifetime = lifetime
  }

  /// Lends the field's line, with its end.
  public func withLine(_ body: (borrowing Secret) -> Void) { body(line) }

  /// - Parameter bytes: the body of a 200.
  /// - Throws: why it can't be used; continues "it …" and holds nothing of it.
  public static func parse(_ bytes: Span<UInt8>) throws(AccountFault) -> IssuedToken {
    // Taken out of the value at once: it would be a second owner of what is wiped below.
    var members: [JSON.Member] = []
    do {
      if case .object(let found) = try JSON.parse(bytes, depth: 16) { members = found }
    } catch {
      throw AccountFault(reason: "answered with something that is not JSON: \(error)")
    }
    var token: [UInt8]?
    var kind: [UInt8]?
    var lifetime = assumedLifetime
    for i in members.indices {
      let value = members[i].value
      switch members[i].name {
      case Array("access_token".utf8):
        // Out of the list, so that it stands nowhere else.
        members[i].value = .null
        guard case .string(let text) = value else { throw AccountFault(reason: "answered with an 'access_token' that is no string") }
        token = text
      case Array("token_type".utf8): kind = value.string
      case Array("expires_in".utf8): lifetime = try Self.lifetime(value)
      default: break
      }
    }
    guard var token else { throw AccountFault(reason: "answered without an 'access_token'") }
    var secret = Secret(moving: &token)
    guard let kind, ASCII.equals(kind.span, ignoringCaseOf: "bearer") else {
      secret.removeAll()
      throw AccountFault(reason: "answered with a token of another type than Bearer")
    }
    guard secret.count <= longest else { throw AccountFault(reason: "answered with a token of more than \(longest) bytes") }
    guard Account.isToken(secret.span) else { throw AccountFault(reason: "answered with a token that no header may hold (RFC 6750 section 2.1)") }
    var line = Secret(capacity: secret.count + 32)
    line.append(text: "Authorization: Bearer ")
    line.append(secret.span)
    line.append(text: "\r\n")
    return IssuedToken(line: line, lifetime: lifetime)
  }

  private static func lifetime(_ value: JSON) throws(AccountFault) -> Interval {
    let seconds: Int64? =
      switch value {
      case .number(let number): number.truncated
      // RFC 6749 says a number; some have always said it in quotes.
      case .string(let digits) where !digits.isEmpty && digits.count <= 18 && digits.allSatisfy(ASCII.isDigit): Int64(String(decoding: digits, as: UTF8.self))
      default: nil
      }
    guard let seconds else { throw AccountFault(reason: "answered with an 'expires_in' that is no number") }
    guard seconds > 0 else { throw AccountFault(reason: "answered with a token that has expired already") }
    // The smaller before it is nanoseconds: as those any number of seconds may be too many.
    return .seconds(min(UInt64(seconds), longestLifetime.nanoseconds / 1_000_000_000))
  }

  /// What an answer other than 200 says, for the log: nothing but a status and one of the words that RFC 6749 section 5.2 or an extension has for it.
  public static func refusal(_ status: Int, _ bytes: Span<UInt8>) -> String {
    let answer = "answered \(status)"
    guard let word = (try? JSON.parse(bytes, depth: 16))?["error"]?.string, (1...64).contains(word.count),
      word.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x5F || $0 == 0x2D })
    else { return answer }
    return "\(answer) (\(String(decoding: word, as: UTF8.self)))"
  }
}
