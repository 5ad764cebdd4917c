// `gatehouse echo`: runs an EchoServer until it is killed.

import ArgumentParser
import Glibc
import Net

struct EchoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "echo",
    abstract: "A small upstream that answers with what it received, for trying things out.",
    discussion: """
      Every path is answered with JSON: the request's method, target, fields in their order, and its body's length \
      and SHA-256. But for:
        /status/N       status N, 200 to 599
        /delay/MS       the same JSON, MS milliseconds later
        /bytes/N        N bytes; /bytes/N?chunked in chunked coding
        /sse/N          N server-sent events, 100 ms apart, or as /sse/N?interval=MS says
        /trailers       the same JSON in chunked coding, with trailer fields
        /early-hints    103 first; /early-hints?delay=MS puts time between
      """)

  @Option(
    help: ArgumentHelp("Where to listen: ADDRESS:PORT, port 0 for any free one, or unix:PATH.", valueName: "address"),
    transform: { try SocketAddress(parsing: $0) })
  var listen = SocketAddress.ipv4(address: 0x7F00_0001, port: 9000)

  func run() throws {
    // Nothing of it is worth finishing.
    for signal in [SIGTERM, SIGINT] { _ = Glibc.signal(signal) { _ in _exit(0) } }
    let server = try EchoServer(listeningOn: listen)
    Output.line("gatehouse echo: listening on \(server.address.isUnix ? "" : "http://")\(server.address.text)")
    server.run()
  }
}
