// Stored password hashes: every kind, as other programs write it; the attacks on their checks; what the parser refuses.

import Primitives
import Testing

@testable import Crypto

private func parse(_ text: String) throws -> PasswordHash { try PasswordHash(parsing: Array(text.utf8).span) }
private func verify(_ hash: PasswordHash, _ password: String) -> Bool {
  let secret = Secret(copying: Array(password.utf8).span)
  return hash.verify(secret)
}
private func make(_ kind: PasswordHash.NewKind, cost: UInt? = nil, _ password: [UInt8]) throws -> [UInt8] {
  let secret = Secret(copying: password.span)
  return try PasswordHash.make(kind, cost: cost, password: secret)
}
private func parse(_ text: [UInt8]) throws -> PasswordHash { try PasswordHash(parsing: text.span) }
private func libcryptComputes(_ setting: [UInt8]) -> Bool {
  let password: [UInt8] = [0x78]
  return Crypt.hash(password.span, setting: setting) != nil
}

/// Hashes of `Hello world!`, made by libcrypt through another program, by `openssl passwd -apr1` and by `htpasswd -s`.
private let helloWorld: [(kind: PasswordHash.Kind, text: String)] = [
  (.bcrypt, "$2y$04$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe"),
  (.bcrypt, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.z6PrHbuSsMSSwIGFy1JGevQZf6CqJ1y"),
  (.bcrypt, "$2b$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK"),
  (.sha256crypt, "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
  (.sha256crypt, "$5$rounds=1400$anotherlongsalts$3qrvGONjJLD3nbbdMqiPU3HEkZj9mKxTAR68T172Rv9"),
  (.sha512crypt, "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
  (
    .sha512crypt,
    "$6$rounds=1000$roundzto$ScwYwic27DWZus9hZtYutEw9zClLirOxIgUElWbTa5aVEB8fzirq4/U8/2frKfAz7hFp9.PDSJp6KZghuQZQF."
  ),
  (.yescrypt, "$y$j75$5l1TpFf0bYBX.kk6cDoHz.$rqcF2S.7KcmCmk7.6mcZArPy51SpTuz28X5PMtHGtH0"),
  (.yescrypt, "$y$j9T$5l1TpFf0bYBX.kk6cDoHz.$Dq37ebwKG5l1yUp3GfGirn6eQag7AjX75AHc9omlOB9"),
  (.scrypt7, "$7$4/..../....saltsalt$x28vaUqxRpv/49ycjDvbDJ6yX.ZakGdtTHMueMBOwE7"),
  (.md5crypt, "$1$saltsalt$le8lFSqqnPaRFOlmAZpvH1"),
  (.apr1, "$apr1$saltsalt$6BwcdpRros16.J9J/tHRr/"),
  (.sha1, "{SHA}00hq6RNueFa8QiEjhep5cJRHWAI="),
  (.saltedSHA1, "{SSHA}M8XN+MyCuGNn0qVHAt++nhI4sBNzYWx0"),
  (.plain, "{PLAIN}Hello world!"),
]

@Suite struct PasswordHashTests {
  @Test(arguments: helloWorld.indices)
  func passwordsOfOtherProgramsAreVerified(_ i: Int) throws {
    let hash = try parse(helloWorld[i].text)
    #expect(hash.kind == helloWorld[i].kind)
    #expect(verify(hash, "Hello world!"))
    #expect(!verify(hash, "Hello world"))
    #expect(!verify(hash, "hello world!"))
    #expect(!verify(hash, ""))
  }

  @Test func apr1HandlesLongAndShortPasswords() throws {
    #expect(verify(try parse("$apr1$a$CwOs8ZUV1Vmp.iAwImfTn1"), "x"))
    let long = "a password that is longer than sixteen bytes, thirty-two even"
    #expect(verify(try parse("$apr1$abcdefgh$2F8fyKwRpATvq2tnOE1eo1"), long))
  }

  /// crypt(3) ends a password at its first NUL: `secret\0anything` logged in on three well-known servers.
  @Test(arguments: helloWorld.indices)
  func passwordWithNULMatchesNothingAndCostsTheSame(_ i: Int) throws {
    let hash = try parse(helloWorld[i].text)
    let tally = KDFTally()
    KDFTally.$current.withValue(tally) {
      #expect(!verify(hash, "Hello world!\0"))
      #expect(!verify(hash, "Hello world!\0x"))
      #expect(!verify(hash, "\0"))
    }
    #expect(tally.take() == [hash.costLabel: 3])
  }

  @Test(arguments: helloWorld.indices)
  func decoyMatchesNothingAtTheSameCost(_ i: Int) throws {
    let hash = try parse(helloWorld[i].text)
    let decoy = hash.decoy()
    #expect(decoy.cost == hash.cost)
    #expect(decoy.isDecoy && decoy.isCostly == hash.isCostly)
    #expect(decoy.text != hash.text)
    let tally = KDFTally()
    KDFTally.$current.withValue(tally) { #expect(!verify(decoy, "Hello world!")) }
    #expect(tally.take() == [hash.costLabel: 1])
    if decoy.kind.family == .libcrypt {
      // The work is really done: libcrypt makes a hash of its setting, not an error.
      #expect(libcryptComputes(decoy.text))
      #expect(try parse(decoy.text).cost == hash.cost)
    }
  }

  @Test func defaultDecoyCostsWhatANewHashCosts() throws {
    let made = try parse(make(.yescrypt, [0x78]))
    let decoy = PasswordHash.defaultDecoy()
    #expect(decoy.cost == made.cost)
    #expect(libcryptComputes(decoy.text))
    #expect(try parse(decoy.text).cost == made.cost)
  }

  @Test func bcryptLooksAt72Bytes() throws {
    let hash = try parse(make(.bcrypt, cost: 4, [UInt8](repeating: 0x61, count: 72)))
    #expect(verify(hash, String(repeating: "a", count: 72)))
    #expect(verify(hash, String(repeating: "a", count: 72) + "b"))
    #expect(!verify(hash, String(repeating: "a", count: 71) + "b"))
  }

  /// Some writers of bcrypt fill the two spare bits of the salt's last character; libcrypt clears them in what it answers.
  @Test func bcryptSaltWithSpareBitsIsVerified() throws {
    // `.` ends the salt of the original; `/` differs from it in spare bits only.
    #expect(verify(try parse("$2y$04$CCCCCCCCCCCCCCCCCCCCC/M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe"), "Hello world!"))
  }

  @Test func passwordsOfUpTo511BytesAreVerifiedByEveryKind() throws {
    let longest = String(repeating: "p", count: PasswordHash.longestPassword)
    for kind in PasswordHash.NewKind.allCases where kind != .bcrypt {
      let hash = try parse(make(kind, cost: kind.costRange.lowerBound, Array(longest.utf8)))
      #expect(verify(hash, longest), "\(kind)")
      #expect(!verify(hash, longest + "p"), "\(kind)")
    }
  }

  @Test(arguments: PasswordHash.NewKind.allCases)
  func newHashesAreReadAndVerified(_ kind: PasswordHash.NewKind) throws {
    let text = try make(kind, cost: kind.costRange.lowerBound, Array("pässwörd".utf8))
    let hash = try parse(text)
    #expect(verify(hash, "pässwörd"))
    #expect(!verify(hash, "passwort"))
    let again = try make(kind, cost: kind.costRange.lowerBound, Array("pässwörd".utf8))
    #expect(text != again, "salted anew")
  }

  @Test func newHashesAreYescryptUnlessAsked() throws {
    let password = Secret(copying: Array("x".utf8).span)
    let text = try PasswordHash.make(password: password)
    #expect(text.starts(with: Array("$y$".utf8)))
  }

  @Test func passwordsThatNoClientCanSendAreNotStored() {
    let unfit = ["", "a\0b", "a\nb", "tab\t", String(repeating: "x", count: 512)]
    for password in unfit {
      #expect(throws: PasswordHashFailure.self) {
        try make(.sha256, cost: 1000, Array(password.utf8))
      }
    }
    #expect(throws: PasswordHashFailure.self) {
      try make(.bcrypt, cost: 4, [UInt8](repeating: 0x61, count: 73))
    }
    #expect(throws: PasswordHashFailure.self) {
      try make(.bcrypt, cost: 3, [0x61])
    }
  }

  @Test func costsAreToldApart() throws {
    #expect(try parse("$2y$04$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe").costLabel == "bcrypt 4")
    #expect(try parse("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5").costLabel == "sha256-crypt 5000")
    #expect(
      try parse("$5$rounds=1400$anotherlongsalts$3qrvGONjJLD3nbbdMqiPU3HEkZj9mKxTAR68T172Rv9").costLabel == "sha256-crypt 1400")
    #expect(
      try parse("$y$j9T$5l1TpFf0bYBX.kk6cDoHz.$Dq37ebwKG5l1yUp3GfGirn6eQag7AjX75AHc9omlOB9").costLabel == "yescrypt j9T")
    #expect(try parse("$7$4/..../....saltsalt$x28vaUqxRpv/49ycjDvbDJ6yX.ZakGdtTHMueMBOwE7").costLabel == "scrypt $7$ 4/..../....")
  }

  @Test func damagedAndUnknownHashesAreRefused() {
    let refused = [
      "", "secret", "x", "$", "$2", "$2y$", "$2x$04$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe",
      "$2y$04$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwX", "$2y$03$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe",
      "$2y$32$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe", "$2y$+4$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe",
      "$2y$21$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe",
      "$5$$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc",
      "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc55", "$5$rounds=$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
      "$5$rounds=999$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "$5$rounds=01400$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
      "$5$rounds=999999999$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
      "$5$seventeencharacte$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
      "$y$$5l1TpFf0bYBX.kk6cDoHz.$rqcF2S.7KcmCmk7.6mcZArPy51SpTuz28X5PMtHGtH0", "$y$j9T$5l1TpFf0bYBX.kk6cDoHz.$",
      "$y$jTT$5l1TpFf0bYBX.kk6cDoHz.$rqcF2S.7KcmCmk7.6mcZArPy51SpTuz28X5PMtHGtH0", "$7$",
      "$7$4/..../....$x28vaUqxRpv/49ycjDvbDJ6yX.ZakGdtTHMueMBOwE7",
      "$7$zzzzzzzzzzzsaltsalt$x28vaUqxRpv/49ycjDvbDJ6yX.ZakGdtTHMueMBOwE7", "$1$saltsalt$le8lFSqqnPaRFOlmAZpvH",
      "$1$saltsalts$le8lFSqqnPaRFOlmAZpvH1", "$apr1$saltsalt$6BwcdpRros16.J9J/tHRr!", "{SHA}00hq6RNueFa8QiEjhep5cJRHWAI", "{SHA}", "{SSHA}",
      "{SSHA}00hq6RNueFa8QiEjhep5cJRHWAI=", "{SHA}M8XN+MyCuGNn0qVHAt++nhI4sBNzYWx0", "{PLAIN}", "{sha}00hq6RNueFa8QiEjhep5cJRHWAI=",
      "abcdefghijklm",
      "$sha1$1$salt$hash", "$md5$x", "$gy$j9T$a$b",
    ]
    for text in refused {
      #expect(throws: PasswordHashFailure.self, "\(text)") { try parse(text) }
    }
  }

  /// A hash that is accepted but can't be computed would make no work, and so tell its user from others.
  @Test func whatTheParserAcceptsLibcryptComputes() throws {
    var random = SplitMix(state: 7)
    let cheap = helloWorld.filter { $0.kind.family == .libcrypt && !$0.text.contains("j9T") }
    for (_, text) in cheap {
      let original = try parse(text)
      for _ in 0..<400 {
        var mutant = Array(text.utf8)
        switch random.next() % 3 {
        case 0: mutant[Int(random.next() % UInt64(mutant.count))] = UInt8(0x20 + random.next() % 0x5F)
        case 1: mutant.remove(at: Int(random.next() % UInt64(mutant.count)))
        default: mutant.insert(UInt8(0x20 + random.next() % 0x5F), at: Int(random.next() % UInt64(mutant.count)))
        }
        guard let hash = try? parse(mutant), hash.cost == original.cost else { continue }
        #expect(libcryptComputes(mutant), "\(String(decoding: mutant, as: UTF8.self))")
      }
    }
  }
}

/// Steele, Lea and Flood's SplitMix64: the same numbers in every run.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
