// Certificates for the tests of TLS, made by the openssl command in a scratch folder.

import FoundationEssentials
import Glibc
import Testing

@testable import Net

/// An authority and what it signs.
final class Certificates {
  private let scratch = Scratch()

  init() throws {
    try openssl(
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=Test Authority",
      "-keyout", path("ca.key"), "-out", path("ca.pem"))
  }

  func path(_ name: String) -> String { scratch.file(name) }

  /// `P-256`, `P-224` or `rsa:2048`.
  private static func options(of kind: String) -> [String] {
    kind.hasPrefix("rsa") ? ["-newkey", kind] : ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:\(kind)"]
  }

  /// Makes `name.pem` and `name.key`, signed by `issuer`, valid for 100 days.
  @discardableResult
  func sign(_ name: String, for hosts: String..., kind: String = "P-256", issuer: String = "ca", isAuthority: Bool = false) throws
    -> TLSServerOptions.Certificate
  {
    let names = hosts.map { "DNS:\($0)" }.joined(separator: ",")
    var arguments = ["req", "-x509", "-CA", path("\(issuer).pem"), "-CAkey", path("\(issuer).key"), "-nodes", "-days", "100"]
    arguments += Self.options(of: kind) + ["-subj", "/CN=\(hosts.first ?? name)"]
    if !hosts.isEmpty && !isAuthority { arguments += ["-addext", "subjectAltName=\(names)"] }
    if !isAuthority { arguments += ["-addext", "basicConstraints=CA:FALSE"] }
    try openssl(arguments + ["-keyout", path("\(name).key"), "-out", path("\(name).pem")])
    unsafe chmod(path("\(name).key"), 0o600)
    return certificate(name)
  }

  func certificate(_ name: String) -> TLSServerOptions.Certificate {
    TLSServerOptions.Certificate(chainPath: path("\(name).pem"), keyPath: path("\(name).key"))
  }

  /// `names`' certificates, one after the other, as `name.pem`.
  func join(_ names: String..., as name: String) throws {
    var text = ""
    for part in names { text += try String(contentsOfFile: path("\(part).pem"), encoding: .utf8) }
    write(text, to: path("\(name).pem"))
  }

  /// What the authority's OCSP responder says of `name`, valid for that many days, as `out`. `status` is as in `openssl ca`'s index: V or R.
  func answer(about name: String, status: String = "V", days: Int = 7, as out: String) throws -> String {
    let serial = try openssl("x509", "-in", path("\(name).pem"), "-noout", "-serial").split(separator: "=")[1].split(separator: "\n")[0]
    let revoked = status == "R" ? "260101000000Z" : ""
    write("\(status)\t391231235959Z\t\(revoked)\t\(serial)\tunknown\t/CN=\(name)\n", to: path("index.txt"))
    write("unique_subject = no\n", to: path("index.txt.attr"))
    try openssl(
      "ocsp", "-index", path("index.txt"), "-rsigner", path("ca.pem"), "-rkey", path("ca.key"), "-CA", path("ca.pem"), "-issuer",
      path("ca.pem"), "-cert", path("\(name).pem"), "-ndays", "\(days)", "-respout", path(out), "-noverify")
    return path(out)
  }

  @discardableResult
  func openssl(_ arguments: String...) throws -> String { try openssl(arguments) }

  /// Runs the command to its end and answers what it printed.
  @discardableResult
  func openssl(_ arguments: [String]) throws -> String {
    let output = path("said-\(Int.random(in: 0..<1 << 40))")
    defer { unsafe _ = unlink(output) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe _ = posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var list = unsafe (["openssl"] + arguments).map { unsafe strdup($0) }
    unsafe list.append(nil)
    defer { unsafe list.forEach { unsafe free($0) } }
    var id = pid_t()
    try #require(unsafe posix_spawnp(&id, "openssl", &actions, nil, list, environ) == 0, "openssl can't be started")
    var status: Int32 = 0
    unsafe _ = waitpid(id, &status, 0)
    let said = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
    try #require(status == 0, "openssl \(arguments): \(said)")
    return said
  }
}

extension TLSServerOptions {
  init(_ certificates: Certificate..., change: (inout TLSServerOptions) -> Void = { _ in }) {
    self.init()
    self.certificates = certificates
    change(&self)
  }
}
