// A Kerberos realm of a test's own: MIT's KDC from Debian's package on loopback, with its database in a scratch folder. No system service, and nothing of the
// machine's own Kerberos configuration is read.

import Foundation

final class KeyCenter {
  private let server: FrontServer
  private let process: Child
  var scratch: Scratch { server.scratch }
  static let realm = "HOUSE.TEST"

  init() throws {
    let started = Monitor<Child?>(nil)
    server = try FrontServer { port, scratch in
      let root = scratch.path
      try scratch.write(
        """
        [libdefaults]
          default_realm = \(Self.realm)
          dns_lookup_kdc = false
          dns_lookup_realm = false
          dns_canonicalize_hostname = false
          rdns = false
          udp_preference_limit = 1
        [realms]
          \(Self.realm) = {
            kdc = 127.0.0.1:\(port)
          }
        [domain_realm]
          localhost = \(Self.realm)

        """, to: "krb5.conf", mode: 0o644)
      try scratch.write(
        """
        [kdcdefaults]
          kdc_listen = 127.0.0.1:\(port)
          kdc_tcp_listen = 127.0.0.1:\(port)
        [realms]
          \(Self.realm) = {
            database_name = \(root)/principal
            key_stash_file = \(root)/stash
            acl_file = \(root)/acl
          }
        [logging]
          kdc = FILE:\(root)/kdc.log
          admin_server = FILE:\(root)/kdc.log

        """, to: "kdc.conf")
      let environment = Self.environment(root)
      let made = try Child.run("/usr/sbin/kdb5_util", ["create", "-s", "-r", Self.realm, "-P", "master", "-W"], folder: root, environment: environment)
      guard made.code == 0 else { throw Failure("kdb5_util: \(made.errors)") }
      // Where services note what they have seen, each by its own user.
      _ = unsafe chmod(try scratch.folder("replay"), 0o777)
      let child = try Child("/usr/sbin/krb5kdc", ["-n", "-r", Self.realm], folder: root, environment: environment)
      started.with { $0 = child }
      return child
    }
    guard let process = started.with({ $0 }) else { throw Failure("the KDC did not start") }
    self.process = process
  }

  private static func environment(_ root: String) -> [String: String] {
    ["KRB5_CONFIG": "\(root)/krb5.conf", "KRB5_KDC_PROFILE": "\(root)/kdc.conf"]
  }

  /// What makes programs take this realm for theirs.
  var environment: [String: String] { ["KRB5_CONFIG": scratch["krb5.conf"], "KRB5RCACHENAME": "file2:" + scratch["replay/seen"]] }

  /// From now on it takes questions and answers none; or answers them.
  func fallSilent(_ isSilent: Bool) { process.signal(isSilent ? SIGSTOP : SIGCONT) }

  func stop() throws { try server.stop() }

  /// Runs a command of kadmin(1).
  func administer(_ command: String) throws {
    let outcome = try Child.run("/usr/sbin/kadmin.local", ["-r", Self.realm, "-q", command], folder: scratch.path, environment: Self.environment(scratch.path))
    // It ends with 0 whatever happened.
    guard outcome.code == 0, !outcome.errors.contains(" while ") else { throw Failure("kadmin \(command): \(outcome.errors)") }
  }

  func add(_ principal: String) throws { try administer("addprinc -randkey \(principal)") }

  /// Writes a new key of `principal` to `file`, in which there is no other then: the keys before are worth nothing.
  func write(_ principal: String, to file: String, mode: Int = 0o600) throws {
    try? FileManager.default.removeItem(atPath: file)
    try administer("ktadd -k \(file) \(principal)")
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
  }
}
