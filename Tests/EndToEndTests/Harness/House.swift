// The whole house for one test: a recording upstream, Gatehouse in front of it, and clients. What every suite of this target starts from.

import Foundation
import Testing

/// All end-to-end suites hang below this one. Each is `.serialized` by itself, and stands beside others: a test waits for the program under test most of its time,
/// so that as many at once as there are cores take half of the time. Each has a folder and ports of its own, and may count on nothing else of the machine's.
@Suite enum EndToEnd {}

/// What a test wants configured. The defaults are the ten lines of an ordinary proxy.conf.
struct Setup: Sendable {
  /// Directives at the top, beside `listen`, `users` and `log`.
  var top = ""
  /// Directives inside `upstream legacy { … }`.
  var upstream = ""
  /// The path of the first route, and directives inside it.
  var path = "/"
  var route = ""
  /// Further blocks; `upstream legacy` may be used in them.
  var more = ""
  var requirement = "valid-user"
  /// Off, so that tests of something else may fail to log in as often as they like; nil is what holds when nothing is said.
  var lockout: String? = "lockout off"
  var users = People.file
  /// Further files beside the configuration: names and what they hold.
  var files: [String: String] = [:]
  /// One worker, so that what happens on a connection to the upstream is the same every time.
  var workers = 1
  var descriptors: Int?
  var environment: [String: String] = [:]
  /// A command that starts Gatehouse's, which stands behind its arguments; empty for none.
  var launcher: [String] = []
  /// What the upstream's address is; the recording upstream's when nil.
  var server: String?

  func text(upstreamPort: UInt16, front: Front = .clear) -> String {
    """
    listen 127.0.0.1:0\(front.listening)
    workers \(workers)
    realm "Authentication Required"
    users users
    log access.log json
    \(lockout ?? "")
    \(top)
    upstream legacy {
        server \(server ?? "http://127.0.0.1:\(upstreamPort)")
        engine \(Engines.current)
        \(upstream)
    }
    route \(path) {
        upstream legacy
        require \(requirement)
        \(route)
    }
    \(more)

    """
  }
}

final class House {
  let scratch: Scratch
  let upstream: RecordingUpstream
  let gate: Gatehouse
  /// How its clients come.
  let front = Front.current
  var port: UInt16 { gate.port }
  /// How Gatehouse is to end; a test that makes it end otherwise says so.
  var exitCode: Int32 = 0

  /// Builds a house, runs `body` in it and takes it down: Gatehouse must end well, no script of the upstream may have been surprised, and no
  /// log may hold a secret.
  static func with(_ setup: Setup = Setup(), _ script: @escaping Script = Answer.hello, _ body: (House) throws -> Void) throws {
    let house = try House(setup, script)
    do {
      try body(house)
    } catch {
      // What it wrote is the best hint that there is.
      Issue.record("\(error)\n--- gatehouse wrote:\n\(house.gate.child.errors.text)")
    }
    try house.gate.stop(expecting: house.exitCode)
    try house.upstream.stop()
    let troubles = house.upstream.troubles
    #expect(troubles.isEmpty, "the upstream met what it should not have met")
    house.expectNoLeak()
  }

  private init(_ setup: Setup, _ script: @escaping Script) throws {
    scratch = try Scratch()
    upstream = try RecordingUpstream(script)
    try scratch.write(setup.users, to: "users")
    for (name, text) in setup.files { try scratch.write(text, to: name) }
    if front.isSecure { try Certificates.write(to: scratch) }
    try scratch.write(setup.text(upstreamPort: upstream.port, front: front), to: "proxy.conf")
    gate = try Gatehouse(in: scratch, descriptors: setup.descriptors, environment: setup.environment, launcher: setup.launcher)
  }

  func expectNoLeak() {
    let found = Secrets.found(in: gate.logs)
    #expect(found.isEmpty, "secrets in the logs")
  }

  func client() throws -> Client { try Client(to: port) }

  var url: String { "\(front.scheme)://127.0.0.1:\(port)" }

  /// Runs curl with `arguments`, its last one a path. Whatever files it makes stay in the scratch folder. On Unix sockets clear text is spoken.
  func curl(_ arguments: String..., input: [UInt8] = [], within duration: Duration = .seconds(60)) throws -> CurlAnswer {
    let url = arguments.contains("--unix-socket") ? "http://127.0.0.1:\(port)" : url
    return try Curl.run(Array(arguments.dropLast()) + [url + (arguments.last ?? "/")], input: input, in: scratch, within: duration)
  }

  /// Runs a Python program; `base` in it is Gatehouse's URL, and `trust` what `requests` calls `verify`.
  func python(_ program: String, within duration: Duration = .seconds(60)) throws -> Outcome {
    let text = "import sys\nbase, trust = sys.argv[1], sys.argv[2] or True\n" + program
    return try Child.run(
      "/usr/bin/python3", ["-I", "-c", text, url, front.isSecure ? scratch["ca.pem"] : ""], folder: scratch.path, environment: authorities, within: duration)
  }

  /// What makes Python's clients trust us. `ssl` reads the one, `requests` the other.
  var authorities: [String: String] {
    front.isSecure ? ["SSL_CERT_FILE": scratch["ca.pem"], "REQUESTS_CA_BUNDLE": scratch["ca.pem"]] : [:]
  }

  /// An exchange of one request on a connection of its own, in HTTP/2 where the house speaks it and it has words for the request. `fields` without
  /// their line ends.
  func ask(_ method: String = "GET", _ target: String = "/", _ fields: [String] = [], body: String = "") throws -> Message {
    if front == .h2, let fields = HTTP2Client.fields(method, target, fields) {
      let client = try HTTP2Client(to: port)
      return try client.response(try client.send(fields, body: body.isEmpty ? nil : [UInt8](body.utf8)))
    }
    return try client().exchange(request(method, target, fields, body: body))
  }

  /// The bodies of the access log's lines, waiting until there are `count` of them.
  func accessLines(_ count: Int) throws -> [[String: Any]] {
    try eventually("\(count) lines in the access log") { gate.accessLog.split(separator: "\n").count >= count }
    return try gate.accessLog.split(separator: "\n").map { line in
      guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw Failure("not an object: \(line)")
      }
      return object
    }
  }
}

struct CurlAnswer {
  /// curl's exit code.
  var code: Int32
  var status: Int
  /// Every head it saw, as it came.
  var heads: String
  var body: [UInt8]
  var connections: Int
  var complaint: String

  var text: String { String(decoding: body, as: UTF8.self) }
  /// The head of the final response.
  var final: Message {
    let last = heads.components(separatedBy: "\r\n\r\n").filter { !$0.isEmpty }.last ?? ""
    return Message(head: [UInt8]((last + "\r\n\r\n").utf8))
  }
}

enum Curl {
  static func run(_ arguments: [String], input: [UInt8] = [], in scratch: Scratch, within duration: Duration = .seconds(60)) throws
    -> CurlAnswer
  {
    let place = UUID().uuidString
    let (heads, body) = (scratch["head-\(place)"], scratch["body-\(place)"])
    let fixed = [
      "-q", "-sS", "--noproxy", "*", "--max-time", "\(duration.components.seconds)", "-D", heads, "-o", body,
      "-w", "%{http_code} %{num_connects}",
    ]
    var trust = [String]()
    if let door = arguments.lazy.compactMap({ Front.door(in: $0) }).first {
      trust = ["--cacert", door.authority] + (door.front.curlOption.map { [$0] } ?? [])
    }
    let outcome = try Child.run(
      "/usr/bin/curl", fixed + trust + arguments, input: input, folder: scratch.path, environment: ["HOME": scratch.path],
      within: duration + .seconds(10))
    let numbers = outcome.text.split(separator: " ").compactMap { Int($0) }
    guard numbers.count == 2 else { throw Failure("curl printed “\(outcome.text)” and “\(outcome.errors)”") }
    return CurlAnswer(
      code: outcome.code, status: numbers[0], heads: (try? scratch.text("head-\(place)")) ?? "",
      body: (try? scratch.bytes("body-\(place)")) ?? [], connections: numbers[1], complaint: outcome.errors)
  }
}
