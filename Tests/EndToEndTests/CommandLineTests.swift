// The commands that operators type: exit codes, messages, and that no password is ever asked for in argv.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct CommandLineTests {
    private func folder(_ users: String = People.file) throws -> Scratch {
      let scratch = try Scratch()
      try scratch.write(users, to: "users")
      try scratch.write(Setup().text(upstreamPort: 9), to: "proxy.conf")
      return scratch
    }

    private func run(_ scratch: Scratch, _ arguments: String..., input: String = "") throws -> Outcome {
      try Gatehouse.run(arguments, input: input, in: scratch)
    }

    @Test func versionAndHelpAreThere() throws {
      let scratch = try Scratch()
      let version = try run(scratch, "--version")
      #expect(version.code == 0 && version.text.contains { $0.isNumber })
      let help = try run(scratch, "--help")
      #expect(help.code == 0)
      for command in ["serve", "check", "user", "token", "echo", "demo"] {
        #expect(help.text.contains(command))
        #expect(try run(scratch, command, "--help").code == 0, "\(command)")
      }
    }

    @Test func wrongUseIsTwo() throws {
      let scratch = try folder()
      for arguments in [
        ["nonsense"], ["serve", "--nonsense"], ["user", "add"], ["user", "nonsense", "x"], ["user", "add", "zoe", "password"],
      ] {
        let outcome = try Gatehouse.run(arguments, in: scratch)
        #expect(outcome.code == 2, "\(arguments): \(outcome.code)")
        #expect(!outcome.errors.isEmpty)
      }
      #expect(try scratch.text("users") == People.file)
    }

    @Test func checkTellsWhatTheConfigurationMeans() throws {
      let scratch = try folder()
      let outcome = try run(scratch, "check", "--config", "proxy.conf")
      #expect(outcome.code == 0, "\(outcome.errors)")
      for part in ["127.0.0.1:0", "legacy", "http://127.0.0.1:9", "valid-user", "1 bcrypt", "1 sha512-crypt", "6 users", "1 locked"] {
        #expect(outcome.text.contains(part), "no “\(part)” in:\n\(outcome.text)")
      }
    }

    @Test func checkNamesEveryErrorAtOnce() throws {
      let scratch = try folder()
      try scratch.write(
        "listen 127.0.0.1:0\nrealmm \"x\"\nusers users\nworkers many\nroute / { upstream nowhere; require valid-user }\n", to: "proxy.conf")
      let outcome = try run(scratch, "check", "--config", "proxy.conf")
      #expect(outcome.code == 1)
      let all = outcome.errors + outcome.text
      for part in ["proxy.conf:2:1", "realmm", "realm", "^", "proxy.conf:4:", "many", "proxy.conf:5:", "nowhere"] {
        #expect(all.contains(part), "no “\(part)” in:\n\(all)")
      }
      #expect(try run(scratch, "serve", "--config", "proxy.conf").code == 1)
      let missing = try run(scratch, "check", "--config", "no-such.conf")
      #expect(missing.code == 1 && missing.errors.contains("gatehouse: ") && missing.errors.contains("no-such.conf"))
    }

    @Test func checkNamesUsersWhoCannotLogIn() throws {
      let scratch = try folder(People.file + "zoe:$9$unknown\nnocolon\n")
      let outcome = try run(scratch, "check", "--config", "proxy.conf")
      let all = outcome.errors + outcome.text
      let number = People.file.split(separator: "\n", omittingEmptySubsequences: false).count
      #expect(all.contains("users:\(number)") && all.contains("users:\(number + 1)"), "\(all)")
      #expect(!all.contains("$9$unknown"), "a hash was printed")
    }

    @Test func aUserIsAddedVerifiedChangedAndRemoved() throws {
      let scratch = try folder()
      // In UTF-8, and longer than crypt's classic eight letters.
      let password = Secrets.keep("pässwörd-🔑-long")
      #expect(try run(scratch, "user", "add", "zoe", "--password-stdin", "--file", "users", input: password + "\n").code == 0)
      #expect(try scratch.text("users").hasPrefix(People.file), "the rest of the file is untouched")
      #expect(!(try scratch.text("users").contains(password)))
      #expect(try run(scratch, "user", "verify", "zoe", "--password-stdin", "--file", "users", input: password + "\n").code == 0)
      #expect(try run(scratch, "user", "verify", "zoe", "--password-stdin", "--file", "users", input: "other\n").code == 1)
      #expect(try run(scratch, "user", "verify", "nobody-we-know", "--password-stdin", "--file", "users", input: "other\n").code == 1)
      // By the name of the config, too.
      #expect(try run(scratch, "user", "verify", "zoe", "--password-stdin", "--config", "proxy.conf", input: password + "\n").code == 0)

      let again = try run(scratch, "user", "add", "zoe", "--password-stdin", "--file", "users", input: "x-another-pass\n")
      #expect(again.code == 1 && again.errors.hasPrefix("gatehouse: ") && again.errors.contains("zoe"))
      #expect(try run(scratch, "user", "passwd", "zoe", "--password-stdin", "--file", "users", input: "x-another-pass\n").code == 0)
      #expect(try run(scratch, "user", "verify", "zoe", "--password-stdin", "--file", "users", input: "x-another-pass\n").code == 0)
      #expect(try run(scratch, "user", "verify", "zoe", "--password-stdin", "--file", "users", input: password + "\n").code == 1)

      let list = try run(scratch, "user", "list", "--file", "users")
      #expect(list.code == 0 && list.text.contains("zoe") && list.text.contains("alice") && !list.text.contains("$"), "\(list.text)")
      #expect(try run(scratch, "user", "lock", "zoe", "--file", "users").code == 0)
      #expect(try scratch.text("users").contains("locked"))
      #expect(try run(scratch, "user", "unlock", "zoe", "--file", "users").code == 0)
      #expect(try run(scratch, "user", "remove", "zoe", "--file", "users").code == 0)
      #expect(try scratch.text("users") == People.file)
      #expect(try run(scratch, "user", "remove", "zoe", "--file", "users").code == 1)
    }

    @Test func aFileWrittenHereWorksInNginx() throws {
      let scratch = try folder()
      let password = Secrets.keep("Shared-5-zoe-pass")
      #expect(
        try run(scratch, "user", "add", "zoe", "--hash", "bcrypt", "--password-stdin", "--file", "users", input: password + "\n").code == 0)
      #expect(try run(scratch, "user", "group", "zoe", "add", "ops", "--file", "users").code == 0)
      let root = scratch.path
      try scratch.write("inside", to: "page", mode: 0o644)
      try scratch.write(
        """
        daemon off; master_process off; pid \(root)/pid; error_log \(root)/log;
        events { worker_connections 16; }
        http {
          access_log off;
          client_body_temp_path \(root)/1; proxy_temp_path \(root)/2; fastcgi_temp_path \(root)/3; uwsgi_temp_path \(root)/4; scgi_temp_path \(root)/5;
          server {
            listen unix:\(root)/socket;
            location / { auth_basic x; auth_basic_user_file \(root)/users; root \(root); try_files /page =404; }
          }
        }

        """, to: "nginx.conf")
      let server = try Child("/usr/sbin/nginx", ["-p", root, "-c", scratch["nginx.conf"], "-e", scratch["log"]], folder: root)
      try eventually("nginx listens") { scratch.contains("socket") }
      func status(_ user: String, _ password: String) throws -> Int {
        try Curl.run(["--unix-socket", scratch["socket"], "-u", "\(user):\(password)", "http://legacy.test/"], in: scratch).status
      }
      #expect(try status("zoe", password) == 200)
      #expect(try status("zoe", "other") == 401)
      #expect(try status("alice", People.alice.password) == 200)
      server.signal(SIGKILL)
      try server.wait()
    }

    @Test func namesThatWouldBreakTheFileAreRefused() throws {
      let scratch = try folder()
      for name in ["a:b", "a\nb", "", "#hash", "a\u{7f}", String(repeating: "x", count: 5000)] {
        #expect(
          try run(scratch, "user", "add", name, "--password-stdin", "--file", "users", input: "some-pass-1\n").code != 0,
          "\(name.prefix(10))")
      }
      for password in ["", "\n", "with\u{0}nul\n", "with\u{7}bell\n"] {
        #expect(try run(scratch, "user", "add", "zoe", "--password-stdin", "--file", "users", input: password).code != 0)
      }
      #expect(try scratch.text("users") == People.file)
    }

    @Test func groupsAreEdited() throws {
      let scratch = try folder()
      #expect(try run(scratch, "user", "group", "alice", "add", "ops", "--file", "users").code == 0)
      #expect(try scratch.text("users").contains("groups=staff ops"))
      #expect(try run(scratch, "user", "group", "alice", "remove", "staff", "--file", "users").code == 0)
      #expect(try scratch.text("users").contains("groups=ops"))
      #expect(try run(scratch, "user", "group", "nobody-we-know", "add", "ops", "--file", "users").code == 1)
    }

    @Test func tokensAreShownOnce() throws {
      let scratch = try folder()
      let issued = try run(scratch, "token", "issue", "alice", "--name", "ci", "--file", "users")
      #expect(issued.code == 0, "\(issued.errors)")
      let token = Secrets.keep(
        try #require(issued.text.split(whereSeparator: { $0.isWhitespace }).map(String.init).first { $0.hasPrefix("ghk_") }))
      #expect(token.utf8.count >= 4 + 43)
      #expect(!(try scratch.text("users").contains(token)))
      let list = try run(scratch, "token", "list", "alice", "--file", "users")
      #expect(list.code == 0 && list.text.contains("ci") && list.text.contains(token.suffix(4)) && !list.text.contains(token))
      #expect(try run(scratch, "token", "issue", "alice", "--name", "ci", "--file", "users").code == 1, "a name is used once")
      #expect(try run(scratch, "token", "revoke", "alice", "ci", "--file", "users").code == 0)
      #expect(try run(scratch, "token", "revoke", "alice", "ci", "--file", "users").code == 1)
      #expect(!(try run(scratch, "token", "list", "alice", "--file", "users").text.contains("ci")))
    }

    @Test func aTerminalIsAskedTwiceWithoutEcho() throws {
      let scratch = try folder()
      let password = Secrets.keep("Typed-2-zoe-pass")
      let program = """
        import os, pty, sys, termios
        pid, tty = pty.fork()
        if pid == 0:
            os.execv(sys.argv[1], [sys.argv[1], "user", "add", "zoe", "--file", "users"])
        seen = b""
        def until(count):
            global seen
            while seen.lower().count(b"assword") < count:
                seen += os.read(tty, 4096)
            assert not termios.tcgetattr(tty)[3] & termios.ECHO, "echo is on"
        until(1)
        os.write(tty, b"\(password)\\n")
        until(2)
        os.write(tty, b"\(password)\\n")
        try:
            while True:
                part = os.read(tty, 4096)
                if not part: break
                seen += part
        except OSError:
            pass
        assert b"\(password)" not in seen, "the password was shown"
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
      let outcome = try Child.run("/usr/bin/python3", ["-I", "-c", program, Gatehouse.binary], folder: scratch.path)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(try run(scratch, "user", "verify", "zoe", "--password-stdin", "--file", "users", input: password + "\n").code == 0)
    }

    @Test func theDemoDoesWhatItPrints() throws {
      let scratch = try Scratch()
      let outcome = try run(scratch, "demo", "--check")
      #expect(outcome.code == 0, "\(outcome.text)\n\(outcome.errors)")
      for part in ["curl", "-u", "200", "401", "--cacert", "https://localhost:"] { #expect(outcome.text.contains(part), "no “\(part)” in:\n\(outcome.text)") }
    }

    @Test func theDemoRunsUntilItIsInterrupted() throws {
      let scratch = try Scratch()
      let demo = try Child(Gatehouse.binary, ["demo"], folder: scratch.path, environment: ["HOME": scratch.path, "TMPDIR": scratch.path])
      try demo.output.waitForLine(containing: "curl")
      #expect(demo.isRunning)
      demo.signal(SIGINT)
      #expect(try demo.wait().code == 0)
      #expect(scratch.names.isEmpty, "it leaves nothing behind: \(scratch.names)")
    }
  }
}
