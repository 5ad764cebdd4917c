// Certificates for tests, made by the openssl command, and the clients that speak TLS: curl, openssl s_client, Python.

import Foundation
import Testing

/// An authority in a folder of its own, and what it signs.
final class Authority: Sendable {
  let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    try openssl(
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365", "-subj", "/CN=Test Authority",
      "-keyout", "ca.key", "-out", "ca.pem")
  }

  subscript(_ name: String) -> String { scratch[name] }

  /// Makes `name.pem`, with the authority's own behind it, and `name.key`, for `hosts` (as in subjectAltName: `DNS:a.test`). `kind` is a curve or
  /// `rsa:2048`, `days` how long it is valid.
  func sign(_ name: String, for hosts: String..., kind: String = "P-256", days: Int = 90) throws {
    let key = kind.hasPrefix("rsa") ? ["-newkey", kind] : ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:\(kind)"]
    try openssl(
      ["req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-nodes", "-days", "\(days)", "-subj", "/CN=\(name)"] + key + [
        "-addext", "subjectAltName=\(hosts.joined(separator: ","))", "-addext", "basicConstraints=CA:FALSE", "-keyout", "\(name).key",
        "-out",
        "\(name).pem",
      ])
    try scratch.write(scratch.text("\(name).pem") + scratch.text("ca.pem"), to: "\(name).pem")
    try scratch.write(scratch.text("\(name).key"), to: "\(name).key", mode: 0o600)
  }

  /// The same for a time that is over.
  func signExpired(_ name: String, for host: String) throws {
    try openssl(
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(host)", "-keyout", "\(name).key", "-out",
      "\(name).csr")
    try scratch.write(
      """
      [ca]
      default_ca = here
      [here]
      database = index.txt
      new_certs_dir = .
      serial = serial
      default_md = sha256
      policy = any
      [any]
      commonName = supplied

      """, to: "ca.cnf")
    try scratch.write("", to: "index.txt")
    try scratch.write("1000\n", to: "serial")
    try openssl(
      "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "\(name).csr", "-out", "\(name).pem",
      "-startdate",
      "20200101000000Z", "-enddate", "20200201000000Z", "-notext")
    try scratch.write(scratch.text("\(name).key"), to: "\(name).key", mode: 0o600)
  }

  /// What the authority says of `name`, as `name.ocsp`.
  func vouch(for name: String) throws {
    let serial = try openssl("x509", "-in", "\(name).pem", "-noout", "-serial").split(separator: "=")[1].prefix { $0 != "\n" }
    try scratch.write("V\t391231235959Z\t\t\(serial)\tunknown\t/CN=\(name)\n", to: "ocsp.txt")
    try scratch.write("unique_subject = no\n", to: "ocsp.txt.attr")
    try openssl(
      "ocsp", "-index", "ocsp.txt", "-rsigner", "ca.pem", "-rkey", "ca.key", "-CA", "ca.pem", "-issuer", "ca.pem", "-cert", "\(name).pem",
      "-ndays", "7", "-respout", "\(name).ocsp", "-noverify")
  }

  @discardableResult
  func openssl(_ arguments: String...) throws -> String { try openssl(arguments) }

  @discardableResult
  func openssl(_ arguments: [String]) throws -> String {
    let outcome = try Child.run("/usr/bin/openssl", arguments, folder: scratch.path)
    guard outcome.code == 0 else { throw Failure("openssl \(arguments): \(outcome.errors)") }
    return outcome.text
  }

  /// `certificate` and `key` of each name, for a `listen` block.
  func directives(_ names: String...) -> String {
    names.map { "certificate \(scratch["\($0).pem"]); key \(scratch["\($0).key"])" }.joined(separator: "; ")
  }

  /// `openssl s_client` against `port`, which sends `request` and waits for the server's end. Answers all that it prints.
  func ask(_ port: UInt16, _ arguments: String..., request: String = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n") throws
    -> String
  {
    let outcome = try Child.run(
      "/usr/bin/openssl", ["s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", "ca.pem", "-ign_eof"] + arguments,
      input: [UInt8](request.utf8), folder: scratch.path)
    return outcome.text + outcome.errors
  }

  /// Runs a Python program in which `port` is the listener's, `context` trusts the authority, and `connect(host)` answers a connected socket.
  func python(_ port: UInt16, _ program: String, within duration: Duration = .seconds(60)) throws -> [String] {
    let text = """
      import socket, ssl, sys, threading, time
      port = \(port)
      context = ssl.create_default_context(cafile="ca.pem")
      def connect(host="a.test", timeout=20):
        raw = socket.create_connection(("127.0.0.1", port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False)

      """
    let outcome = try Child.run("/usr/bin/python3", ["-I", "-c", text + program], folder: scratch.path, within: duration)
    guard outcome.code == 0 else { throw Failure("python: \(outcome.errors)") }
    return outcome.text.split(separator: "\n").map(String.init)
  }
}

extension House {
  /// The port of the listener with TLS that `Setup.tls` adds.
  var tlsPort: UInt16 { gate.ports[1] }

  /// curl by https, resolving every name to us, with the authority trusted.
  func curl(_ host: String, _ authority: Authority, _ arguments: String...) throws -> CurlAnswer {
    try Curl.run(
      ["--cacert", authority["ca.pem"], "--resolve", "\(host):\(tlsPort):127.0.0.1"] + arguments.dropLast() + [
        "https://\(host):\(tlsPort)\(arguments.last ?? "/")"
      ], in: scratch)
  }
}

extension Setup {
  /// A house that is open to everybody, with a second listener that speaks TLS as `directives` say.
  static func tls(_ directives: String) -> Setup {
    var setup = Setup()
    setup.top = "listen 127.0.0.1:0 tls { \(directives) }"
    setup.requirement = "nobody"
    return setup
  }
}
