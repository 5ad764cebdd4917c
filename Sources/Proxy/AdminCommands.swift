// The language of the admin socket: one line in, `ok …` or `error …` and further lines out. docs/OPERATIONS.md shows it.

import Auth
import Primitives

/// What the running server may be asked.
enum AdminCommand: Equatable {
  case status
  case reload
  case drain
  case upgrade
  case listBans
  /// Of one client; of all with nil.
  case liftBans(ClientAddress?)

  /// Reads a line without its end. Throws what to answer when it is no command.
  init(_ line: String) throws(AdminAnswer) {
    let words = line.split(separator: " ").map(String.init)
    switch words.first {
    case "status" where words.count == 1: self = .status
    case "reload" where words.count == 1: self = .reload
    case "drain" where words.count == 1: self = .drain
    case "upgrade" where words.count == 1: self = .upgrade
    case "ban" where words.dropFirst().first == "list" && words.count == 2: self = .listBans
    case "ban" where words.dropFirst().first == "lift" && words.count == 3:
      if words[2] == "all" {
        self = .liftBans(nil)
      } else if let client = ClientAddress(text: words[2]) {
        self = .liftBans(client)
      } else {
        throw AdminAnswer(error: "an address is wanted, such as 203.0.113.7, 2001:db8::7 or unix:, or 'all'")
      }
    default: throw AdminAnswer(error: "not a command: status, reload, drain, upgrade, ban list, ban lift ADDRESS and ban lift all are")
    }
  }
}

/// What is answered to a command.
struct AdminAnswer: Error, Equatable {
  /// Lines of an answer; what is more is told by number.
  static let mostLines = 10_000

  private(set) var isError: Bool
  /// What stands behind `ok` or `error`; one line.
  var headline: String
  var lines: [String]

  init(_ headline: String = "", lines: [String] = []) {
    isError = false
    self.headline = headline
    self.lines = lines
  }

  init(error: String, lines: [String] = []) {
    isError = true
    headline = error
    self.lines = lines
  }

  func write(to out: inout ByteBuffer) {
    out.append(isError ? "error" : "ok")
    if !headline.isEmpty {
      out.append(0x20)
      Self.append(headline, to: &out)
    }
    out.append(0x0A)
    for line in lines.prefix(Self.mostLines) {
      Self.append(line, to: &out)
      out.append(0x0A)
    }
    if lines.count > Self.mostLines { out.append(utf8: "… and \(lines.count - Self.mostLines) more\n") }
  }

  /// A line stays one, and acts on nobody's terminal.
  private static func append(_ text: String, to out: inout ByteBuffer) {
    for byte in text.utf8 { out.append(ASCII.isControl(byte) && byte != 0x09 ? 0x3F : byte) }
  }
}

extension AdminAnswer {
  /// One line a ban: address, user or `-`, when it began, seconds until it ends, which ban in a row; parted by tabs.
  static func list(_ bans: [Ban], now: Timestamp) -> AdminAnswer {
    AdminAnswer(
      "\(bans.count) ban\(bans.count == 1 ? "" : "s")",
      lines: bans.map { ban in
        let user = ban.user.map { $0.isEmpty ? "?" : String(decoding: $0, as: UTF8.self) } ?? "-"
        let began = Timestamp(microseconds: now.microseconds - Int64(ban.age.nanoseconds / 1000))
        let since = String(decoding: CalendarText.text(began), as: UTF8.self)
        return "\(ban.client.networkText)\t\(user)\t\(since)\t\(ban.remaining)\t\(ban.count)"
      })
  }
}
