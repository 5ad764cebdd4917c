// `gatehouse token inspect`: what a token is and whether it would be let in. The token comes from standard input or is asked for, and is never
// shown.

import ArgumentParser
import Auth
import Config
import Glibc
import Primitives

extension TokenCommand {
  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "inspect", abstract: "Say what a token is: exit code 0 if it would be let in, 1 if not.",
      discussion: "The token is the first line of standard input, or asked for without echo; never an argument, which ps would show.")
    @OptionGroup var users: UserFileOption

    func run() throws {
      let table = try users.resolve().table()
      var authority: TokenAuthority?
      if users.file == nil {
        let path = users.config ?? TokenConfiguration.standardPath
        if Configuration.load(path: path).tokens != nil { authority = try TokenConfiguration(path).authority() }
      }
      let token =
        isatty(STDIN_FILENO) == 1
        ? try PasswordInput.prompt("Token: ", for: "token") : try PasswordInput.line(from: STDIN_FILENO, for: "token")
      let now = Timestamp.now()
      let found = TokenInspection(of: token.span, users: table, authority: authority, at: now)
      for (subject, words) in Self.lines(found, at: now) {
        Output.line(subject.padding(to: 10) + words)
      }
      guard case .refused(let reason) = found.verdict else {
        Output.line("valid")
        return
      }
      Output.line("not valid: \(reason)")
      throw ExitCode(1)
    }

    private static func lines(_ found: TokenInspection, at now: Timestamp) -> [(String, String)] {
      var lines: [(String, String)] = []
      switch found.kind {
      case .apiKey: lines.append(("kind", "API key" + (found.name.map { " " + shown($0) } ?? "")))
      case .signed: lines.append(("kind", "signed token"))
      case .ticket: lines.append(("kind", "ticket"))
      case .foreign: lines.append(("kind", "signed token, made elsewhere"))
      case .unreadable: lines.append(("kind", "unknown"))
      }
      if let header = found.header { lines.append(("header", shown(header))) }
      if let claims = found.claims { lines.append(("claims", shown(claims))) }
      if found.header != nil {
        lines.append(("signature", found.isSigned.map { $0 ? "good" : "wrong" } ?? "by none of our keys"))
      }
      if let user = found.user { lines.append(("user", shown(user))) }
      if let issued = found.issued { lines.append(("issued", String(decoding: CalendarText.text(issued), as: UTF8.self))) }
      if let expires = found.expires {
        let text = String(decoding: CalendarText.text(expires), as: UTF8.self)
        let left = expires.seconds - now.seconds
        lines.append(("expires", text + (left > 0 ? ", in \(left) s" : ", \(-left) s ago")))
      } else if found.kind == .apiKey && found.name != nil {
        lines.append(("expires", "never"))
      }
      if let key = found.apiKey {
        if !key.scope.isUnlimited { lines.append(("scope", APIKeyText.scope(key))) }
        if !key.networks.isEmpty { lines.append(("from", APIKeyText.networks(key))) }
      }
      return lines
    }

    /// Claims of strangers: what a terminal would obey is escaped.
    private static func shown(_ bytes: [UInt8]) -> String {
      String(decoding: bytes, as: UTF8.self).unicodeScalars.map { scalar in
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
          "\\u{\(String(scalar.value, radix: 16))}"
        default: String(scalar)
        }
      }.joined()
    }
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(1, width - count)) }
}
