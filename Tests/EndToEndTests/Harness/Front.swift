// By what clients reach Gatehouse: clear text, TLS with HTTP/1.1, or TLS with HTTP/2. One parameter of every house, so that every suite can run over
// each: GATEHOUSE_FRONT=clear|tls|h2 says which for a whole run, and suites about attacks run over several always.

import Foundation
import Glibc
import Testing

enum Front: String, CaseIterable, Sendable {
  case clear
  /// TLS, and HTTP/1.1 from clients that could speak HTTP/2.
  case tls
  /// HTTP/2 over TLS from curl and from `House.ask`. Clients made of a bare socket speak HTTP/1.1 over TLS.
  case h2

  /// What the whole run is to use; nil when nothing was said.
  static let ofRun: Front? = {
    guard let word = ProcessInfo.processInfo.environment["GATEHOUSE_FRONT"], !word.isEmpty else { return nil }
    guard let front = Front(rawValue: word) else { fatalError("GATEHOUSE_FRONT is clear, tls or h2, not \(word)") }
    return front
  }()

  /// What a house that is built now is to use.
  @TaskLocal static var current = ofRun ?? .clear

  var isSecure: Bool { self != .clear }
  var scheme: String { isSecure ? "https" : "http" }

  /// What `listen` says after its address.
  var listening: String { isSecure ? " tls { certificate server.pem; key server.key }" : "" }

  /// As an answer's head begins that comes to curl, or to `House.ask`. HTTP/2 has no reason.
  func statusLine(_ status: Int, _ reason: String) -> String { self == .h2 ? "HTTP/2 \(status) " : "HTTP/1.1 \(status) \(reason)" }

  /// A field's line as it comes there: HTTP/2 has names in lower case.
  func line(_ name: String, _ value: String) -> String { "\(self == .h2 ? name.lowercased() : name): \(value)" }

  /// How curl is told.
  var curlOption: String? {
    switch self {
    case .clear: nil
    case .tls: "--http1.1"
    case .h2: "--http2"
    }
  }

  // MARK: Who is behind a port

  /// A listener of a running Gatehouse.
  struct Door: Sendable {
    var front: Front
    /// The PEM file of the authority that signed its certificate.
    var authority: String
    /// Its process: once that has ended the port may be another test's.
    var owner: pid_t
  }

  /// By port. Clients look here, for they are also made on threads that know nothing of the test they belong to.
  private static let doors = Monitor<[UInt16: Door]>([:])

  static func open(_ port: UInt16, _ door: Door) { doors.with { $0[port] = door } }
  static func close(_ port: UInt16, of owner: pid_t) { doors.with { if $0[port]?.owner == owner { $0[port] = nil } } }

  /// nil where clear text is spoken.
  static func door(_ port: UInt16) -> Door? { doors.with { $0[port] } }

  /// Of an address in a command line.
  static func door(in url: String) -> Door? {
    guard let rest = url.range(of: "https://127.0.0.1:").map({ url[$0.upperBound...] }) else { return nil }
    return UInt16(rest.prefix { $0.isNumber }).flatMap { door($0) }
  }
}

/// Runs every test of a suite over several fronts in turn; over one alone when the whole run has one.
struct ByEachFront: SuiteTrait, TestTrait, TestScoping {
  let fronts: [Front]
  /// What stands for a whole run's front that is not among them; nil when that may be any.
  var instead: Front?
  var isRecursive: Bool { true }

  func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? nil : self }

  func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
    for front in Front.ofRun.map({ [fronts.contains($0) ? $0 : instead ?? $0] }) ?? fronts {
      do {
        try await Front.$current.withValue(front) { try await function() }
      } catch {
        Issue.record(error, "with front \(front)")
      }
    }
  }
}

/// Keeps a suite, or a test, to one front, whatever the run has: it is about what only that does.
struct AlwaysByOneFront: SuiteTrait, TestTrait, TestScoping {
  let front: Front
  var isRecursive: Bool { true }

  func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? nil : self }

  func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
    try await Front.$current.withValue(front) { try await function() }
  }
}

extension Trait where Self == ByEachFront {
  /// Clear text, TLS and HTTP/2.
  static var byEachFront: Self { ByEachFront(fronts: Front.allCases) }
  /// For suites whose clients are bare sockets: over HTTP/2 they would do the same again.
  static var byEachRawFront: Self { ByEachFront(fronts: [.clear, .tls]) }
  /// For suites whose clients speak HTTP/2 and nothing else: with prior knowledge (see `HTTP2.house`), and over TLS.
  static var byEachFrontOfHTTP2: Self { ByEachFront(fronts: [.clear, .h2], instead: .clear) }
}

extension Trait where Self == AlwaysByOneFront {
  static var inClearText: Self { AlwaysByOneFront(front: .clear) }
  static var inHTTP2: Self { AlwaysByOneFront(front: .h2) }
}

/// A certificate authority and what it signed, made by the openssl command, once a run. As text: each house writes what it needs into its folder.
enum Certificates {
  struct Made: Sendable {
    /// PEM of the authority's certificate, the server's, and the server's key.
    var authority: String
    var server: String
    var key: String
  }

  static func made() throws -> Made { try once.get() }

  /// Of the server: the name that tests ask for, and where they find it.
  private static let names = "subjectAltName=DNS:legacy.test,DNS:localhost,IP:127.0.0.1,IP:::1"

  private static let once = Swift.Result { () throws -> Made in
    let scratch = try Scratch()
    let script = """
      set -e
      new="openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
      $new -keyout ca.key -out ca.pem -subj "/CN=Gatehouse tests" -addext keyUsage=critical,keyCertSign,cRLSign
      $new -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem -subj /CN=legacy.test -addext basicConstraints=critical,CA:FALSE \\
        -addext "\(names)"
      """
    let outcome = try Child.run("/bin/sh", ["-c", script], folder: scratch.path, environment: ["HOME": scratch.path])
    guard outcome.code == 0 else { throw Failure("no certificates: \(outcome.errors)") }
    return Made(authority: try scratch.text("ca.pem"), server: try scratch.text("server.pem"), key: try scratch.text("server.key"))
  }

  /// Writes `ca.pem`, `server.pem` and `server.key`.
  static func write(to scratch: Scratch) throws {
    let made = try made()
    try scratch.write(made.authority, to: "ca.pem", mode: 0o644)
    try scratch.write(made.server + made.authority, to: "server.pem", mode: 0o644)
    try scratch.write(made.key, to: "server.key")
  }
}
