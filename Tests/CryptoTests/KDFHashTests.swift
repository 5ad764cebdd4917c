// Hashes of argon2, PBKDF2 and scrypt: their spellings, what of them is refused, what a check costs, and which of two is the weaker.

import Primitives
import Testing

@testable import Crypto

private func parse(_ text: String) throws -> PasswordHash {
  let bytes = Array(text.utf8)
  return try PasswordHash(parsing: bytes.span)
}
private func verify(_ hash: PasswordHash, _ password: String) -> Bool {
  let bytes = Array(password.utf8)
  return hash.verify(bytes.span)
}
private func reason(_ text: String) -> String? {
  do throws(PasswordHashFailure) {
    let bytes = Array(text.utf8)
    _ = try PasswordHash(parsing: bytes.span)
    return nil
  } catch {
    return error.description
  }
}

/// Salts and digests of the right lengths, in the spellings that there are.
private let salt16 = "c2FsdHNhbHRzYWx0c2FsdA"
private let digest32 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
private let hex20 = String(repeating: "ab", count: 20)
private let hex32 = String(repeating: "ab", count: 32)
private let hex64 = String(repeating: "ab", count: 64)
private let padded32 = digest32 + "="
private let padded64 = String(repeating: "A", count: 86) + "=="

/// One of each spelling, cheap, of the password `Hello world!`: made by passlib 1.7.4, Django 3.2, Werkzeug 2.2 and argon2-cffi 21.1.
private let helloWorld: [(kind: PasswordHash.Kind, label: String, text: String)] = [
  (.pbkdf2SHA1, "pbkdf2-sha1 1500", "$pbkdf2$1500$4nzvPSdkrPUew9hbS.n9vw$eyx3pwelheLzTxwjtcdNZc4u/5U"),
  (.pbkdf2SHA256, "pbkdf2-sha256 1500", "$pbkdf2-sha256$1500$A6C01vrfm1OKkRJCaA1hbA$Virw3mrdIA0Fvv9gqdvrxB0O/J1nTXG0JnuBMXIHPhs"),
  (
    .pbkdf2SHA512, "pbkdf2-sha512 1500",
    "$pbkdf2-sha512$1500$45xTKoWwtnYuhRDifM95Lw$b9wSXoySfMjptNxdKK6fZlyzS85ODMMBbfXtNpKIWf9Bqf/0yqPIDx7yvFr5x.0/ufEeTfGzhW04BERqZEq9gg"
  ),
  (.scrypt, "scrypt ln=4,r=8,p=2", "$scrypt$ln=4,r=8,p=2$RUjJmZMS4rz3/p+T8v7fmw$l77VscZqRpCqRQWGhmEt+fbM0x63I/nZ9OSHteJl6j0"),
  (.argon2i, "argon2i m=64,t=2,p=3,l=24", "$argon2i$v=19$m=64,t=2,p=3$LWVsLaV0ztl7r7W2FmJMiQ$KgX3JU8PgDBHYvY2jTe4q5D+EgYHBTbx"),
  (.argon2d, "argon2d m=64,t=2,p=3,l=24", "$argon2d$v=19$m=64,t=2,p=3$jfHee+99L8WYM4ZwzpnTug$wGcdK9WrhLU+3mLe9UfDzaQP1oUlOgY/"),
  (.argon2id, "argon2id m=64,t=2,p=3,l=24", "$argon2id$v=19$m=64,t=2,p=3$8r4XYqy1du49Z2zNeU/pvQ$9nGUql7nHtDtsIRL/2UI3LT6/loLq64i"),
  (.argon2id, "argon2id m=32,t=1,p=1", "$argon2id$v=19$m=32,t=1,p=1$rTWfpuHpM/Qnqfs+e+fotg$nIJXjRrUK3d26jK7FgJ5mLx1GmRJ8pAkOSx+tS3MioI"),
  (
    .pbkdf2SHA256, "pbkdf2-sha256 2000",
    "pbkdf2:sha256:2000$A4hd6JYqXJmOuYRf$f8b9d58efe97252cacbd522de02d439b0c5e634bb334962c54759d38246b161f"
  ),
  (.pbkdf2SHA1, "pbkdf2-sha1 2000", "pbkdf2:sha1:2000$ZXuigcxa$ba2d83652ef2d4540b8543ccf124d07a1905c205"),
  (
    .pbkdf2SHA512, "pbkdf2-sha512 2000",
    "pbkdf2:sha512:2000$30wVsXD5AcXcGqq4$a94d6dd215c1c8328aefb2b292b71687f749d5b16061ec6d6fae6a4f33f6c0353"
      + "9fcc2997635cd4c5e9cfe6c4760cd9ae3bdad5ba82896e26d79639c0ae50287"
  ),
  (.pbkdf2SHA256, "pbkdf2-sha256 2000", "pbkdf2_sha256$2000$WMYBAwl82SrpzFsOx6YxUX$zVY6nf3AuE64Y/hOSE4Q/lKpztb+RxYZPgdLK/SksZ8="),
  (.pbkdf2SHA1, "pbkdf2-sha1 2000", "pbkdf2_sha1$2000$XkokiWUeohxmGMwUgWeoN7$jlViZWToJ1nKqZWORdLGUpF2RKE="),
  (.argon2id, "argon2id m=64,t=2,p=2,l=16", "argon2$argon2id$v=19$m=64,t=2,p=2$a0VMUUhJWGl1UXlCeXBQNEhHYU8zRg$xc7f+2inL6YGy80oEA1ENg"),
]

@Suite struct KDFHashTests {
  @Test(arguments: helloWorld.indices)
  func everySpellingIsVerified(_ i: Int) throws {
    let hash = try parse(helloWorld[i].text)
    #expect(hash.kind == helloWorld[i].kind)
    #expect(hash.costLabel == helloWorld[i].label)
    #expect(hash.isCostly && !hash.kind.isWeak)
    #expect(hash.text == Array(helloWorld[i].text.utf8))
    #expect(verify(hash, "Hello world!"))
    for wrong in ["Hello world", "hello world!", "", "Hello world!\0", "Hello world!\0x", "\0"] { #expect(!verify(hash, wrong)) }
  }

  @Test(arguments: helloWorld.indices)
  func decoyMatchesNothingAtTheSameCost(_ i: Int) throws {
    let hash = try parse(helloWorld[i].text)
    let decoy = hash.decoy()
    #expect(decoy.cost == hash.cost && decoy.expense == hash.expense && decoy.isDecoy)
    #expect(decoy.text != hash.text && decoy.text.count == hash.text.count)
    let tally = KDFTally()
    KDFTally.$current.withValue(tally) { #expect(!verify(decoy, "Hello world!")) }
    #expect(tally.take() == [hash.costLabel: 1])
    // The work is really done: the function gives a digest, and not an error at once.
    #expect(computes(decoy))
  }

  private func computes(_ hash: PasswordHash) -> Bool {
    let nothing: [UInt8] = []
    let salt = [UInt8](repeating: 7, count: 16)
    switch hash.kind.family {
    case .argon2:
      return Argon2.withDigest(hash.kind, .init(packed: hash.cost.parameter), nothing.span, salt: salt.span) { $0.count > 0 }
    case .scrypt: return Scrypt.withDigest(.init(packed: hash.cost.parameter), nothing.span, salt: salt.span) { $0.count > 0 }
    default:
      let iterations = UInt32(hash.cost.parameter)
      return PBKDF2.withDigest(hash.kind, iterations: iterations, nothing.span, salt: salt.span, length: 20) { $0.count > 0 }
    }
  }

  /// A hash that is accepted but can't be computed would make no work, and so tell its user from others. Every mutation of one character.
  @Test(arguments: helloWorld.indices)
  func whatIsAcceptedIsComputed(_ i: Int) throws {
    let original = try parse(helloWorld[i].text)
    var random = SplitMix(state: UInt64(i))
    let text = Array(helloWorld[i].text.utf8)
    let budget = original.expense.time.nanoseconds * 4 + 4_000_000
    for place in text.indices {
      for _ in 0..<6 {
        var mutant = text
        switch random.next() % 3 {
        case 0: mutant[place] = UInt8(0x20 + random.next() % 0x5F)
        case 1: mutant.remove(at: place)
        default: mutant.insert(UInt8(0x20 + random.next() % 0x5F), at: place)
        }
        guard let hash = try? PasswordHash(parsing: mutant.span), hash.kind.family == original.kind.family, hash.cost != original.cost,
          hash.expense.time.nanoseconds < budget
        else { continue }
        #expect(computes(hash), "\(String(decoding: mutant, as: UTF8.self))")
      }
    }
  }

  @Test func costsAreToldApart() throws {
    let texts = [
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)", "$argon2i$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)",
      "$argon2id$m=64,t=2,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=65,t=2,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=64,t=3,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=64,t=2,p=2$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(salt16)", "$pbkdf2-sha256$1000$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$1001$\(salt16)$\(digest32)", "pbkdf2:sha1:1000$salt$\(hex20)", "pbkdf2:sha512:1000$salt$\(hex64)",
      "$scrypt$ln=4,r=8,p=1$\(salt16)$\(digest32)", "$scrypt$ln=5,r=8,p=1$\(salt16)$\(digest32)",
      "$scrypt$ln=4,r=9,p=1$\(salt16)$\(digest32)", "$scrypt$ln=4,r=8,p=2$\(salt16)$\(digest32)", "scrypt:16:8:1$salt$\(hex64)",
    ]
    let hashes = try texts.map { try parse($0) }
    #expect(Set(hashes.map(\.cost)).count == texts.count)
    #expect(Set(hashes.map(\.costLabel)).count == texts.count)
    // The spelling is no part of the cost.
    #expect(try parse("pbkdf2_sha256$1000$salt$\(padded32)").cost == parse("$pbkdf2-sha256$1000$\(salt16)$\(digest32)").cost)
    #expect(try parse("scrypt$16$salt$8$1$\(padded64)").cost == parse("scrypt:16:8:1$salt$\(hex64)").cost)
    #expect(try parse("argon2$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)").cost == hashes[0].cost)
  }

  /// Zero, tiny, huge and overflowing parameters; each with a reason.
  @Test func degenerateParametersAreRefused() {
    let huge = "99999999999999999999999999"
    let refused = [
      "$argon2id$v=19$m=64,t=0,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=64,t=2,p=0$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=0,t=2,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=7,t=2,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=15,t=2,p=2$\(salt16)$\(digest32)", "$argon2id$v=19$m=4294967295,t=4294967295,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=4294967295,t=1,p=16777216$\(salt16)$\(digest32)", "$argon2id$v=19$m=4294967296,t=1,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=64,t=4294967295,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=\(huge),t=1,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=064,t=2,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=+64,t=2,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$YWJjZGVmZ2hp", "$argon2id$v=19$m=64,t=2,p=1$YWJjZGVmZw$\(digest32)",
      "$argon2id$v=19$m=64,t=2,p=1$$\(digest32)", "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$", "$argon2id$v=19$m=64,t=2,p=1$\(salt16)",
      "$argon2id$v=18$m=64,t=2,p=1$\(salt16)$\(digest32)", "$argon2id$v=$m=64,t=2,p=1$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$0$\(salt16)$\(digest32)", "$pbkdf2-sha256$1$\(salt16)$\(digest32)", "$pbkdf2-sha256$999$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$-5000$\(salt16)$\(digest32)", "$pbkdf2-sha256$4294967295$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$4294968296$\(salt16)$\(digest32)", "$pbkdf2-sha256$\(huge)$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$5000$$\(digest32)", "$pbkdf2-sha256$5000$\(salt16)$", "$pbkdf2-sha256$5000$YWI$\(digest32)",
      "$pbkdf2-sha512$5000$\(salt16)$\(digest32)", "$pbkdf2$5000$\(salt16)$\(digest32)", "pbkdf2_sha256$5000$$\(padded32)",
      "pbkdf2_sha256$5000$salt$AAAA", "pbkdf2:sha256:0$salt$\(hex32)", "pbkdf2:sha256:5000$$\(hex32)", "pbkdf2:sha256:5000$salt$",
      "pbkdf2:sha256:5000$salt$\(hex20)", "pbkdf2:md5:5000$salt$\(hex20)", "pbkdf2:sha256:\(huge)$salt$\(hex32)",
      "$scrypt$ln=0,r=8,p=1$\(salt16)$\(digest32)", "$scrypt$ln=64,r=8,p=1$\(salt16)$\(digest32)",
      "$scrypt$ln=63,r=8,p=1$\(salt16)$\(digest32)", "$scrypt$ln=16,r=1,p=1$\(salt16)$\(digest32)",
      "$scrypt$ln=4,r=0,p=1$\(salt16)$\(digest32)", "$scrypt$ln=4,r=8,p=0$\(salt16)$\(digest32)",
      "$scrypt$ln=4,r=32768,p=32768$\(salt16)$\(digest32)", "$scrypt$ln=4,r=4294967295,p=4294967295$\(salt16)$\(digest32)",
      "$scrypt$ln=1,r=1,p=1073741823$\(salt16)$\(digest32)", "$scrypt$ln=4,r=8,p=1$\(salt16)$YWJj", "scrypt:0:8:1$salt$\(hex64)",
      "scrypt:1:8:1$salt$\(hex64)", "scrypt:32767:8:1$salt$\(hex64)", "scrypt:16:8:1$salt$\(hex32)", "scrypt$16$salt$8$1$\(padded32)",
      "scrypt:\(huge):8:1$salt$\(hex64)",
      // Absurd lengths: text beyond the longest is of no kind.
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$" + String(repeating: "A", count: 176),
      "$argon2id$v=19$m=64,t=2,p=1$" + String(repeating: "A", count: 176) + "$\(digest32)",
      "pbkdf2:sha256:5000$" + String(repeating: "s", count: 129) + "$\(hex32)", "pbkdf2:sha256:5000$" + String(repeating: "s", count: 9999),
    ]
    for text in refused { #expect(reason(text)?.isEmpty == false, "\(text)") }
    for text in refused { #expect(reason(text)?.contains(salt16) != true && reason(text)?.contains("abab") != true, "\(text)") }
  }

  /// One text for each hash: nothing is skipped, guessed or read twice.
  @Test func spellingsAreStrict() {
    let refused = [
      "$argon2id$v=19$t=2,m=64,p=1$\(salt16)$\(digest32)", "$argon2id$v=19$m=64,t=2$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=64,t=2,p=1,keyid=AAAA$\(salt16)$\(digest32)", "$argon2id$v=19$m=64, t=2,p=1$\(salt16)$\(digest32)",
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)==$\(digest32)", "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)=",
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)$", "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32) ",
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32.dropLast())B", "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdB$\(digest32)",
      "$argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32.dropLast())-", "$argon2$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)",
      "$ARGON2ID$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)", "argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)", "argon2", "argon2$",
      "argon2$argon2$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)", "argon2argon2id$v=19$m=64,t=2,p=1$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$5000$\(salt16)$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+A", "$pbkdf2-sha256$05000$\(salt16)$\(digest32)",
      "$pbkdf2-sha256$5000$\(salt16)$\(padded32)", "$pbkdf2-sha224$5000$\(salt16)$\(digest32)", "$pbkdf2-sha256$5000$\(salt16)",
      "$scrypt$ln=4,r=8,p=1$\(salt16)$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.A", "$scrypt$r=8,ln=4,p=1$\(salt16)$\(digest32)",
      "pbkdf2_sha256$5000$salt$\(digest32)", "pbkdf2_sha256$5000$sa lt$\(padded32)", "pbkdf2_md5$5000$salt$\(padded32)",
      "pbkdf2:sha256$salt$\(hex32)", "pbkdf2:sha256:5000$salt$\(hex32.uppercased())", "pbkdf2:sha256:5000:1$salt$\(hex32)",
      "pbkdf2:sha256:5000$sa$lt$\(hex32)", "pbkdf2:sha256:5000$salt$\(hex32)0", "PBKDF2:sha256:5000$salt$\(hex32)", "pbkdf2", "pbkdf2:",
      "pbkdf2$", "scrypt", "scrypt:", "scrypt$", "scrypt:16:8$salt$\(hex64)", "scrypt:16:8:1:1$salt$\(hex64)",
      "scrypt:16:8:1$sa:lt$\(hex64)", "scrypt$16$salt$8$\(padded64)",
    ]
    for text in refused { #expect(reason(text)?.isEmpty == false, "\(text)") }
  }

  @Test func yescryptAndScryptOfNoUseAreRefused() {
    let (salt, digest) = ("5l1TpFf0bYBX.kk6cDoHz.", "rqcF2S.7KcmCmk7.6mcZArPy51SpTuz28X5PMtHGtH0")
    // N of 2, which libcrypt doesn't compute; parameters that multiply the time; flavours that are never written.
    for parameters in ["j.5", "j750.", "j75/..", "j751....", "/75", ".75", "k75", "j7", "jz5"] {
      #expect(reason("$y$\(parameters)$\(salt)$\(digest)") != nil, "\(parameters)")
    }
    #expect(reason("$y$j75$\(salt)$\(digest)") == nil)
    for parameters in ["//..../....", "./..../....", "4........../", "4/........."] {
      #expect(reason("$7$\(parameters)saltsalt$x28vaUqxRpv/49ycjDvbDJ6yX.ZakGdtTHMueMBOwE7") != nil, "\(parameters)")
    }
  }

  // MARK: Expense

  @Test func expenseFollowsTheParametersAlone() throws {
    func expense(_ text: String) throws -> (milliseconds: UInt64, mebibytes: UInt64) {
      let expense = try parse(text).expense
      return (expense.time.nanoseconds / 1_000_000, expense.memory >> 20)
    }
    let bcrypt = "$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe"
    #expect(try expense("$2y$12" + bcrypt) == (204, 0))
    #expect(try expense("$2y$15" + bcrypt) == (1638, 0))
    #expect(try expense("$5$rounds=1000000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5") == (3100, 0))
    #expect(try expense("$y$j9T$5l1TpFf0bYBX.kk6cDoHz.$Dq37ebwKG5l1yUp3GfGirn6eQag7AjX75AHc9omlOB9") == (19, 16))
    #expect(try expense("$argon2id$v=19$m=65536,t=3,p=4$\(salt16)$\(digest32)") == (196, 64))
    #expect(try expense("pbkdf2_sha256$1000000$salt$\(padded32)") == (400, 0))
    #expect(try expense("$scrypt$ln=16,r=8,p=1$\(salt16)$\(digest32)") == (157, 64))
    #expect(try expense("$scrypt$ln=18,r=8,p=1$\(salt16)$\(digest32)") == (629, 256))
    #expect(try expense("$scrypt$ln=14,r=8,p=5$\(salt16)$\(digest32)") == (196, 16))
  }

  @Test func nothingBeyondAMinuteOrFourGibibytesIsRead() {
    #expect(reason("$argon2id$v=19$m=4194304,t=1,p=1$\(salt16)$\(digest32)") == nil)
    #expect(reason("$argon2id$v=19$m=4194305,t=1,p=1$\(salt16)$\(digest32)")?.contains("4 GiB") == true)
    #expect(reason("pbkdf2_sha256$150000000$salt$\(padded32)") == nil)
    #expect(reason("pbkdf2_sha256$150000001$salt$\(padded32)")?.contains("minute") == true)
  }

  // MARK: New ones

  @Test(arguments: PasswordHash.NewKind.allCases)
  func aSpecimenCostsWhatANewHashCosts(_ kind: PasswordHash.NewKind) throws {
    let password = Secret(copying: Array("Hello world!".utf8).span)
    let cost = kind.costRange.lowerBound
    let text = try PasswordHash.make(kind, cost: cost, password: password)
    let made = try PasswordHash(parsing: text.span)
    let specimen = try #require(kind.specimen(cost: cost))
    #expect(specimen.cost == made.cost && specimen.expense == made.expense)
    #expect(kind.specimen(cost: kind.costRange.lowerBound - 1) == nil && kind.specimen(cost: kind.costRange.upperBound + 1) == nil)
    // What is made by default is accepted by default, and with room to spare.
    let usual = try #require(kind.specimen())
    #expect(usual.expense.time <= .milliseconds(310) && usual.expense.memory <= 64 << 20)
  }

  @Test func newHashesOfArgon2AndPBKDF2AreSpelledAsOthersReadThem() throws {
    let password = Secret(copying: Array("Hello world!".utf8).span)
    let argon2 = String(decoding: try PasswordHash.make(.argon2id, cost: 1, password: password), as: UTF8.self)
    #expect(argon2.hasPrefix("$argon2id$v=19$m=1024,t=3,p=1$") && argon2.split(separator: "$").map(\.count).suffix(2) == [22, 43])
    let pbkdf2 = String(decoding: try PasswordHash.make(.pbkdf2, cost: 1000, password: password), as: UTF8.self)
    #expect(pbkdf2.hasPrefix("$pbkdf2-sha256$1000$") && pbkdf2.split(separator: "$").map(\.count).suffix(2) == [22, 43])
    #expect(!pbkdf2.contains("+") && !pbkdf2.contains("="))
  }

  // MARK: Strength

  @Test func weakKindsAreWeakerThanAll() throws {
    let weak = [
      "{SHA}00hq6RNueFa8QiEjhep5cJRHWAI=", "{SSHA}M8XN+MyCuGNn0qVHAt++nhI4sBNzYWx0", "{PLAIN}Hello world!",
      "$1$saltsalt$le8lFSqqnPaRFOlmAZpvH1", "$apr1$saltsalt$6BwcdpRros16.J9J/tHRr/",
    ]
    for text in weak {
      for kind in PasswordHash.NewKind.allCases { #expect(try parse(text).isWeaker(than: kind), "\(text) \(kind)") }
    }
  }

  @Test(arguments: PasswordHash.NewKind.allCases)
  func whatWasMadeIsNotMadeAgain(_ kind: PasswordHash.NewKind) throws {
    let lowest = kind.costRange.lowerBound
    let (made, higher) = (try #require(kind.specimen(cost: lowest)), try #require(kind.specimen(cost: lowest + 1)))
    #expect(!made.isWeaker(than: kind, cost: lowest))
    #expect(made.isWeaker(than: kind, cost: lowest + 1))
    #expect(!higher.isWeaker(than: kind, cost: lowest))
    #expect(!made.decoy().isWeaker(than: kind, cost: lowest + 1))
    // A cost that no hash can be made with replaces none.
    #expect(!made.isWeaker(than: kind, cost: 0))
  }

  @Test func strongerKindsAreLeftAlone() throws {
    let bcrypt = try #require(PasswordHash.NewKind.bcrypt.specimen())
    let (sha512, pbkdf2) = (try #require(PasswordHash.NewKind.sha512.specimen()), try #require(PasswordHash.NewKind.pbkdf2.specimen()))
    let argon2 = try #require(PasswordHash.NewKind.argon2id.specimen())
    let yescrypt = try #require(PasswordHash.NewKind.yescrypt.specimen())
    for memoryHard in [PasswordHash.NewKind.yescrypt, .argon2id, .scrypt] {
      for hash in [bcrypt, sha512, pbkdf2] { #expect(hash.isWeaker(than: memoryHard)) }
      for hash in [argon2, yescrypt] where hash.kind != .yescrypt || memoryHard == .yescrypt { #expect(!hash.isWeaker(than: memoryHard)) }
    }
    for hash in [argon2, yescrypt] {
      for kind in [PasswordHash.NewKind.bcrypt, .sha512, .sha256, .pbkdf2] { #expect(!hash.isWeaker(than: kind)) }
    }
    for hash in [sha512, pbkdf2] { #expect(hash.isWeaker(than: .bcrypt)) }
    for kind in [PasswordHash.NewKind.sha512, .sha256, .pbkdf2] { #expect(!bcrypt.isWeaker(than: kind)) }
  }

  /// A kind that fills memory protects nothing where its parameters say to fill none.
  @Test func aHashOfAGoodKindWithPoorParametersIsWeaker() throws {
    #expect(try parse("$argon2i$v=19$m=512,t=2,p=2$\(salt16)$\(digest32)").isWeaker(than: .yescrypt))
    #expect(try parse("$scrypt$ln=4,r=8,p=1$\(salt16)$\(digest32)").isWeaker(than: .yescrypt))
    #expect(try !parse("$argon2id$v=19$m=19456,t=2,p=1$\(salt16)$\(digest32)").isWeaker(than: .yescrypt))
    #expect(try !parse("$scrypt$ln=15,r=8,p=1$\(salt16)$\(digest32)").isWeaker(than: .yescrypt))
    #expect(
      try parse("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1").isWeaker(
        than: .sha512))
  }
}
