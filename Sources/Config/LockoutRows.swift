// `lockout { … }` and `admin`: who is shut out for guessing, and where the running server is asked about it.

import Auth
import Net
import Primitives
import Proxy

extension Table {
  static let lockoutRows: [Row] = [
    Row(
      "lockout", in: .top, takes: "off | { … }", 0...1, block: .optional, elsewhere: ["fail2ban", "limit_req", "stick-table", "maxretry"],
      doc: "Bans addresses, and users at an address, that fail to log in too often (429); on with these defaults unless it is `off`."
    ) { reading, directive in reading.lockout(directive) },
    Row(
      "failures", in: .lockout, takes: "NUMBER", 1...1, standard: "10", elsewhere: ["maxretry"],
      doc: "As many failures, 1 to 100, make a ban."
    ) { reading, directive in
      reading.count(directive.arguments[0], 1...100).map { reading.settings.lockout?.failures = $0 }
    },
    Row(
      "within", in: .lockout, takes: "DURATION", 1...1, standard: "1m", elsewhere: ["findtime"],
      doc: "The time in which they count together."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(1)...Table.longestTimeout).map { reading.settings.lockout?.within = $0 }
    },
    Row(
      "ban", in: .lockout, takes: "DURATION", 1...1, standard: "10m", elsewhere: ["bantime"],
      doc: "How long the first ban lasts; each further one within a day is twice as long, up to a day."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(1)...Table.longestTimeout).map { reading.settings.lockout?.ban = $0 }
    },
    Row(
      "exempt", in: .lockout, takes: "NETWORK…", 1...1024, isRepeatable: true, elsewhere: ["ignoreip", "whitelist"],
      doc: "Clients (`10.0.0.0/8`, `::1`, `unix:`) who are neither counted nor banned."
    ) { reading, directive in
      for word in directive.arguments where !word.isBroken {
        do throws(NetError) {
          reading.settings.lockout?.exempt.append(try Network(parsing: word.text).range)
        } catch {
          guard case .badAddress(_, let why) = error else { continue }
          reading.wrong(word, "is no network: \(why)")
        }
      }
    },
    Row(
      "admin", in: .top, takes: "unix:PATH|off", 1...1, elsewhere: ["stats"],
      doc:
        "The socket by which `gatehouse status`, `reload`, `drain` and `ban` reach the running server, for root and its own user; "
        + "without it `unix:\(AdminPlace.standardPath)`, if its folder is there."
    ) { reading, directive in reading.admin(directive) },
  ]
}

extension Reading {
  func lockout(_ directive: Directive) {
    if let word = directive.arguments.first {
      guard word.text == "off" && !word.isQuoted else { return wrong(word, "is no way to lock out", hint: "lockout { … }, or lockout off") }
      if let block = directive.block { return diagnostics.error(block.place, "'lockout off' takes no block") }
      settings.lockout = nil
      return
    }
    guard let block = directive.block else {
      return diagnostics.error(directive.place, "'lockout' needs a block or 'off'", hint: "lockout { failures 10; within 1m; ban 10m }")
    }
    read(block, in: .lockout)
  }

  func admin(_ directive: Directive) {
    let word = directive.arguments[0]
    guard !word.isBroken else { return }
    if word.text == "off" && !word.isQuoted {
      settings.admin = .off
      return
    }
    guard case .unix(let path)? = try? SocketAddress(parsing: socketPathResolved(word)) else {
      return wrong(word, "is no Unix socket", hint: "unix:/run/gatehouse/admin.sock, or off")
    }
    // As for `listen`: what is under /run is made when the service starts.
    if !path.hasPrefix("/run/"), let folder = Disk.whyNoFolder(Path.folder(of: path)) {
      diagnostics.warning(word.place, "the socket's folder can't be used: \(folder.reason)")
    }
    settings.admin = .unix(path: path)
  }
}
