// `gatehouse token` for signed tokens: what is printed, what is refused, and that no token is ever shown twice.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct TokenCommands {
    private func folder() throws -> Scratch {
      let scratch = try Scratch()
      try scratch.write(People.file, to: "users")
      try scratch.write(SignedTokens.setup.text(upstreamPort: 1), to: "proxy.conf")
      #expect(try SignedTokens.run(scratch, "keys", "rotate").code == 0)
      return scratch
    }

    @Test func aTokenStandsAloneOnStandardOutput() throws {
      let scratch = try folder()
      let outcome = try SignedTokens.run(scratch, "issue", "bob", "--duration", "1h")
      let token = Secrets.keep(outcome.text.trimmingCharacters(in: .newlines))
      #expect(outcome.code == 0 && outcome.text == token + "\n" && token.split(separator: ".").count == 3)
      let claims = try SignedTokens.claims(token)
      let identifier = try #require(claims["jti"] as? String)
      #expect(outcome.errors.contains(identifier) && !outcome.errors.contains(token))
      #expect((claims["exp"] as? Int ?? 0) - (claims["iat"] as? Int ?? 0) == 3600)
    }

    @Test func whatCannotBeIssuedIsRefused() throws {
      let scratch = try folder()
      let wrong: [([String], Int32)] = [
        (["nobody-we-know"], 1), (["mallory"], 1), (["erin"], 1), (["bob", "--duration", "25h"], 1), (["bob", "--duration", "10"], 2),
        (["bob", "--scope", "reports"], 2), (["bob", "--scope", "GET /a/../b"], 2), (["bob", "--ticket"], 2), (["bob", "--name", "x", "--ticket"], 2),
        (["bob", "--expires", "2030-01-01"], 2), (["bob", "--file", "users"], 2), ([], 2), (["bob", "--config", "none.conf"], 1),
      ]
      for (arguments, code) in wrong {
        let outcome = try Gatehouse.run(["token", "issue"] + arguments, in: scratch)
        #expect(outcome.code == code && outcome.text.isEmpty && !outcome.errors.isEmpty, "\(arguments): \(outcome.errors)")
      }
    }

    @Test func inspectSaysWhatATokenIsAndNeverShowsIt() throws {
      let scratch = try folder()
      let token = try SignedTokens.issue(scratch, "bob", "--scope", "GET /x")
      let ticket = try SignedTokens.issue(scratch, "bob", "--ticket", "--scope", "/")
      let key = Secrets.keep(
        try SignedTokens.run(scratch, "issue", "bob", "--name", "ci").text.trimmingCharacters(in: .newlines))
      func inspect(_ text: String) throws -> (code: Int32, text: String) {
        let outcome = try SignedTokens.run(scratch, "inspect", input: text + "\n")
        let whole = outcome.text + outcome.errors
        if text.count > 20 { #expect(!whole.contains(text) && !whole.contains(text.suffix(20)), "the token was shown") }
        return (outcome.code, whole)
      }
      let good = try inspect(token)
      #expect(good.code == 0, "\(good.text)")
      for part in ["kind      signed token", "\"sub\":\"bob\"", "\"alg\":\"HS256\"", "signature good", "\nvalid\n"] {
        #expect(good.text.contains(part), "no “\(part)” in:\n\(good.text)")
      }
      #expect(try inspect(ticket).text.contains("kind      ticket") && inspect(ticket).code == 0)
      #expect(try inspect(key).text.contains("kind      API key ci") && inspect(key).code == 0)
      let changed = String(token.dropLast()) + (token.hasSuffix("A") ? "B" : "A")
      #expect(try inspect(changed).code == 1)
      let middle = token.index(token.endIndex, offsetBy: -20)
      let wrong = token[..<middle] + (token[middle] == "A" ? "B" : "A") + token[token.index(after: middle)...]
      let bad = try inspect(String(wrong))
      #expect(bad.code == 1 && bad.text.contains("signature wrong") && bad.text.contains("not valid: invalid token"), "\(bad.text)")
      let foreign = try inspect("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
      #expect(foreign.code == 1 && foreign.text.contains("made elsewhere"), "\(foreign.text)")
      for nonsense in ["hello", "ghk_hello", "eyJ.e.e"] { #expect(try inspect(nonsense).code == 1) }
      // Claims of strangers do not command the terminal.
      let escape = Data("{\"sub\":\"\u{9B}31m\u{202E}x\"}".utf8).base64EncodedString().replacingOccurrences(of: "=", with: "")
      let escaped = try inspect("eyJhbGciOiJIUzI1NiJ9.\(escape).AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
      #expect(escaped.text.contains("\\u{9b}31m\\u{202e}x"), "\(escaped.text)")

      #expect(try SignedTokens.run(scratch, "revoke", "--user", "bob").code == 0)
      let revoked = try inspect(token)
      #expect(revoked.code == 1 && revoked.text.contains("not valid: token is revoked"))
      #expect(try Gatehouse.run(["user", "lock", "bob", "--file", "users"], in: scratch).code == 0)
      let locked = try inspect(key)
      #expect(locked.code == 1 && locked.text.contains("user is locked"))
      // An argument would be seen by ps.
      #expect(try SignedTokens.run(scratch, "inspect", "eyJ.e.e").code == 2)
    }

    @Test func aTerminalIsAskedForATokenWithoutEcho() throws {
      let scratch = try folder()
      let token = try SignedTokens.issue(scratch, "bob")
      let program = """
        import os, pty, sys, termios
        token = sys.stdin.readline().strip().encode()
        pid, tty = pty.fork()
        if pid == 0:
            os.execv(sys.argv[1], [sys.argv[1], "token", "inspect"])
        seen = b""
        while b"Token: " not in seen:
            seen += os.read(tty, 4096)
        assert not termios.tcgetattr(tty)[3] & termios.ECHO, "echo is on"
        os.write(tty, token + b"\\n")
        try:
            while True:
                part = os.read(tty, 4096)
                if not part: break
                seen += part
        except OSError:
            pass
        assert token not in seen, "the token was shown"
        assert b"valid" in seen, seen
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
      let outcome = try Child.run(
        "/usr/bin/python3", ["-I", "-c", program, Gatehouse.binary], input: [UInt8]((token + "\n").utf8), folder: scratch.path)
      #expect(outcome.code == 0, "\(outcome.errors)")
    }

    @Test func whatIsRevokedHasToBeSaidExactly() throws {
      let scratch = try folder()
      let wrong: [([String], Int32)] = [
        ([], 2), (["--all", "--jti", "x"], 2), (["--user", "bob", "--all"], 2), (["bob"], 2), (["bob", "ci", "--all"], 2),
        (["--jti", "x", "--before", "2026-01-01"], 2), (["--before", "2026-01-01"], 2), (["--user", "nobody-we-know"], 1),
        (["--all", "--before", "2999-01-01"], 1), (["--all", "--before", "soon"], 2), (["--jti", "a b"], 1), (["--jti", ""], 1),
        (["--all", "--file", "users"], 2), (["--all", "--config", "none.conf"], 1),
      ]
      for (arguments, code) in wrong {
        let outcome = try Gatehouse.run(["token", "revoke"] + arguments, in: scratch)
        #expect(outcome.code == code && outcome.text.isEmpty, "\(arguments): \(outcome.code) \(outcome.errors)")
      }
      #expect(!scratch.contains("token.keys.revoked"))
      #expect(try SignedTokens.run(scratch, "revoke", "--jti", "-begins-with-a-hyphen").code == 0)
      #expect(try SignedTokens.run(scratch, "revoke", "--user", "bob", "--before", "2026-01-01T12:00:00+01:00").code == 0)
      #expect(try scratch.text("token.keys.revoked").contains("user bob before=2026-01-01T11:00:00Z until="))
    }

    @Test func keysAreListedWithoutTheirSecrets() throws {
      let scratch = try folder()
      #expect(try SignedTokens.run(scratch, "keys", "rotate").code == 0)
      let list = try SignedTokens.run(scratch, "keys", "list")
      let lines = try scratch.text("token.keys").split(separator: "\n").map { $0.split(separator: " ") }
      #expect(list.code == 0 && lines.count == 2)
      for words in lines {
        #expect(list.text.contains(words[0]) && !list.text.contains(words[1]))
        Secrets.keep(String(words[1]))
      }
      try scratch.replace("token.keys", with: try scratch.text("token.keys"), mode: 0o644)
      for arguments in [["keys", "list"], ["keys", "rotate"], ["issue", "bob"]] {
        let outcome = try Gatehouse.run(["token"] + arguments, in: scratch)
        #expect(outcome.code == 1 && outcome.errors.contains("chmod 600"), "\(arguments): \(outcome.errors)")
        #expect(Secrets.found(in: outcome.errors + outcome.text).isEmpty)
      }
    }

    @Test func checkSaysWhereTokensComeFrom() throws {
      let scratch = try folder()
      let outcome = try Gatehouse.run(["check"], in: scratch)
      #expect(
        outcome.code == 0 && outcome.text.contains("token.keys: 1 key") && outcome.text.contains("renewed within 12h"), "\(outcome.text)")
      try scratch.write("what is this\n", to: "token.keys.revoked")
      #expect(try Gatehouse.run(["check"], in: scratch).code == 1)
    }
  }
}
