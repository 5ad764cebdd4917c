// Password hashes made by the programs that operators come from: each logs in through the real binary, with the right password alone.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct HashesOfOthers {
    /// Not ASCII, so that nobody's idea of an encoding is missed.
    private static let password = "Pässwort-4 of-all$1"

    /// Lines `NAME:HASH` of Debian's own Python and its packages passlib, Werkzeug, Django, argon2-cffi and bcrypt; the password comes on
    /// standard input. Costs are the programs' own where that is bearable.
    private static let python = #"""
      import sys, warnings
      warnings.simplefilter("ignore")
      import argon2, bcrypt, hashlib
      import werkzeug.security
      from passlib import hash as passlib
      from django.conf import settings
      hashers = ["PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "Argon2PasswordHasher"]
      settings.configure(PASSWORD_HASHERS=["django.contrib.auth.hashers." + name for name in hashers])
      import django
      django.setup()
      from django.contrib.auth.hashers import make_password
      password = sys.stdin.read()
      def line(name, text):
          print(name + ":" + text)
      for name in ["pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512"]:
          line("passlib-" + name, getattr(passlib, name).hash(password))
      for name in ["sha256_crypt", "sha512_crypt"]:
          line("passlib-" + name, getattr(passlib, name).using(rounds=5000).hash(password))
          line("passlib-" + name + "-rounds", getattr(passlib, name).using(rounds=6789).hash(password))
      for ident in ["2a", "2b", "2y"]:
          line("passlib-bcrypt-" + ident, passlib.bcrypt.using(rounds=5, ident=ident).hash(password))
      for name in ["md5_crypt", "apr_md5_crypt", "ldap_sha1", "ldap_salted_sha1"]:
          line("passlib-" + name, getattr(passlib, name).hash(password))
      line("passlib-scrypt", passlib.scrypt.hash(password))
      line("passlib-scrypt-parallel", passlib.scrypt.using(rounds=10, block_size=4, parallelism=3).hash(password))
      # Its own salts have a + in every third, which libcrypt doesn't know.
      line("passlib-scrypt7", passlib.scrypt.using(rounds=10, ident="$7$", salt=b"AbCdEfGh/jKlMn.pQrStUv").hash(password))
      line("passlib-scrypt7-plus", passlib.scrypt.using(rounds=10, ident="$7$", salt=b"AbCd+fGh/jKlMn+pQrStUv").hash(password))
      for kind in ["i", "d", "id"]:
          line("passlib-argon2" + kind, passlib.argon2.using(type=kind, memory_cost=1024).hash(password))
      for method in ["pbkdf2:sha256", "pbkdf2:sha1:2000", "pbkdf2:sha512:2000"]:
          line("werkzeug-" + method.replace(":", "-"), werkzeug.security.generate_password_hash(password, method))
      # Werkzeug 2.3's, which Debian's is a little too old for: the same call of the standard library.
      derived = hashlib.scrypt(password.encode(), salt=b"AbCdEfGhIjKlMnOp", n=32768, r=8, p=1, maxmem=132 * 32768 * 8)
      line("werkzeug-scrypt", "scrypt:32768:8:1$AbCdEfGhIjKlMnOp$" + derived.hex())
      for name in ["default", "pbkdf2_sha1", "argon2"]:
          line("django-" + name, make_password(password, hasher=name))
      line("argon2-cffi", argon2.PasswordHasher().hash(password))
      line("argon2-cffi-long", argon2.PasswordHasher(time_cost=1, memory_cost=256, parallelism=1, hash_len=64, salt_len=32).hash(password))
      line("bcrypt", bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode())
      """#

    private static func output(_ program: String, _ arguments: [String], input: String) throws -> String {
      let outcome = try Child.run(program, arguments, input: [UInt8](input.utf8), folder: "/")
      guard outcome.code == 0 else { throw Failure("\(program) \(arguments.joined(separator: " ")): \(outcome.errors)") }
      return outcome.text
    }

    /// All of them, with the attributes of some.
    private static let lines: [String] = {
      do {
        var lines = try output("/usr/bin/python3", ["-I", "-c", python], input: password).split(separator: "\n").map(String.init)
        for kind in ["m", "B", "s", "2", "5"] {
          lines += try output("/usr/bin/htpasswd", ["-n", "-i", "-\(kind)", "htpasswd-\(kind)"], input: password + "\n")
            .split(separator: "\n").map(String.init)
        }
        for kind in ["1", "apr1", "5", "6"] {
          let hash = try output("/usr/bin/openssl", ["passwd", "-\(kind)", "-stdin"], input: password + "\n")
          lines.append("openssl-\(kind):" + hash.split(separator: "\n")[0])
        }
        return lines
      } catch {
        Issue.record("\(error)")
        return []
      }
    }()

    private static func name(_ line: String) -> String { String(line.prefix { $0 != ":" }) }

    @Test func hashesOfOtherProgramsLogIn() throws {
      #expect(Self.lines.count == 40)
      let file = Self.lines.map { $0 + "\n" }.joined()
      try House.with(Setup(users: file)) { house throws in
        for line in Self.lines {
          let name = Self.name(line)
          let right = People.Person(name: name, password: Self.password)
          let wrong = People.Person(name: name, password: Self.password + "x")
          #expect(try house.ask("GET", "/", [wrong.authorization]).status == 401, "\(line)")
          #expect(try house.ask("GET", "/", [right.authorization]).status == 200, "\(line)")
        }
        #expect(house.upstream.requests.compactMap { $0["X-Forwarded-User"] } == Self.lines.map(Self.name))
      }
    }

    @Test func checkAndTheUserCommandsNameEveryKind() throws {
      let scratch = try Scratch()
      // Werkzeug's colons and the attributes after them, too; and what is refused: DES and plain text.
      let attributed = Self.lines.map { $0 + ":groups=a b" }
      let des = try Self.output("/usr/bin/htpasswd", ["-n", "-i", "-d", "old"], input: "secret\n").split(separator: "\n")[0]
      try scratch.write((attributed + [String(des), "older:some-plain-text"]).map { $0 + "\n" }.joined(), to: "users")
      try scratch.write(Setup().text(upstreamPort: 9), to: "proxy.conf")
      let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: scratch)
      #expect(check.code == 0, "\(check.errors)")
      for part in [
        "40 users: 5 bcrypt, 4 sha256-crypt, 4 sha512-crypt, 1 scrypt $7$, 2 md5-crypt, 3 apr1, 2 {SHA}, 1 {SSHA}, ",
        " 4 argon2id, 1 argon2i, 1 argon2d, 3 pbkdf2-sha1, 3 pbkdf2-sha256, 2 pbkdf2-sha512, 4 scrypt", "users:41: ", "users:42: ",
        "DES", "{PLAIN}",
      ] {
        #expect(check.text.contains(part), "no “\(part)” in:\n\(check.text)")
      }
      #expect(!check.text.contains("some-plain-text"))

      let list = try Gatehouse.run(["user", "list", "--file", "users"], in: scratch)
      for part in [
        "werkzeug-scrypt\tscrypt ln=15,r=8,p=1,l=64 groups=a,b", "passlib-scrypt-parallel\tscrypt ln=10,r=4,p=3 groups=a,b",
        "werkzeug-pbkdf2-sha512-2000\tpbkdf2-sha512 2000 groups=a,b", "passlib-sha256_crypt-rounds\tsha256-crypt 6789 groups=a,b",
      ] {
        #expect(list.text.contains(part + "\n"), "no “\(part)” in:\n\(list.text)")
      }
      for line in Self.lines {
        let verify = ["user", "verify", Self.name(line), "--password-stdin", "--file", "users"]
        #expect(try Gatehouse.run(verify, input: Secrets.keep(Self.password) + "\n", in: scratch).code == 0, "\(line)")
      }
      #expect(
        try Gatehouse.run(["user", "verify", "old", "--password-stdin", "--file", "users"], input: "secret\n", in: scratch).code == 1)
      // An edit leaves a hash with colons whole.
      #expect(try Gatehouse.run(["user", "lock", "werkzeug-scrypt", "--file", "users"], in: scratch).code == 0)
      let line = try #require(attributed.first { $0.hasPrefix("werkzeug-scrypt:") })
      #expect(try scratch.text("users").contains(line + ",locked\n"))
    }

    /// What Gatehouse makes, others read.
    @Test func newHashesAreReadByOthers() throws {
      let scratch = try Scratch()
      let password = Secrets.keep(Self.password)
      func add(_ name: String, _ arguments: String...) throws -> Outcome {
        try Gatehouse.run(["user", "add", name, "--password-stdin", "--file", "users"] + arguments, input: password + "\n", in: scratch)
      }
      #expect(try add("argon", "--hash", "argon2id", "--cost", "2").code == 0)
      #expect(try add("usual", "--hash", "argon2id").code == 0)
      #expect(try add("pbkdf", "--hash", "pbkdf2-sha256", "--cost", "2000").code == 0)
      #expect(try add("crypt", "--hash", "sha512", "--cost", "2000").code == 0)
      #expect(try add("seven", "--hash", "scrypt", "--cost", "6").code == 0)
      #expect(try add("beast", "--hash", "bcrypt", "--cost", "4").code == 0)
      let list = try Gatehouse.run(["user", "list", "--file", "users"], in: scratch).text
      for part in ["argon\targon2id m=2048,t=3,p=1\n", "usual\targon2id m=65536,t=3,p=1\n", "pbkdf\tpbkdf2-sha256 2000\n"] {
        #expect(list.contains(part), "\(list)")
      }
      let program = """
        import sys, argon2, bcrypt
        from passlib import hash as passlib
        password, lines = sys.stdin.read().split("\\n", 1)
        hashes = dict(line.split(":")[:2] for line in lines.splitlines())
        assert argon2.PasswordHasher().verify(hashes["argon"], password)
        assert argon2.PasswordHasher().verify(hashes["usual"], password)
        assert passlib.pbkdf2_sha256.verify(password, hashes["pbkdf"])
        assert passlib.sha512_crypt.verify(password, hashes["crypt"])
        assert passlib.scrypt.verify(password, hashes["seven"])
        assert bcrypt.checkpw(password.encode(), hashes["beast"].replace("$2y$", "$2b$").encode())
        assert not passlib.pbkdf2_sha256.verify(password + "x", hashes["pbkdf"])
        """
      _ = try Self.output("/usr/bin/python3", ["-I", "-c", program], input: password + "\n" + scratch.text("users"))

      let before = try scratch.text("users")
      for (hash, cost) in [("argon2id", "0"), ("argon2id", "12"), ("pbkdf2-sha256", "999"), ("bcrypt", "3")] {
        #expect(try add("zoe", "--hash", hash, "--cost", cost).code == 2, "\(hash) \(cost)")
      }
      // Within the range, and more than a server does: its user would be locked out.
      for (hash, cost) in [("bcrypt", "16"), ("argon2id", "10"), ("pbkdf2-sha256", "9999999")] {
        let outcome = try add("zoe", "--hash", hash, "--cost", cost)
        #expect(outcome.code == 1 && outcome.errors.contains("hash_limit"), "\(hash) \(cost): \(outcome.errors)")
      }
      // The configuration's limit counts where there is one.
      try scratch.write(Setup(top: "hash_limit 100ms 8m").text(upstreamPort: 9), to: "proxy.conf")
      for (cost, code) in [("5", 1), ("4", 0)] as [(String, Int32)] {
        let outcome = try Gatehouse.run(
          ["user", "add", "small", "--hash", "argon2id", "--cost", cost, "--password-stdin", "--config", "proxy.conf"],
          input: password + "\n", in: scratch)
        #expect(outcome.code == code, "\(cost): \(outcome.errors)")
      }
      #expect(try add("long", "--hash", "bcrypt", "--cost", "4").code == 0)
      let long = String(repeating: "x", count: 73)
      let refused = try Gatehouse.run(
        ["user", "passwd", "long", "--hash", "bcrypt", "--password-stdin", "--file", "users"], input: Secrets.keep(long) + "\n", in: scratch
      )
      #expect(refused.code == 1 && refused.errors.contains("72"))
      #expect(try scratch.text("users").hasPrefix(before))
    }

    @Test func aHashBeyondTheLimitKeepsItsUserOutUntilTheLimitIsRaised() throws {
      let python = """
        import sys, argon2
        print(argon2.PasswordHasher(time_cost=1, memory_cost=40 * 1024, parallelism=2).hash(sys.stdin.read()))
        """
      let hash = try Self.output("/usr/bin/python3", ["-I", "-c", python], input: Self.password)
      let person = People.Person(name: "argon", password: Self.password)
      try House.with(Setup(top: "hash_limit 1s 32m", users: People.file + "argon:\(hash)")) { house throws in
        try house.gate.child.errors.waitForLine(containing: "argon")
        let line = try #require(house.gate.errorLines.first { $0.contains("\"argon\"") })
        let number = People.file.split(separator: "\n", omittingEmptySubsequences: false).count
        #expect(line.contains("\(number)") && line.contains("40 MiB") && line.contains("hash_limit"), "\(line)")
        #expect(try house.ask("GET", "/", [person.authorization]).status == 401)
        #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 200)
        let check = try Gatehouse.run(["check", "--config", "proxy.conf"], in: house.scratch)
        #expect(check.code == 0 && check.text.contains("users:\(number): ") && check.text.contains("1s and 32m each"), "\(check.text)")

        let text = try house.scratch.text("proxy.conf")
        try house.scratch.write(text.replacingOccurrences(of: "1s 32m", with: "1s 64m"), to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try eventually("argon is let in") { try house.ask("GET", "/", [person.authorization]).status == 200 }
        try house.scratch.write(text.replacingOccurrences(of: "1s 32m", with: "20ms 64m"), to: "proxy.conf")
        house.gate.child.signal(SIGHUP)
        try eventually("argon is out again") { try house.ask("GET", "/", [person.authorization]).status == 401 }
        #expect(try house.ask("GET", "/", [People.carol.authorization]).status == 200)
      }
    }
  }
}
