// Everything that must never show in a log: passwords and tokens that the tests used, in every form in which they travel.

import Foundation

enum Secrets {
  /// Secrets are thousands by the end of a run, and the log of a suite under load has megabytes: it is read once, not once for each of them.
  private struct Known {
    var secrets: Set<String> = []
    /// Every form of every secret, by its first bytes.
    var forms: [UInt64: [(bytes: [UInt8], secret: String)]] = [:]
    /// Where `forms` may have something; by the hash of a key.
    var marks = [Bool](repeating: false, count: 1 << 20)

    static func place(of key: UInt64) -> Int { Int((key &* 0x9E37_79B9_7F4A_7C15) >> 44) }

    mutating func keep(_ secret: String) {
      // What is shorter stands in a log by chance.
      guard secrets.insert(secret).inserted, secret.utf8.count >= Secrets.prefix else { return }
      let escaped = secret.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? secret
      for bytes in Set([Array(secret.utf8), Array(escaped.utf8)]) {
        let key = bytes.prefix(Secrets.prefix).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        forms[key, default: []].append((bytes, secret))
        marks[Self.place(of: key)] = true
      }
    }

    func found(in text: [UInt8]) -> Set<String> {
      var found: Set<String> = []
      var key: UInt64 = 0
      var end = 0
      while end < text.count {
        key = (key << 8 | UInt64(text[end])) & (1 << (8 * UInt64(Secrets.prefix)) - 1)
        end += 1
        guard end >= Secrets.prefix, marks[Self.place(of: key)] else { continue }
        for form in forms[key] ?? [] where text[(end - Secrets.prefix)...].starts(with: form.bytes) { found.insert(form.secret) }
      }
      return found
    }
  }

  private static let prefix = 6
  private static let known = Monitor(Known())

  /// From now on no log may hold `secret`. Gives it back.
  @discardableResult
  static func keep(_ secret: String) -> String {
    known.with { $0.keep(secret) }
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
    let text = Array(text.utf8)
    return known.with { $0.found(in: text).sorted() }
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
