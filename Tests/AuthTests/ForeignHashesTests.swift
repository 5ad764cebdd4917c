// Hashes of other programs in the lines of a user file: where they end, how they are edited, and what they may cost.

import Crypto
import Primitives
import Testing

@testable import Auth

/// Every spelling, of the password `Hello world!`; as cheap as each may be.
private let foreign = [
  "$argon2id$v=19$m=32,t=1,p=1$rTWfpuHpM/Qnqfs+e+fotg$nIJXjRrUK3d26jK7FgJ5mLx1GmRJ8pAkOSx+tS3MioI",
  "$argon2d$v=19$m=64,t=2,p=3$jfHee+99L8WYM4ZwzpnTug$wGcdK9WrhLU+3mLe9UfDzaQP1oUlOgY/",
  "argon2$argon2id$v=19$m=64,t=2,p=2$a0VMUUhJWGl1UXlCeXBQNEhHYU8zRg$xc7f+2inL6YGy80oEA1ENg",
  "$pbkdf2$1500$4nzvPSdkrPUew9hbS.n9vw$eyx3pwelheLzTxwjtcdNZc4u/5U",
  "$pbkdf2-sha256$1500$A6C01vrfm1OKkRJCaA1hbA$Virw3mrdIA0Fvv9gqdvrxB0O/J1nTXG0JnuBMXIHPhs",
  "pbkdf2_sha256$2000$WMYBAwl82SrpzFsOx6YxUX$zVY6nf3AuE64Y/hOSE4Q/lKpztb+RxYZPgdLK/SksZ8=",
  "pbkdf2_sha1$2000$XkokiWUeohxmGMwUgWeoN7$jlViZWToJ1nKqZWORdLGUpF2RKE=",
  "pbkdf2:sha256:2000$A4hd6JYqXJmOuYRf$f8b9d58efe97252cacbd522de02d439b0c5e634bb334962c54759d38246b161f",
  "pbkdf2:sha1:2000$ZXuigcxa$ba2d83652ef2d4540b8543ccf124d07a1905c205",
  "$scrypt$ln=4,r=8,p=2$RUjJmZMS4rz3/p+T8v7fmw$l77VscZqRpCqRQWGhmEt+fbM0x63I/nZ9OSHteJl6j0",
  "scrypt:16:8:1$saltsalt$89d2f3b72081f5947b16884359ac89a3649993f7b63aec17f1973db66e099d328c1a228e14f0419446da39b647e8e35f284b2e4d8b954668ccf1fd2f7a9fe297",
]

private func table(_ text: String, limit: HashLimit = .standard) throws -> UserTable {
  try UserTable(parsing: bytes(text), limit: limit)
}
private func user(_ table: UserTable, _ name: String) -> User? {
  let name = bytes(name)
  return table.user(named: name.span)
}
private func logsIn(_ user: User?) -> Bool {
  let password = bytes("Hello world!")
  return user?.hash?.verify(password.span) == true
}

@Suite struct ForeignHashesTests {
  @Test(arguments: foreign)
  func theHashEndsWhereItsWriterEndedIt(_ hash: String) throws {
    let alone = try table("bob:\(hash)\n")
    #expect(alone.problems.isEmpty && logsIn(user(alone, "bob")), "\(alone.problems)")
    let withAttributes = try table("  bob:\(hash):groups=a b,created=2026-05-05,locked \r\nzoe:\(hash):\n")
    let bob = try #require(user(withAttributes, "bob"))
    #expect(withAttributes.problems.isEmpty && logsIn(bob) && logsIn(user(withAttributes, "zoe")))
    #expect(bob.isLocked && bob.groups == [bytes("a"), bytes("b")])
    #expect(bob.hash?.text == bytes(hash))
  }

  @Test(arguments: foreign)
  func editsKeepTheHashAndFindTheAttributes(_ hash: String) throws {
    var text = try UserFileText(bytes("# people\nbob:\(hash):groups=a\nzoe:*\n"))
    try text.addGroup(bytes("b"), to: bytes("bob"))
    try text.lock(bytes("bob"))
    #expect(text.bytes == bytes("# people\nbob:\(hash):groups=a b,locked\nzoe:*\n"))
    try text.unlock(bytes("bob"))
    try text.setGroups([], of: bytes("bob"))
    #expect(text.bytes == bytes("# people\nbob:\(hash)\nzoe:*\n"))
    try text.setHash(nil, of: bytes("bob"))
    #expect(text.bytes == bytes("# people\nbob:*\nzoe:*\n"))
    try text.setHash(bytes(hash), of: bytes("bob"))
    try text.setHash(bytes(hash), of: bytes("zoe"))
    try text.add(bytes("eve"), hash: bytes(hash), groups: [bytes("c")], isLocked: true)
    #expect(text.bytes == bytes("# people\nbob:\(hash)\nzoe:\(hash)\neve:\(hash):groups=c,locked\n"))
    let read = try table(String(decoding: text.bytes, as: UTF8.self))
    #expect(read.problems.isEmpty && read.users.count == 3 && user(read, "eve")?.isLocked == true)
  }

  /// Whatever is taken for a hash with colons is one, or nobody's: no restriction is lost in it.
  @Test func aDamagedHashWithColonsSwallowsNoRestriction() throws {
    let sound = "pbkdf2:sha256:2000$A4hd6JYqXJmOuYRf$f8b9d58efe97252cacbd522de02d439b0c5e634bb334962c54759d38246b161f"
    let lines = [
      "pbkdf2:locked", "scrypt:locked,x=$a$b", "pbkdf2:sha256:2000:locked,x=$A4hd6JYqXJmOuYRf$f8b9", "pbkdf2:sha256:locked$salt$ab",
      "\(sound.dropLast()):locked", "pbkdf2::\(sound)", "scrypt:\(sound)", "pbkdf2:sha256:2000$A4hd6JYqXJmOuYRf:locked",
    ]
    let read = try table("good:\(sound):locked\n" + lines.enumerated().map { "u\($0):\($1)\n" }.joined())
    #expect(read.users.count == 1 && user(read, "good")?.isLocked == true)
    #expect(read.problems.map(\.line) == Array(2...lines.count + 1))
    #expect(read.problems.allSatisfy { !$0.isWarning })
    // After a whole one, an attribute is an attribute, and what is not understood keeps its user out.
    let more = try table("a:\(sound):expires=soon\nb:\(sound):locked\n")
    #expect(more.users.map(\.name) == [bytes("b")])
  }

  @Test func onlyWerkzeugsHashesHoldColons() throws {
    let read = try table("a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=:groups=x$y\nb:*:groups=z\n")
    #expect(user(read, "a")?.groups == [bytes("x$y")] && user(read, "b")?.groups == [bytes("z")])
    var text = try UserFileText(bytes("b:*\n"))
    for hash in ["{PLAIN}a:b", "{PLAIN}a\nb", "{PLAIN}a "] {
      #expect(throws: UserEditFailure.self) { try text.setHash(bytes(hash), of: bytes("b")) }
    }
    #expect(text.bytes == bytes("b:*\n"))
  }

  // MARK: Limits

  /// One of each kind that costs something, and about what.
  private static let costly: [(hash: String, milliseconds: UInt64, mebibytes: Int)] = [
    ("$2y$16$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe", 3277, 0),
    ("$5$rounds=5000000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", 15_500, 0),
    (
      "$6$rounds=5000000$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", 13_000,
      0
    ),
    ("$y$jET$5l1TpFf0bYBX.kk6cDoHz.$Dq37ebwKG5l1yUp3GfGirn6eQag7AjX75AHc9omlOB9", 630, 512),
    ("$7$HU..../....saltsalt$x28vaUqxRpv/49ycjDvbDJ6yX.ZakGdtTHMueMBOwE7", 6711, 2048),
    ("$argon2id$v=19$m=524288,t=1,p=1$rTWfpuHpM/Qnqfs+e+fotg$nIJXjRrUK3d26jK7FgJ5mLx1GmRJ8pAkOSx+tS3MioI", 525, 512),
    ("$argon2i$m=65536,t=40,p=1$rTWfpuHpM/Qnqfs+e+fotg$nIJXjRrUK3d26jK7FgJ5mLx1GmRJ8pAkOSx+tS3MioI", 2622, 64),
    ("pbkdf2_sha256$6000000$WMYBAwl82SrpzFsOx6YxUX$zVY6nf3AuE64Y/hOSE4Q/lKpztb+RxYZPgdLK/SksZ8=", 2400, 0),
    ("pbkdf2:sha1:9000000$ZXuigcxa$ba2d83652ef2d4540b8543ccf124d07a1905c205", 2700, 0),
    ("$scrypt$ln=19,r=8,p=1$RUjJmZMS4rz3/p+T8v7fmw$l77VscZqRpCqRQWGhmEt+fbM0x63I/nZ9OSHteJl6j0", 1259, 512),
    ("$scrypt$ln=10,r=8,p=1000$RUjJmZMS4rz3/p+T8v7fmw$l77VscZqRpCqRQWGhmEt+fbM0x63I/nZ9OSHteJl6j0", 2458, 2),
  ]

  @Test(arguments: costly.indices)
  func aHashThatCostsTooMuchIsAProblemOfItsLine(_ i: Int) throws {
    let (hash, milliseconds, mebibytes) = Self.costly[i]
    let file = "good:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n\nbob:\(hash):groups=a\n"
    let read = try table(file)
    #expect(read.users.map(\.name) == [bytes("good")])
    let problem = try #require(read.problems.first)
    #expect(read.problems.count == 1 && problem.line == 3 && !problem.isWarning)
    #expect(problem.reason.contains("bob") && problem.reason.contains("hash_limit"), "\(problem)")
    #expect(!problem.reason.contains(hash.suffix(20)))
    // It is the estimate that counts: a little more is enough, a little less is not.
    let enough = HashLimit(time: .milliseconds(milliseconds + 2), memory: max(mebibytes, 1) << 20)
    #expect(try table(file, limit: enough).users.count == 2)
    #expect(try table(file, limit: HashLimit(time: .milliseconds(milliseconds - 2), memory: 4 << 30)).users.count == 1)
    if mebibytes > 2 {
      #expect(try table(file, limit: HashLimit(time: .seconds(60), memory: mebibytes << 20 - 1)).users.count == 1)
    }
  }

  /// The defaults of those whose files are brought along fit into the default limit.
  @Test func whatOthersMakeByDefaultIsAccepted() throws {
    let hashes = [
      // Django 5.2, Werkzeug 3.1 (scrypt, and PBKDF2), Django's argon2 and scrypt, passlib's scrypt, argon2-cffi, OWASP's largest.
      "pbkdf2_sha256$1000000$WMYBAwl82SrpzFsOx6YxUX$zVY6nf3AuE64Y/hOSE4Q/lKpztb+RxYZPgdLK/SksZ8=",
      "scrypt:32768:8:1$saltsalt$\(String(repeating: "ab", count: 64))",
      "pbkdf2:sha256:1000000$A4hd6JYqXJmOuYRf$f8b9d58efe97252cacbd522de02d439b0c5e634bb334962c54759d38246b161f",
      "argon2$argon2id$v=19$m=102400,t=2,p=8$a0VMUUhJWGl1UXlCeXBQNEhHYU8zRg$xc7f+2inL6YGy80oEA1ENg",
      "scrypt$16384$seasalt$8$5$" + String(repeating: "A", count: 86) + "==",
      "$scrypt$ln=16,r=8,p=1$RUjJmZMS4rz3/p+T8v7fmw$l77VscZqRpCqRQWGhmEt+fbM0x63I/nZ9OSHteJl6j0",
      "$argon2id$v=19$m=65536,t=3,p=4$rTWfpuHpM/Qnqfs+e+fotg$nIJXjRrUK3d26jK7FgJ5mLx1GmRJ8pAkOSx+tS3MioI",
      "$scrypt$ln=17,r=8,p=1$RUjJmZMS4rz3/p+T8v7fmw$l77VscZqRpCqRQWGhmEt+fbM0x63I/nZ9OSHteJl6j0",
      "$2y$14$CCCCCCCCCCCCCCCCCCCCC.M.JZM2tZUe85sR83hfk5p2NZ0IVXwXe",
      // passlib's rounds.
      "$5$rounds=535000$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
      "$6$rounds=656000$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ]
    let read = try table(hashes.enumerated().map { "u\($0):\($1)\n" }.joined())
    #expect(read.problems.isEmpty && read.users.count == hashes.count, "\(read.problems)")
  }

  /// Unknown names are checked against what the file holds, whatever kind that is.
  @Test(arguments: foreign)
  func anUnknownNameCostsWhatTheForeignHashCosts(_ hash: String) throws {
    let house = try House(["bob:\(hash)"])
    let (known, unknown) = (house.ask("bob", "wrong"), house.ask("nobody", "wrong"))
    #expect(known.wasPending && unknown.wasPending, "never on a worker")
    #expect(known.work == unknown.work && known.work.values.reduce(0, +) == 1)
    #expect(known.outcome == .challenged(.wrongPassword) && unknown.outcome == .challenged(.unknownUser))
    #expect(house.ask("bob", "Hello world!").outcome == .granted("bob"))
    #expect(house.ask("bob", "Hello world!\0").outcome != .granted("bob"))
  }
}
