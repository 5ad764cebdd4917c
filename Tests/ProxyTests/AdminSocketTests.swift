// The admin socket: its commands as text, and visitors who are slow, many, or talk too much.

import Auth
import Glibc
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct AdminSocketTests {
  private func answer(_ line: String) -> AdminAnswer? {
    do {
      _ = try AdminCommand(line)
      return nil
    } catch {
      return error
    }
  }

  @Test func commandsAreRead() throws {
    #expect(try AdminCommand("status") == .status)
    #expect(try AdminCommand("reload") == .reload)
    #expect(try AdminCommand("drain") == .drain)
    #expect(try AdminCommand("upgrade") == .upgrade)
    #expect(try AdminCommand("ban list") == .listBans)
    #expect(try AdminCommand("ban lift all") == .liftBans(nil))
    #expect(try AdminCommand("ban lift 203.0.113.7") == .liftBans(.ipv4(0xCB00_7107)))
    #expect(try AdminCommand("ban lift ::ffff:203.0.113.7") == .liftBans(.ipv4(0xCB00_7107)))
    #expect(try AdminCommand("ban lift 2001:db8::/64") == .liftBans(.ipv6(high: 0x2001_0DB8_0000_0000, low: 0)))
    #expect(try AdminCommand("ban lift 2001:db8::7") == .liftBans(.ipv6(high: 0x2001_0DB8_0000_0000, low: 7)))
    #expect(try AdminCommand("ban lift unix:") == .liftBans(.unix))
  }

  private static let noCommands = [
    "", " ", "stop", "status now", "STATUS", "ban", "ban lift", "ban list all", "ban lift a b", "ban lift alice", "ban lift *",
    "ban lift 203.0.113.0/24", "reload\r", "upgrade now",
  ]

  @Test(arguments: noCommands)
  func whatIsNoCommandDoesNothing(line: String) {
    #expect(answer(line)?.isError == true)
  }

  @Test func anAnswerIsLines() {
    var out = ByteBuffer()
    AdminAnswer("done", lines: ["a\tb", "line\nfeed\u{1B}[2J"]).write(to: &out)
    AdminAnswer(error: "not done").write(to: &out)
    AdminAnswer().write(to: &out)
    #expect(text(out.span) == "ok done\na\tb\nline?feed?[2J\nerror not done\nok\n")
    var long = ByteBuffer()
    AdminAnswer(lines: [String](repeating: "x", count: AdminAnswer.mostLines + 5)).write(to: &long)
    #expect(text(long.span).hasSuffix("x\n… and 5 more\n"))
  }

  @Test func addressesReadBackAsTheyAreWritten() {
    for text in ["203.0.113.7", "2001:db8::/64", "unix:"] { #expect(ClientAddress(text: text)?.networkText == text) }
    #expect(ClientAddress.ipv6(high: 0x2001_0DB8_0000_0000, low: 7).text == "2001:db8::7")
  }

  /// A socket on a poller, and the time.
  private final class Scene {
    let scratch = Scratch()
    var poller: Poller
    let socket: AdminSocket
    var now = Instant.now()

    init() throws {
      poller = try Poller(capacity: 16)
      socket = AdminSocket(path: scratch.file("a.sock"), try AdminSocket.bind(scratch.file("a.sock")), listenerKind: 1, visitorKind: 2)
      try socket.listen(poller)
    }

    func visitor() throws -> Stream { try Stream.connect(to: .unix(path: socket.path)) }

    /// Deals with everything that is ready, answering commands with their own names.
    func turn() -> [AdminCommand] {
      var commands: [AdminCommand] = []
      while true {
        let count = poller.wait(until: Instant.now(), now: Instant.now())
        if count == 0 { return commands }
        for i in 0..<count {
          let event = poller.event(i)
          for question in socket.ready(event.token, event.readiness, poller, now: now) {
            commands.append(question.command)
            socket.answer(question, AdminAnswer("\(question.command)"), poller, now: now)
          }
        }
      }
    }
  }

  /// Everything that the server has written, and whether it has ended.
  private func heard(_ stream: inout Stream) -> (String, Bool) {
    var buffer = ByteBuffer()
    while true {
      switch stream.read(into: &buffer, atMost: 4096) {
      case .bytes: continue
      case .wouldBlock: return (text(buffer.span), false)
      case .closed, .failed: return (text(buffer.span), true)
      }
    }
  }

  private func send(_ words: String, _ stream: inout Stream) {
    #expect(stream.write(bytes(words).span) == .bytes(words.utf8.count))
  }

  @Test func oneCommandIsAnsweredOnce() throws {
    let scene = try Scene()
    var visitor = try scene.visitor()
    send("sta", &visitor)
    #expect(scene.turn() == [])
    send("tus\nreload\n", &visitor)
    #expect(scene.turn() == [.status])
    #expect(heard(&visitor) == ("ok status\n", true))
  }

  @Test func whoSaysTooMuchOrNothingIsSentAway() throws {
    let scene = try Scene()
    var loud = try scene.visitor()
    send(String(repeating: "x", count: 3000), &loud)
    var quiet = try scene.visitor()
    #expect(scene.turn() == [])
    #expect(heard(&loud).0 == "error a command has at most 1024 bytes\n")
    #expect(heard(&quiet) == ("", false))
    let deadline = try #require(scene.socket.deadline)
    scene.now = deadline
    scene.socket.expire(scene.poller, now: scene.now)
    #expect(heard(&quiet) == ("", true))
    #expect(scene.socket.deadline == nil)
  }

  @Test func manyVisitorsWaitTheirTurn() throws {
    let scene = try Scene()
    var idle: [Int32] = []
    for _ in 0..<Limits.adminConnections {
      let visitor = try scene.visitor()
      // Held by number: an array holds no streams.
      idle.append(fcntl(visitor.descriptor, F_DUPFD_CLOEXEC, 0))
    }
    _ = scene.turn()
    var late = try scene.visitor()
    send("status\n", &late)
    #expect(scene.turn() == [], "there is no place for it yet")
    for descriptor in idle { #expect(close(descriptor) == 0) }
    #expect(scene.turn() == [.status])
    #expect(heard(&late) == ("ok status\n", true))
  }

  @Test func theSocketIsItsOwners() throws {
    let scene = try Scene()
    var status = stat()
    #expect(unsafe stat(scene.socket.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }
}
