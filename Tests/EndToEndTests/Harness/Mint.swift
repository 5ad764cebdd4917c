// Tokens by an independent implementation: PyJWT with the Python package cryptography, from Debian's packages. Keys are made once a run.

import Foundation

enum Mint {
  /// Public keys in PEM, and the same as a JWK Set in which each has its name as `kid`.
  struct Keys: Decodable, Sendable {
    var pem: [String: String]
    var certificate: String
    var set: String
    fileprivate var privates: [String: String]
  }

  /// rsa (2048 bits), rsa2 (another), p256, p384, ed (Ed25519).
  static func keys() throws -> Keys { try made.get() }

  /// For HS256, HS384 and HS512.
  static let secret = "the quick brown fox jumps over the lazy dog, twice: and back it goes"

  private static let made = Swift.Result { () throws -> Keys in
    let program = """
      import base64, datetime, json, sys
      from cryptography import x509
      from cryptography.hazmat.primitives import hashes, serialization as ser
      from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
      keys = {"rsa": rsa.generate_private_key(65537, 2048), "rsa2": rsa.generate_private_key(65537, 2048),
              "p256": ec.generate_private_key(ec.SECP256R1()), "p384": ec.generate_private_key(ec.SECP384R1()),
              "ed": ed25519.Ed25519PrivateKey.generate()}
      def b64(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
      def number(value): return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
      def jwk(name, key):
          public = key.public_key()
          if name.startswith("rsa"):
              n = public.public_numbers()
              return {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
          if name == "ed":
              return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw))}
          n, size = public.public_numbers(), 32 if name == "p256" else 48
          return {"kty": "EC", "crv": "P-256" if name == "p256" else "P-384", "x": b64(n.x.to_bytes(size, "big")), "y": b64(n.y.to_bytes(size, "big"))}
      def pem(key): return key.public_key().public_bytes(ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo).decode()
      def private(key): return key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()).decode()
      name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
      day = datetime.datetime(2020, 1, 1)
      certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(keys["rsa"].public_key()).serial_number(1) \\
          .not_valid_before(day).not_valid_after(day + datetime.timedelta(days=1)).sign(keys["rsa"], hashes.SHA256())
      json.dump({"pem": {k: pem(v) for k, v in keys.items()}, "privates": {k: private(v) for k, v in keys.items()},
                 "certificate": certificate.public_bytes(ser.Encoding.PEM).decode(),
                 "set": json.dumps({"keys": [dict(jwk(k, v), kid=k, use="sig") for k, v in keys.items()]})}, sys.stdout)
      """
    return try JSONDecoder().decode(Keys.self, from: Data(try run(program, []).utf8))
  }

  /// A token to be made.
  struct Order: Encodable {
    /// Of the algorithm; PyJWT writes it into the header.
    var algorithm: String
    /// The name of a key, `secret`, or `none`.
    var key: String
    /// Claims as JSON; `NOW` in it is the time in seconds.
    var claims: String
    var headers: [String: String] = [:]
  }

  /// Made by PyJWT's `encode`. No log may hold one of them.
  static func tokens(_ orders: [Order]) throws -> [String] {
    let program = """
      import json, jwt, sys, time
      given = json.load(sys.stdin)
      keys = dict(given["keys"], secret=given["secret"], none=None)
      made = []
      for order in given["orders"]:
          claims = json.loads(order["claims"].replace("NOW", str(int(time.time()))))
          made.append(jwt.encode(claims, keys[order["key"]], algorithm=order["algorithm"], headers=order["headers"]))
      json.dump(made, sys.stdout)
      """
    struct Given: Encodable {
      var keys: [String: String]
      var secret: String
      var orders: [Order]
    }
    let given = Given(keys: try keys().privates, secret: secret, orders: orders)
    let made = try JSONDecoder().decode([String].self, from: Data(try run(program, try JSONEncoder().encode(given)).utf8))
    return made.map(Secrets.keep)
  }

  static func token(_ algorithm: String, _ key: String, _ claims: String, _ headers: [String: String] = [:]) throws -> String {
    try tokens([Order(algorithm: algorithm, key: key, claims: claims, headers: headers)])[0]
  }

  /// A token as no library makes it: header and payload as they stand here (`NOW` is the time), signed by HMAC-SHA-256 with `secret`.
  struct Forgery: Encodable {
    var header: String
    var payload: String
    var secret: String
  }

  /// All at once: what takes long is that Python starts.
  static func forged(_ forgeries: [Forgery]) throws -> [String] {
    let program = """
      import base64, hashlib, hmac, json, sys, time
      def b64(data): return base64.urlsafe_b64encode(data).rstrip(b"=")
      def forged(order):
          text = b64(order["header"].encode()) + b"." + b64(order["payload"].replace("NOW", str(int(time.time()))).encode())
          return (text + b"." + b64(hmac.new(order["secret"].encode(), text, hashlib.sha256).digest())).decode()
      json.dump([forged(order) for order in json.load(sys.stdin)], sys.stdout)
      """
    let made = try JSONDecoder().decode([String].self, from: Data(try run(program, try JSONEncoder().encode(forgeries)).utf8))
    return made.map(Secrets.keep)
  }

  static func forged(_ header: String, _ payload: String, secret: String) throws -> String {
    try forged([Forgery(header: header, payload: payload, secret: secret)])[0]
  }

  static func encoded(_ text: String) -> String {
    Data(text.utf8).base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
      .replacingOccurrences(of: "=", with: "")
  }

  private static func run(_ program: String, _ input: some Sequence<UInt8>) throws -> String {
    let outcome = try Child.run("/usr/bin/python3", ["-I", "-c", program], input: [UInt8](input))
    guard outcome.code == 0 else { throw Failure("the mint failed:\n\(outcome.errors)") }
    return outcome.text
  }
}
