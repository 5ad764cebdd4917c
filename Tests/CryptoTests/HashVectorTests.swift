// What the specifications say comes out: SHA-crypt's own vectors, RFC 6070, 7914 and 9106, and those of the reference implementations.

import Primitives
import Testing

@testable import Crypto

private func hex(_ digits: String) -> [UInt8] {
  let values = digits.utf8.compactMap { ASCII.hexValue($0) }
  return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
}

@Suite struct HashVectorTests {
  /// The texts of Drepper's specification, "Unix crypt using SHA-256 and SHA-512", as the hashes come out there.
  private static let shaCrypt: [(password: String, text: String)] = {
    let long = "a very much longer text to encrypt.  This one even stretches over morethan one line."
    let short = "we have a short salt string but not a short password"
    let least = "the minimum number is still observed"
    return [
      ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
      ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
      ("This is just a test", "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"),
      (long, "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"),
      (short, "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/"),
      ("a short string", "$5$rounds=123456$asaltof16chars..$gP3VQ/6X7UUEW3HkBn2w1/Ptq2jxPyzV/cZKmF/wJvD"),
      (least, "$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC"),
      ("Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
      (
        "Hello world!",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
      ),
      (
        "This is just a test",
        "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"
      ),
      (
        long, "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1"
      ),
      (short, "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0"),
      (
        "a short string",
        "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1"
      ),
      (least, "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX."),
    ]
  }()

  /// argon2's reference implementation, its test.c; passlib's documentation; Django's tests.
  private static let others: [(password: String, text: String)] = [
    ("password", "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"),
    ("password", "$argon2i$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ"),
    ("password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"),
    ("password", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8"),
    ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    ("password", "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44"),
    ("password", "$pbkdf2-sha256$8000$XAuBMIYQQogxRg$tRRlz8hYn63B9LYiCd6PRo6FMiunY9ozmMMI3srxeRE"),
    ("password", "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"),
    ("lètmein", "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw=="),
    // RFC 7914 section 12, the second and the third, in passlib's spelling and in Werkzeug's.
    ("password", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA"),
    (
      "pleaseletmein",
      "scrypt:16384:8:1$SodiumChloride$7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9"
        + "e61e85dc0d651e40dfcf017b45575887"
    ),
    // RFC 7914 section 11, the second, in Werkzeug's spelling but for its length: the first 32 bytes of PBKDF2 are the same.
    ("Password", "pbkdf2:sha256:80000$NaCl$4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
    // RFC 6070, the fourth.
    ("password", "pbkdf2:sha1:4096$salt$4b007901b765489abead49d926f721d065a429c1"),
  ]

  @Test(arguments: shaCrypt.indices)
  func theSpecificationOfSHACryptHolds(_ i: Int) throws {
    try expect(Self.shaCrypt[i].password, Self.shaCrypt[i].text)
  }

  @Test(arguments: others.indices)
  func whatOthersPublishedIsVerified(_ i: Int) throws {
    try expect(Self.others[i].password, Self.others[i].text)
  }

  private func expect(_ password: String, _ text: String) throws {
    let stored = Array(text.utf8)
    let hash = try PasswordHash(parsing: stored.span)
    func verify(_ password: String) -> Bool {
      let bytes = Array(password.utf8)
      return hash.verify(bytes.span)
    }
    #expect(verify(password), "\(text)")
    #expect(!verify(password + "x"), "\(text)")
    #expect(!verify(""), "\(text)")
  }

  /// RFC 9106 sections 5.1 to 5.3: with a secret and associated data, which no stored hash has.
  @Test(arguments: [
    (PasswordHash.Kind.argon2d, "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"),
    (.argon2i, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8"),
    (.argon2id, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"),
  ])
  func theVectorsOfRFC9106ComeOut(_ kind: PasswordHash.Kind, _ tag: String) {
    let password = [UInt8](repeating: 1, count: 32)
    let salt = [UInt8](repeating: 2, count: 16)
    let digest = Argon2.withDigest(
      kind, Argon2.Parameters(memory: 32, passes: 3, lanes: 4), password.span, salt: salt.span, secret: [UInt8](repeating: 3, count: 8),
      associated: [UInt8](repeating: 4, count: 12)
    ) { ASCII.array($0) }
    #expect(digest == hex(tag))
  }

  /// RFC 6070 and RFC 7914 section 11.
  @Test(arguments: [
    (PasswordHash.Kind.pbkdf2SHA1, "password", "salt", 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
    (.pbkdf2SHA1, "password", "salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
    (
      .pbkdf2SHA1, "passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096,
      "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"
    ),
    (.pbkdf2SHA1, "pass\0word", "sa\0lt", 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
    (
      .pbkdf2SHA256, "passwd", "salt", 1,
      "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        + "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
    ),
    (
      .pbkdf2SHA256, "Password", "NaCl", 80000,
      "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"
    ),
  ])
  func theVectorsOfPBKDF2ComeOut(_ kind: PasswordHash.Kind, _ password: String, _ salt: String, _ iterations: UInt32, _ key: String) {
    let (password, salt, expected) = (Array(password.utf8), Array(salt.utf8), hex(key))
    let derived = PBKDF2.withDigest(kind, iterations: iterations, password.span, salt: salt.span, length: expected.count) {
      ASCII.array($0)
    }
    #expect(derived == expected)
  }

  /// RFC 7914 section 12, the first: empty password and salt.
  @Test func theFirstVectorOfScryptComesOut() {
    let nothing: [UInt8] = []
    let parameters = Scrypt.Parameters(logN: 4, blockSize: 1, parallelism: 1, digestLength: 64)
    let key = Scrypt.withDigest(parameters, nothing.span, salt: nothing.span) { ASCII.array($0) }
    #expect(
      key
        == hex(
          "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
        ))
  }
}
