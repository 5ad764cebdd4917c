// Certificates of clients, made by the openssl command once a run: good ones, and of every kind of bad ones.

import Foundation

enum ClientIdentities {
  /// Files by their names: `clients.pem` (the authority), `strangers.pem` (another), `none.crl` and `alice.crl` (what the first has
  /// revoked), and of each client `NAME.pem` and `NAME.key`.
  static func made() throws -> [String: String] { try once.get() }

  /// As curl takes them.
  static func arguments(_ name: String, in scratch: Scratch) -> [String] {
    ["--cert", scratch["\(name).pem"], "--key", scratch["\(name).key"]]
  }

  private static let once = Swift.Result { () throws -> [String: String] in
    let scratch = try Scratch()
    let script = """
      set -e
      new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
      authority() { $new -x509 -days 2 -keyout "$1.key" -out "$1.pem" -subj "/CN=$1" -addext keyUsage=critical,keyCertSign,cRLSign; }
      authority clients
      authority strangers
      cat >ca.cnf <<EOF
      [ca]
      default_ca = d
      [d]
      database = index
      new_certs_dir = .
      serial = serial
      crlnumber = number
      default_md = sha256
      policy = p
      copy_extensions = copy
      unique_subject = no
      [p]
      organizationName = optional
      commonName = optional
      EOF
      echo 01 >serial; echo 01 >number; : >index
      ca="openssl ca -config ca.cnf -batch -notext"
      # client NAME AUTHORITY MAIL [TIMES…]
      client() {
        name=$1 by=$2 mail=$3; shift 3
        $new -keyout "$name.key" -out "$name.csr" -subj "/O=Example/CN=$name" -addext "subjectAltName=email:$mail" -addext basicConstraints=CA:FALSE
        [ $# -gt 0 ] || set -- -days 2
        $ca -keyfile "$by.key" -cert "$by.pem" -in "$name.csr" -out "$name.pem" "$@"
      }
      client alice clients alice@example.com
      client bob clients bob@example.com
      client mallory clients mallory@example.com
      client nobody-known clients nobody-known@example.com
      client agent clients agent@machines.test
      client old clients alice@example.com -startdate 20250101000000Z -enddate 20250102000000Z
      client forged strangers alice@example.com
      $ca -keyfile clients.key -cert clients.pem -gencrl -crldays 2 -out none.crl
      $ca -keyfile clients.key -cert clients.pem -gencrl -crl_lastupdate 20250101000000Z -crl_nextupdate 20250102000000Z -out expired.crl
      $ca -keyfile clients.key -cert clients.pem -revoke alice.pem
      $ca -keyfile clients.key -cert clients.pem -gencrl -crldays 2 -out alice.crl
      """
    let lines = script.split(separator: "\n", omittingEmptySubsequences: false)
    let outcome = try Child.run(
      "/bin/bash", ["-c", lines.joined(separator: "\n")], folder: scratch.path, environment: ["HOME": scratch.path])
    guard outcome.code == 0 else { throw Failure("no certificates for clients: \(outcome.errors)") }
    var files: [String: String] = [:]
    for name in scratch.names where [".pem", ".key", ".crl"].contains(where: name.hasSuffix) { files[name] = try scratch.text(name) }
    return files
  }
}
