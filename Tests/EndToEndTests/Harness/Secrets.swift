// Everything that must never show in a log: passwords and tokens that the tests used, in every form in which they travel.

import Foundation

enum Secrets {
  private static let known = Monitor<Set<String>>([])

  /// From now on no log may hold `secret`. Gives it back.
  @discardableResult
  static func keep(_ secret: String) -> String {
    known.with { _ = $0.insert(secret) }
    return secret
  }

  /// The value of an `Authorization` field for Basic (RFC 7617); the password and the encoded pair are kept secret.
  static func basic(_ user: String, _ password: String) -> String { basic([UInt8]("\(user):\(password)".utf8), password) }

  static func basic(_ pair: [UInt8], _ password: String) -> String {
    keep(password)
    return "Basic " + keep(Data(pair).base64EncodedString())
  }

  /// The secrets that stand in `text`, as they are or escaped as in a URL.
  static func found(in text: String) -> [String] {
    known.with { known in
      known.filter { secret in
        guard secret.utf8.count >= 6 else { return false }
        let escaped = secret.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? secret
        return text.contains(secret) || text.contains(escaped)
      }
    }
  }
}

/// The people of the standard user file. Cheap hashes where the kind does not matter, so that the tests are about something else.
enum People {
  struct Person: Sendable {
    let name: String
    let password: String

    var authorization: String { "Authorization: " + Secrets.basic(name, password) }
    /// As curl's `-u` takes it.
    var pair: String { "\(name):\(Secrets.keep(password))" }
  }

  /// {SHA}; the password has a colon and a space.
  static let alice = Person(name: "alice", password: "Ahoy-7:alice pass")
  /// {SSHA}; in the groups staff and admin.
  static let bob = Person(name: "bob", password: "Bravo-8-bob-pass")
  /// bcrypt, cost 5.
  static let carol = Person(name: "carol", password: "Casual-3-carol-pass")
  /// sha512-crypt.
  static let dave = Person(name: "dave", password: "Dainty-4-dave-pass")
  /// Locked.
  static let mallory = Person(name: "mallory", password: "Mild-9-mallory-pass")
  /// Expired.
  static let erin = Person(name: "erin", password: "Eager-5-erin-pass")

  static let file = """
    # people of the tests
    alice:{SHA}ZrcDwahtmvqX2+fQOseI84f5MVM=:groups=staff
    bob:{SSHA}KLtl52LgGUsrtvr9U59a/4RvCsZzYWx0c2FsdA==:groups=staff admin

    carol:$2y$05$YGvQ8PCNAJuqlFCJTI53dOTPlqIFqI/7CNvQnrKJQboPAP4xLjkp6
    dave:$6$abcdefgh$lYA.Y0rPtmLSXM0UbzQRQNjpFHrukFpOMijBO9aE.L.yakEFBdzBDX6Y6q3iZ6rXBeaFzSj2GVHJIPTclpKbl.
    mallory:{SHA}QnIiooh0ah7C072oaFur/iLMLOc=:locked
    erin:{SHA}19nSiaucXIppa+pI0QJou65XiCU=:expires=2020-01-01

    """
}
