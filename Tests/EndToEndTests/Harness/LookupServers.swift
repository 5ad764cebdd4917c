// Servers that are asked for one thing: OpenLDAP's slapd, dictd, Gophernicus, and a TFTP server of ours, each started by the test in a folder of its own; and
// a Gopher server that says what none should.

import Foundation

/// A directory with two people below `ou=people,dc=example,dc=com`, and an account that may read telephone numbers.
final class DirectoryServer {
  static let base = "ou=people,dc=example,dc=com"
  static let reader = "cn=reader,dc=example,dc=com"

  let scratch: Scratch
  let port: UInt16
  let password = Secrets.keep("Calm-3-ldap-pass")
  private let child: Child

  /// - Parameters:
  ///   - isSecure: TLS from the first byte; its authority is `ca.pem` then.
  ///   - other: the port of whom it names for what it doesn't have: `ou=far` below its base, and all beyond its suffix.
  init(isSecure: Bool = false, other: UInt16? = nil) throws {
    let scratch = try Scratch()
    self.scratch = scratch
    var tls = ""
    if isSecure {
      let authority = try Authority()
      try authority.sign("ldap", for: "IP:127.0.0.1")
      for name in ["ca.pem", "ldap.pem", "ldap.key"] { try scratch.write(authority.scratch.text(name), to: name) }
      tls = "TLSCertificateFile \(scratch["ldap.pem"])\nTLSCertificateKeyFile \(scratch["ldap.key"])\nTLSCACertificateFile \(scratch["ca.pem"])"
    }
    _ = try scratch.folder("db")
    let configuration = """
      include /etc/ldap/schema/core.schema
      include /etc/ldap/schema/cosine.schema
      include /etc/ldap/schema/inetorgperson.schema
      pidfile \(scratch["slapd.pid"])
      \(tls)
      \(other.map { "referral ldap://127.0.0.1:\($0)" } ?? "")
      modulepath /usr/lib/ldap
      moduleload back_ldif
      database ldif
      directory \(scratch["db"])
      suffix "dc=example,dc=com"
      access to attrs=telephoneNumber by dn="\(Self.reader)" read by * none
      access to attrs=userPassword by anonymous auth by dn="\(Self.reader)" read by * read
      access to * by * read

      """
    try scratch.write(configuration, to: "slapd.conf")
    try scratch.write(password + "\n", to: "ldap.password")
    let entries = """
      dn: dc=example,dc=com
      objectClass: dcObject
      objectClass: organization
      dc: example
      o: Example

      dn: \(Self.reader)
      objectClass: organizationalRole
      objectClass: simpleSecurityObject
      cn: reader
      userPassword: \(password)

      dn: \(Self.base)
      objectClass: organizationalUnit
      ou: people

      dn: uid=alice,\(Self.base)
      objectClass: inetOrgPerson
      uid: alice
      cn:: QWxpY2UgSsO8cmdlbg==
      sn: One
      departmentNumber: 7
      mail: alice@example.com
      telephoneNumber: +49 30 1
      userPassword: alices-secret
      jpegPhoto:: /9j/AAEC

      dn: cn=odd(x)*\\2C y,\(Self.base)
      objectClass: inetOrgPerson
      uid: bob
      cn: odd(x)*, y
      sn: Two
      departmentNumber: 7
      mail: bob@example.com

      """
    let referral = other.map {
      "\ndn: ou=far,\(Self.base)\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://127.0.0.1:\($0)/ou=far,\(Self.base)\n"
    }
    try scratch.write(entries + (referral ?? ""), to: "entries.ldif")
    let made = try Child.run("/usr/sbin/slapadd", ["-f", scratch["slapd.conf"], "-l", scratch["entries.ldif"]], folder: scratch.path)
    guard made.code == 0 else { throw Failure("slapadd: \(made.errors)") }
    let scheme = isSecure ? "ldaps" : "ldap"
    (child, port) = try FileService.started { port in
      try Child("/usr/sbin/slapd", ["-d", "0", "-f", scratch["slapd.conf"], "-h", "\(scheme)://127.0.0.1:\(port)/"], folder: scratch.path)
    }
  }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }
}

/// dictd with one database, `gate`, of three words.
final class DictionaryServer {
  let port: UInt16
  private let scratch: Scratch
  private let child: Child

  init() throws {
    let scratch = try Scratch()
    self.scratch = scratch
    var data = "", lines: [String] = []
    for (word, text) in [("00databaseshort", "A dictionary of doors"), ("gateway", "A passage through a wall."), ("ice cream", "Cold."), ("tür", "door")] {
      let entry = "\(word == "00databaseshort" ? "00-database-short" : word)\n  \(text)\n"
      lines.append("\(word)\t\(Self.digits(data.utf8.count))\t\(Self.digits(entry.utf8.count))\n")
      data += entry
    }
    try scratch.write(data, to: "gate.dict", mode: 0o644)
    try scratch.write(lines.sorted().joined(), to: "gate.index", mode: 0o644)
    (child, port) = try FileService.started { port in
      try scratch.write(
        """
        global { listen_to 127.0.0.1
          port \(port) }
        access { allow * }
        database gate { data "\(scratch["gate.dict"])"
          index "\(scratch["gate.index"])" }

        """, to: "dictd.conf", mode: 0o644)
      return try Child(
        "/usr/sbin/dictd", ["-d", "nodetach", "-c", scratch["dictd.conf"], "--pid-file", scratch["dictd.pid"], "--locale", "C.UTF-8"], folder: scratch.path)
    }
  }

  /// A number as an index of dictd's has it: digits of Base64, the largest first.
  private static func digits(_ number: Int) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    return (number >= 64 ? digits(number / 64) : "") + String(alphabet[number % 64])
  }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }
}

/// Gophernicus, which runs for one connection at a time; its menus say that it is `gopher.test`.
final class GopherHole {
  let scratch: Scratch
  let port: UInt16
  private let child: Child

  init() throws {
    scratch = try Scratch()
    _ = try scratch.folder("root/docs")
    try scratch.write("hello gopher\n", to: "root/about.txt", mode: 0o644)
    try scratch.write("inside\n", to: "root/docs/in.txt", mode: 0o644)
    try scratch.write((0..<100_001).map { UInt8(truncatingIfNeeded: $0 &* 7) }, to: "root/data.bin", mode: 0o644)
    (child, port) = try FileService.python(Self.program, [scratch["root"]], scratch)
  }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  /// It refuses to be root, and wants to be nobody's then.
  private static let program = """
    import os, socket, subprocess, sys
    who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    print(port, flush=True)
    while True:
      peer, _ = listener.accept()
      subprocess.run(["/usr/sbin/gophernicus", "-h", "gopher.test", "-p", str(port), "-r", sys.argv[1]], stdin=peer, stdout=peer, **who)
      peer.close()
    """
}

/// Answers by what its selectors name, and not as it should.
final class HostileGopher {
  let port: UInt16
  private let child: Child
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
    (child, port) = try FileService.python(Self.program, [], scratch)
  }

  /// The selectors that it heard.
  var selectors: [String] { child.output.text.split(separator: "\n").dropFirst().map(String.init) }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  private static let program = #"""
    import socket, sys, threading
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    print(port, flush=True)
    here = b"\t127.0.0.1\t%d\r\n" % port
    menu = (b"0good\t/hole/good.txt" + here + b"0<script>alert(1)</script>\t/hole/x\"onclick=\"y" + here + b"0elsewhere\t/hole/a\t192.0.2.1\t70\r\n"
      + b"0port\t/hole/a\t127.0.0.1\t1\r\n" + b"0above\t/other/a" + here + b"0dots\t/hole/../../etc/passwd" + here + b"hurl\tURL:javascript:alert(1)" + here
      + b"7search\t/hole/find" + here + b"8telnet\t/hole/t" + here + b"0hidden\t/hole/.secret" + here + b"0control\t/hole/\x01\x1b[2J" + here
      + b"1root\t/hole" + here + b"ionly words\r\nnonsense\r\n\r\n.\r\n0after the end\t/hole/after" + here)
    def serve(peer):
      with peer:
        selector = peer.makefile("rb").readline().rstrip(b"\r\n").decode("latin1")
        print(selector, flush=True)
        try:
          if selector == "/hole": peer.sendall(menu)
          elif selector == "/hole/none": peer.sendall(b"3'none' is not here\t\terror.host\t1\r\n.\r\n")
          elif selector == "/hole/three": peer.sendall(b"3 is a number\tand\tnothing else\n")
          elif selector == "/hole/short": peer.sendall(b"3")
          elif "endless" in selector:
            while True: peer.sendall(b"i" + b"x" * 998 + b"\n")
          else: peer.sendall(b"plain\r\n")
        except OSError: pass
    while True:
      peer, _ = listener.accept()
      threading.Thread(target=serve, args=(peer,), daemon=True).start()
    """#
}

/// A TFTP server (RFC 1350, 2347 to 2349), which prints each request.
final class TrivialServer {
  enum Fault: String {
    case none
    /// It knows no options, and takes requests that have some as if they hadn't.
    case old
    /// Another machine sends a block before it does.
    case stranger
    /// It says that files are longer than they are.
    case liar
  }

  let scratch: Scratch
  let port: UInt16
  private let child: Child

  init(_ fault: Fault = .none) throws {
    scratch = try Scratch()
    _ = try scratch.folder("root/images")
    try scratch.write("hello\n", to: "root/a.txt", mode: 0o644)
    try scratch.write("", to: "root/empty.txt", mode: 0o644)
    try scratch.write("top secret\n", to: "outside.txt", mode: 0o644)
    try scratch.write((0..<20_001).map { UInt8(truncatingIfNeeded: $0 &* 7) }, to: "root/images/boot.bin", mode: 0o644)
    (child, port) = try FileService.python(Self.program, [scratch["root"], fault.rawValue], scratch)
  }

  /// What it was asked: a file's name and the options, parted by blanks.
  var requests: [String] { child.output.text.split(separator: "\n").dropFirst().map(String.init) }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  private static let program = #"""
    import os, socket, struct, sys, threading
    root, fault = sys.argv[1:3]
    def bound(address="127.0.0.1"):
      s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      s.bind((address, 0))
      return s
    listener = bound()
    print(listener.getsockname()[1], flush=True)
    def serve(packet, peer):
      words = packet[2:].split(b"\0")
      print(" ".join(w.decode("latin1") for w in words[:1] + words[2:-1]), flush=True)
      own = bound()
      own.settimeout(5)
      def fail(code): own.sendto(struct.pack(">HH", 5, code) + b"no\0", peer)
      if words[0] == b"forbidden": return fail(2)
      if words[0].startswith(b"code"): return fail(int(words[0][4:]))
      # It wants no options.
      if words[0] == b"plain" and len(words) > 3: return fail(8)
      if words[0] == b"plain": words[0] = b"a.txt"
      try:
        with open(os.path.join(root.encode(), words[0]), "rb") as f: data = f.read()
      except OSError: return fail(1)
      options = dict(zip([w.lower() for w in words[2:-1:2]], words[3:-1:2])) if fault != "old" else {}
      size = 512
      def exchange(packet, block):
        for _ in range(5):
          own.sendto(packet, peer)
          try:
            while True:
              answer, sender = own.recvfrom(2048)
              if sender == peer and answer == struct.pack(">HH", 4, block): return True
              if sender == peer and answer[:2] == b"\0\5": return False
          except socket.timeout: pass
        return False
      told = b""
      if b"tsize" in options: told += b"tsize\0%d\0" % (len(data) + (10 if fault == "liar" else 0))
      if b"blksize" in options:
        size = min(int(options[b"blksize"]), 1428)
        told += b"blksize\0%d\0" % size
      if told and not exchange(b"\0\6" + told, 0): return
      block = 0
      while True:
        part = data[block * size:(block + 1) * size]
        block += 1
        if fault == "stranger": bound("127.0.0.2").sendto(struct.pack(">HH", 3, block & 65535) + b"evil", peer)
        if not exchange(struct.pack(">HH", 3, block & 65535) + part, block & 65535) or len(part) < size: return
    while True:
      packet, peer = listener.recvfrom(2048)
      if packet[:2] == b"\0\1": threading.Thread(target=serve, args=(packet, peer), daemon=True).start()
    """#
}
