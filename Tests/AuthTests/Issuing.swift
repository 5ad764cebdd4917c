// Issuers for tests: tokens signed with HS256 by a secret of our own, with whatever header and claims a test wants.

import Crypto
import Primitives

@testable import Auth

enum Issuing {
  static let secret = [UInt8](repeating: 0x73, count: 32)
  static let now: Int64 = 1_800_000_000

  static func encoded(_ text: String) -> String {
    let bytes = Array(text.utf8)
    return String(decoding: Base64.encodeURLSafe(bytes.span), as: UTF8.self)
  }

  /// A token with this header and payload, whatever they say.
  static func token(_ claims: String, header: String = #"{"alg":"HS256","typ":"JWT"}"#, secret: [UInt8] = Issuing.secret) -> String {
    let input = "\(encoded(header)).\(encoded(claims))"
    let bytes = Array(input.utf8)
    let digest = HMACSHA256Key(secret.span).authenticate(bytes.span)
    let code = stride(from: 0, to: 64, by: 2).map { i in
      (ASCII.hexValue(digest.hex[i]) ?? 0) << 4 | (ASCII.hexValue(digest.hex[i + 1]) ?? 0)
    }
    return "\(input).\(String(decoding: Base64.encodeURLSafe(code.span), as: UTF8.self))"
  }

  /// Claims of a sound token of `example` for alice; `more` begins with a comma.
  static func claims(_ more: String = "", sub: String = "alice", exp: Int64 = now + 600) -> String {
    #"{"iss":"example","aud":"svc","sub":"\#(sub)","exp":\#(exp)\#(more)}"#
  }

  static func algorithms(_ names: String...) -> TokenAlgorithms {
    var algorithms = TokenAlgorithms()
    for name in names { precondition(algorithms.insert(named: name)) }
    return algorithms
  }

  /// `example`, with HS256 and the secret above, for the audience `svc`.
  static func issuer(_ change: (inout ForeignIssuer) -> Void = { _ in }) -> ForeignIssuer {
    var issuer = ForeignIssuer()
    issuer.issuer = bytes("example")
    issuer.audiences = [bytes("svc")]
    issuer.algorithms = algorithms("HS256")
    change(&issuer)
    return issuer
  }

  static func tokens(_ issuers: ForeignIssuer...) throws -> ForeignTokens {
    ForeignTokens(try issuers.map { .init($0, try ForeignKeySet(parsing: secret, .single, for: $0.algorithms)) })
  }

  /// What a token proves, in words: `alice [staff]` or the label of a refusal.
  static func outcome(_ token: String, _ tokens: ForeignTokens, _ users: UserTable, at seconds: Int64 = now) -> String {
    let text = bytes(token)
    switch tokens.prove(text.span, users: users, at: Timestamp(seconds: seconds)) {
    case .token(let token):
      let groups = token.user.groups.map { String(decoding: $0, as: UTF8.self) }
      return "\(String(decoding: token.user.name, as: UTF8.self)) [\(groups.joined(separator: " "))]"
    case .refused(let reason, _): return "\(reason.label)"
    }
  }
}
