// Signatures of others are verified, each by the one kind of key that is for it, and keys that are none are refused.

import Primitives
import Testing

@testable import Crypto

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Base64url to bytes: of test data, so nothing is refused.
func unwrapped(_ text: String) -> [UInt8] {
  var plain = text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
  while plain.count % 4 != 0 { plain.append("=") }
  let bytes = Array(String(plain).utf8)
  var secret = Secret(capacity: bytes.count)
  precondition(Base64.decode(bytes.span, into: &secret))
  return ASCII.array(secret.span)
}

private func key(_ pem: String) throws(VerificationKeyFault) -> VerificationKey {
  let text = bytes(pem)
  return try VerificationKey(pem: text.span)
}

private func secretKey(_ secret: [UInt8]) throws(VerificationKeyFault) -> VerificationKey { try VerificationKey(secret: secret.span) }

private func fault(_ pem: String) -> VerificationKeyFault? {
  do throws(VerificationKeyFault) {
    _ = try key(pem)
    return nil
  } catch {
    return error
  }
}

/// Signing input and signature of a token.
private func split(_ token: String) -> (message: [UInt8], signature: [UInt8]) {
  let dot = token.lastIndex(of: ".") ?? token.startIndex
  return (bytes(String(token[..<dot])), unwrapped(String(token[token.index(after: dot)...])))
}

private func verifies(_ key: VerificationKey, _ message: [UInt8], _ signature: [UInt8], _ algorithm: SignatureAlgorithm) -> Bool {
  key.verify(signature.span, of: message.span, algorithm)
}

private let payload =
  "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

@Suite struct VerificationKeyTests {
  @Test func signaturesOfTheRFCsVerify() throws {
    // RFC 7515 appendix A.1.
    let secret = unwrapped("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
    let hs256 = split("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(payload).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    #expect(verifies(try secretKey(secret), hs256.message, hs256.signature, .hs256))
    // Appendix A.2.
    let n = unwrapped(
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW"
        + "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k"
        + "G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")
    let e = unwrapped("AQAB")
    let rs256 = split(
      "eyJhbGciOiJSUzI1NiJ9.\(payload)."
        + "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
        + "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
        + "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw")
    let rsa = try VerificationKey(rsaModulus: n.span, exponent: e.span)
    #expect(rsa.kind == .rsa(bits: 2048))
    #expect(verifies(rsa, rs256.message, rs256.signature, .rs256))
    // Appendix A.3.
    let x = unwrapped("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
    let y = unwrapped("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
    let es256 = split(
      "eyJhbGciOiJFUzI1NiJ9.\(payload)." + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
    let point = try VerificationKey(curve: .p256, x: x.span, y: y.span)
    #expect(point.kind == .p256)
    #expect(verifies(point, es256.message, es256.signature, .es256))
    // RFC 8037 appendix A.4.
    let ed = unwrapped("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    let edDSA = split(
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        + "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
    #expect(verifies(try VerificationKey(ed25519: ed.span), edDSA.message, edDSA.signature, .edDSA))
  }

  private func keys() throws -> [VerificationKey] {
    try [
      secretKey(SignatureVectors.secret), key(SignatureVectors.rsaPEM), key(SignatureVectors.p256PEM), key(SignatureVectors.p384PEM),
      key(SignatureVectors.edPEM),
    ]
  }

  @Test func eachAlgorithmVerifiesWithItsKeyAndWithNoOther() throws {
    for key in try keys() {
      for (algorithm, token) in SignatureVectors.tokens {
        let (message, signature) = split(token)
        #expect(verifies(key, message, signature, algorithm) == key.fits(algorithm), "\(key.kind) \(algorithm)")
        for other in SignatureAlgorithm.allCases where other != algorithm {
          #expect(!verifies(key, message, signature, other), "\(key.kind) \(algorithm) taken for \(other)")
        }
      }
    }
  }

  @Test func aChangedMessageOrSignatureIsRefused() throws {
    let keys = try keys()
    for (algorithm, token) in SignatureVectors.tokens {
      let key = try #require(keys.first { $0.fits(algorithm) })
      let (message, signature) = split(token)
      for at in [0, message.count / 2, message.count - 1] {
        var changed = message
        changed[at] ^= 1
        #expect(!verifies(key, changed, signature, algorithm), "\(algorithm) \(at)")
      }
      for at in [0, signature.count / 2, signature.count - 1] {
        var changed = signature
        changed[at] ^= 1
        #expect(!verifies(key, message, changed, algorithm), "\(algorithm) \(at)")
      }
    }
  }

  @Test func aSignatureOfAnotherLengthIsRefused() throws {
    let keys = try keys()
    for (algorithm, token) in SignatureVectors.tokens {
      let key = try #require(keys.first { $0.fits(algorithm) })
      let (message, signature) = split(token)
      for wrong in [[], Array(signature.dropLast()), signature + [0], [0] + signature, signature + signature] {
        #expect(!verifies(key, message, wrong, algorithm), "\(algorithm) with \(wrong.count)")
      }
    }
  }

  @Test func aSignatureOfZerosIsRefused() throws {
    // CVE-2022-21449: r = s = 0 verified everything.
    let keys = try keys()
    for (algorithm, token) in SignatureVectors.tokens {
      let key = try #require(keys.first { $0.fits(algorithm) })
      let (message, signature) = split(token)
      #expect(!verifies(key, message, [UInt8](repeating: 0, count: signature.count), algorithm), "\(algorithm)")
    }
  }

  @Test func aSignatureInDERIsRefused() throws {
    let (message, signature) = split(try #require(SignatureVectors.tokens.first { $0.0 == .es256 }).1)
    var der = [UInt8](repeating: 0, count: ECDSASignature.largestDER(32))
    let count = ECDSASignature.encode(signature.span, size: 32, into: &der)
    #expect(!verifies(try key(SignatureVectors.p256PEM), message, Array(der[..<count]), .es256))
  }

  @Test func derNumbersAreMinimalAndPositive() {
    var pair = [UInt8](repeating: 0, count: 64)
    pair[31] = 1
    pair[32] = 0x80
    var der = [UInt8](repeating: 0xEE, count: ECDSASignature.largestDER(32))
    let count = ECDSASignature.encode(pair.span, size: 32, into: &der)
    #expect(Array(der[..<count]) == [0x30, 38, 2, 1, 1, 2, 33, 0, 0x80] + [UInt8](repeating: 0, count: 31))
    let zeros = [UInt8](repeating: 0, count: 96)
    var zeroDER = [UInt8](repeating: 0xEE, count: ECDSASignature.largestDER(48))
    let zeroCount = ECDSASignature.encode(zeros.span, size: 48, into: &zeroDER)
    #expect(Array(zeroDER[..<zeroCount]) == [0x30, 6, 2, 1, 0, 2, 1, 0])
  }

  @Test func thePublicKeyIsNeverASecret() throws {
    // The classic confusion: HS256 with the PEM text, which everybody has, as the secret.
    for key in try keys().dropFirst() {
      for algorithm in [SignatureAlgorithm.hs256, .hs384, .hs512] { #expect(!key.fits(algorithm)) }
    }
  }

  @Test func secretsAreAtLeastAsLongAsTheHash() throws {
    #expect(throws: VerificationKeyFault.secretTooShort(bytes: 31)) { try secretKey([UInt8](repeating: 1, count: 31)) }
    #expect(throws: VerificationKeyFault.secretTooLong) { try secretKey([UInt8](repeating: 1, count: 1025)) }
    for (bytes, fitting) in [(32, 1), (47, 1), (48, 2), (63, 2), (64, 3), (1024, 3)] {
      let key = try secretKey([UInt8](repeating: 1, count: bytes))
      #expect([SignatureAlgorithm.hs256, .hs384, .hs512].filter { key.fits($0) }.count == fitting, "\(bytes)")
    }
  }

  @Test func everyFormOfAPublicKeyIsRead() throws {
    #expect(try key(SignatureVectors.rsaPEM).kind == .rsa(bits: 2048))
    #expect(try key(SignatureVectors.rsaPKCS1PEM).kind == .rsa(bits: 2048))
    #expect(try key(SignatureVectors.p256PEM).kind == .p256)
    #expect(try key(SignatureVectors.p384PEM).kind == .p384)
    #expect(try key(SignatureVectors.edPEM).kind == .ed25519)
    #expect(try key("words before it\n" + SignatureVectors.p256PEM + "\nand after").kind == .p256)
    let (message, signature) = split(try #require(SignatureVectors.tokens.first { $0.0 == .es256 }).1)
    #expect(verifies(try key(SignatureVectors.certificatePEM), message, signature, .es256))
    let chain = SignatureVectors.certificatePEM + "\n" + SignatureVectors.certificatePEM
    #expect(try key(chain).kind == .p256)
  }

  @Test func aPrivateKeyIsRefusedWhereverItStands() {
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
      let block = "-----BEGIN \(kind)-----\nAAAA\n-----END \(kind)-----\n"
      #expect(fault(block) == .privateKey)
      #expect(fault(block + SignatureVectors.p256PEM) == .privateKey)
      #expect(fault(SignatureVectors.p256PEM + "\n" + block) == .privateKey)
    }
    #expect("\(VerificationKeyFault.privateKey)".contains("this is a private key: give the public one"))
  }

  @Test func brokenPEMIsNoKey() {
    let whole = SignatureVectors.p256PEM
    #expect(fault("") == .noKey)
    #expect(fault("secret") == .noKey)
    #expect(fault("-----BEGIN X-----\nAAAA\n-----END X-----\n") == .noKey)
    for cut in 28..<whole.count - 24 { #expect(fault(String(whole.prefix(cut))) != nil, "cut at \(cut)") }
    #expect(fault(whole + "\n" + SignatureVectors.edPEM) == .severalKeys)
    #expect(fault(whole + "\n" + SignatureVectors.certificatePEM) == .severalKeys)
    #expect(fault("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n") == .brokenPEM)
    let big = String(repeating: "x", count: VerificationKey.largestPEM + 1)
    #expect(fault(big) == .brokenPEM)
  }

  @Test func keysThatAreTooSmallOrOddAreRefused() {
    #expect(fault(SignatureVectors.rsa1024PEM) == .rsaSize(bits: 1024))
    #expect(fault(SignatureVectors.p521PEM) == .unsupported("a key of the curve secp521r1"))
    #expect(fault(SignatureVectors.pssOnlyPEM) == .unsupported("an RSA key that is restricted to PSS"))
    let n = [UInt8](repeating: 0xFF, count: 256)
    let tooLarge = [UInt8](repeating: 0xFF, count: 1025)
    for (modulus, exponent) in [
      (n, [1]), (n, [2]), (n, [0]), (n, []), (n, [UInt8](repeating: 0xFF, count: 9)), (Array(n.dropLast()), [3]), (tooLarge, [3]),
    ] as [([UInt8], [UInt8])] {
      #expect(throws: VerificationKeyFault.self, "\(exponent)") {
        _ = try VerificationKey(rsaModulus: modulus.span, exponent: exponent.span)
      }
    }
  }

  @Test func aPointOffTheCurveIsNoKey() throws {
    let x = unwrapped(SignatureVectors.p256x)
    let y = unwrapped(SignatureVectors.p256y)
    #expect(try VerificationKey(curve: .p256, x: x.span, y: y.span).kind == .p256)
    var other = y
    other[31] ^= 1
    let short = Array(y.dropFirst())
    let zeros = [UInt8](repeating: 0, count: 32)
    #expect(throws: VerificationKeyFault.self) { _ = try VerificationKey(curve: .p256, x: x.span, y: other.span) }
    #expect(throws: VerificationKeyFault.self) { _ = try VerificationKey(curve: .p256, x: x.span, y: short.span) }
    #expect(throws: VerificationKeyFault.self) { _ = try VerificationKey(curve: .p384, x: x.span, y: y.span) }
    #expect(throws: VerificationKeyFault.self) { _ = try VerificationKey(curve: .p256, x: zeros.span, y: zeros.span) }
    #expect(throws: VerificationKeyFault.self) { _ = try VerificationKey(ed25519: short.span) }
  }

  @Test func namesOfAlgorithmsAreExact() {
    for algorithm in SignatureAlgorithm.allCases { #expect(SignatureAlgorithm(name: algorithm.name) == algorithm) }
    for name in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS2566", "HS25", "ES512", "RSA1_5", "HS256\u{0}", "ＨS256"] {
      #expect(SignatureAlgorithm(name: name) == nil, "\(name)")
    }
  }
}
