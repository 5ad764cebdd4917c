// Services of the old world for tests: a Python program that says which port it has, GnuTLS with what OpenSSL refuses, and pins of keys.

import Foundation

/// A Python program that prints its port as its first line, and what it sees as the next ones.
final class PythonService {
  let port: UInt16
  private let child: Child

  /// In `program`, `sys`, `socket`, `threading` are imported, and `say(text)` prints a line.
  init(_ program: String, _ arguments: [String] = [], in folder: String? = nil) throws {
    let text = "import sys, socket, threading\ndef say(text): print(text, flush=True)\n" + program
    child = try Child("/usr/bin/python3", ["-I", "-c", text] + arguments, folder: folder)
    let child = self.child
    guard let line = child.output.wait({ text in text.contains("\n") ? text.prefix { $0 != "\n" } : nil }), let port = UInt16(line) else {
      throw Failure("the Python service did not start:\n\(child.output.text)\n\(child.errors.text)")
    }
    self.port = port
  }

  /// What it said of what it saw.
  var lines: [String] { child.output.text.split(separator: "\n").dropFirst().map(String.init) }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }
}

extension FrontServer {
  /// `gnutls-serv` with TLS as `priority` says, which answers every request with a page about its connection, in HTTP/1.0 and without a length. It
  /// listens on all addresses: it can't be told another.
  static func gnutls(_ authority: Authority, _ name: String, _ priority: String) throws -> FrontServer {
    try FrontServer { port, _ in
      try Child(
        "/usr/bin/gnutls-serv",
        [
          "--http", "--disable-client-cert", "-p", "\(port)", "--x509certfile", authority["\(name).pem"], "--x509keyfile", authority["\(name).key"],
          "--priority", priority,
        ], folder: authority.scratch.path)
    }
  }

  /// nginx over TLS, with `server` as more of its server block.
  static func nginx(_ authority: Authority, _ name: String, _ server: String) throws -> FrontServer {
    try .nginx("ssl on; ssl_certificate \(authority["\(name).pem"]); ssl_certificate_key \(authority["\(name).key"]);\n\(server)")
  }
}

extension Authority {
  /// `sha256//…` of the public key of `name`.
  func pin(_ name: String) throws -> String {
    try openssl("pkey", "-in", "\(name).key", "-pubout", "-outform", "der", "-out", "\(name).der")
    try openssl("dgst", "-sha256", "-binary", "-out", "\(name).sha256", "\(name).der")
    return "sha256//" + (try openssl("base64", "-A", "-in", "\(name).sha256")).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
