// Servers that keep files and speak no HTTP: FTP by pyftpdlib and vsftpd, SFTP by OpenSSH, each started by the test for its folder; and an FTP server that
// does what none should.

import Foundation

enum FileProtocol: String, CaseIterable, Sendable {
  /// Lists by MLSD.
  case ftp
  /// vsftpd, which lists as `ls -l` does.
  case vsftpd
  /// vsftpd with TLS from the first byte, and by AUTH TLS.
  case implicitTLS, explicitTLS
  case sftp
  case file
}

/// One of them, with the folder that it serves.
final class FileService {
  let scratch: Scratch
  private let child: Child?
  /// Lines of an `upstream` block.
  let lines: String

  /// The folder that is served.
  var root: String { scratch["root"] }

  /// - Parameter isWritable: whether the upstream says so; FTP is logged in to then, with `password`.
  /// - Parameter denied: what an SFTP server refuses, by its protocol's name for it.
  /// - Parameter hasRival: whether somebody else writes to an SFTP server too, and always puts his file where a new one is about to take its place.
  init(_ kind: FileProtocol, isWritable: Bool = false, denied: String? = nil, hasRival: Bool = false) throws {
    scratch = try Scratch()
    _ = try scratch.folder("root/files/sub")
    try scratch.write("hello\n", to: "root/files/a.txt", mode: 0o644)
    try scratch.write("", to: "root/files/empty.txt", mode: 0o644)
    try scratch.write("inside\n", to: "root/files/sub/in.txt", mode: 0o644)
    try scratch.write("<p>", to: "root/files/a & <b> \"c\".html", mode: 0o644)
    try scratch.write([UInt8](repeating: 7, count: 1_000_000) + [8], to: "root/files/big.bin", mode: 0o644)
    try scratch.write("top secret\n", to: "root/files/.secret", mode: 0o644)
    try scratch.write("top secret\n", to: "outside.txt", mode: 0o644)
    let writes = isWritable ? "writable on" : ""
    switch kind {
    case .file:
      child = nil
      lines = "server file://\(scratch["root"])\n\(writes)"
    case .ftp:
      let password = Secrets.keep("Fond-6-ftp-pass")
      try scratch.write(password + "\n", to: "ftp.password")
      let (child, port) = try Self.python(Self.ftpd, [scratch["root"], password], scratch)
      self.child = child
      lines = "server ftp://127.0.0.1:\(port)\n\(writes)" + (isWritable ? "\nlogin { username ftpuser; password_file \(scratch["ftp.password"]) }" : "")
    case .sftp:
      let (child, port) = try Self.sshd(scratch, denied, hasRival)
      self.child = child
      lines = """
        server sftp://127.0.0.1:\(port)\(scratch["root"])
        known_hosts \(scratch["known_hosts"])
        login { username \(NSUserName()); key_file \(scratch["me"]) }
        \(writes)
        """
    case .vsftpd, .implicitTLS, .explicitTLS:
      let authority = try Authority()
      try authority.sign("ftp", for: "IP:127.0.0.1")
      try scratch.write(authority.scratch.text("ca.pem"), to: "ca.pem")
      try scratch.write(authority.scratch.text("ftp.pem"), to: "ftp.pem")
      try scratch.write(authority.scratch.text("ftp.key"), to: "ftp.key")
      let (child, port) = try Self.vsftpd(scratch, kind)
      self.child = child
      let tls = kind == .vsftpd ? "" : "tls { ca \(scratch["ca.pem"]) }"
      lines = "server \(kind == .implicitTLS ? "ftps" : "ftp")://127.0.0.1:\(port)\n\(tls)\n\(writes)"
    }
  }

  func stop() throws {
    child?.signal(SIGKILL)
    try child?.wait()
  }

  /// A Python program that prints the port that it listens on.
  static func python(_ program: String, _ arguments: [String], _ scratch: Scratch) throws -> (Child, UInt16) {
    let child = try Child("/usr/bin/python3", ["-I", "-c", program] + arguments, folder: scratch.path)
    guard let port = child.output.wait({ text in text.firstIndex(of: "\n").flatMap { UInt16(text[..<$0]) } }) else {
      throw Failure("the FTP server did not start:\n\(child.errors.text)")
    }
    return (child, port)
  }

  private static let ftpd = """
    import sys, logging
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer
    logging.basicConfig(level=logging.ERROR)
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(sys.argv[1])
    authorizer.add_user("ftpuser", sys.argv[2], sys.argv[1], perm="elradfmwMT")
    class Handler(FTPHandler):
      use_sendfile = False
    Handler.authorizer = authorizer
    server = FTPServer(("127.0.0.1", 0), Handler)
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
    """

  /// Starts a server on a port that was free a moment ago; on another when it was taken meanwhile.
  static func started(_ start: (UInt16) throws -> Child) throws -> (Child, UInt16) {
    for _ in 0..<5 {
      var reserved: (socket: Socket, port: UInt16)? = try Socket.bind()
      guard let port = reserved?.port else { break }
      reserved = nil
      let child = try start(port)
      try eventually("the file server listens") { !child.isRunning || (try? Socket.connect(to: port)) != nil }
      if child.isRunning { return (child, port) }
      let complaint = child.errors.text + child.output.text
      guard complaint.contains("in use") else { throw Failure("the file server did not start:\n\(complaint)") }
    }
    throw Failure("no port was free for the file server")
  }

  /// Stands before OpenSSH's server: what it is told to rename into a place (SSH_FXP_RENAME, 18) finds another's file there.
  private static let rival = """
    import struct, subprocess, sys
    server = subprocess.Popen(["/usr/lib/openssh/sftp-server"], stdin=subprocess.PIPE)
    while len(head := sys.stdin.buffer.read(4)) == 4:
      packet = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
      if packet[0] == 18:
        end = 9 + struct.unpack(">I", packet[5:9])[0]
        old, new = packet[9:end], packet[end + 4:]
        if b"/.gatehouse-" in old and not old.endswith(b"-old"):
          with open(new, "w") as f: f.write("another's")
      server.stdin.write(head + packet)
      server.stdin.flush()
    """

  private static func sshd(_ scratch: Scratch, _ denied: String?, _ hasRival: Bool) throws -> (Child, UInt16) {
    try scratch.write(rival, to: "rival.py")
    for name in ["host", "me"] {
      let made = try Child.run("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", scratch[name]], folder: scratch.path)
      guard made.code == 0 else { throw Failure("ssh-keygen: \(made.errors)") }
    }
    // Where Debian's sshd changes its root to while it deals with strangers; root's alone.
    if geteuid() == 0 { try? FileManager.default.createDirectory(atPath: "/run/sshd", withIntermediateDirectories: true) }
    let (child, port) = try started { port in
      try scratch.write(
        """
        ListenAddress 127.0.0.1:\(port)
        HostKey \(scratch["host"])
        PidFile none
        AuthorizedKeysFile \(scratch["me.pub"])
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        Subsystem sftp \(hasRival ? "/usr/bin/python3 -I \(scratch["rival.py"])" : "internal-sftp\(denied.map { " -P \($0)" } ?? "")")

        """, to: "sshd_config")
      return try Child("/usr/sbin/sshd", ["-D", "-e", "-f", scratch["sshd_config"]], folder: scratch.path)
    }
    let key = try scratch.text("host.pub").split(separator: " ").prefix(2).joined(separator: " ")
    try scratch.write("[127.0.0.1]:\(port) \(key)\n", to: "known_hosts")
    return (child, port)
  }

  private static func vsftpd(_ scratch: Scratch, _ kind: FileProtocol) throws -> (Child, UInt16) {
    _ = try scratch.folder("empty")
    let tls = kind == .vsftpd ? "NO" : "YES"
    return try started { port in
      try scratch.write(
        """
        listen=YES
        listen_address=127.0.0.1
        listen_port=\(port)
        background=NO
        anonymous_enable=YES
        anon_root=\(scratch["root"])
        anon_world_readable_only=NO
        no_anon_password=YES
        run_as_launching_user=YES
        seccomp_sandbox=NO
        secure_chroot_dir=\(scratch["empty"])
        vsftpd_log_file=\(scratch["vsftpd.log"])
        ssl_enable=\(tls)
        implicit_ssl=\(kind == .implicitTLS ? "YES" : "NO")
        allow_anon_ssl=\(tls)
        force_anon_data_ssl=\(tls)
        force_anon_logins_ssl=\(tls)
        rsa_cert_file=\(scratch["ftp.pem"])
        rsa_private_key_file=\(scratch["ftp.key"])

        """, to: "vsftpd.conf")
      return try Child("/usr/sbin/vsftpd", [scratch["vsftpd.conf"]], folder: scratch.path)
    }
  }
}

/// An FTP server that misbehaves, as `fault` says, and writes each command that it hears on a line of its output.
final class HostileFTP {
  enum Fault: String {
    /// Nothing is wrong with it.
    case none
    /// Its answer to PASV names a machine of somebody else's.
    case elsewhere
    /// A listing without an end.
    case endless
    /// Names that would be markup, or lead elsewhere.
    case names
    /// It never answers the end of a transfer, nor QUIT.
    case silent
    /// It never greets.
    case mute
    /// It takes nobody more.
    case full
    /// It greets when it is told to.
    case late
    /// Half a file, and then the end.
    case half
    /// The same of some megabytes.
    case cut
    /// Half a file, and then it is a short one.
    case shrunk
    /// Half a file, and the other half when it is told to.
    case held
    /// It takes what is written, and then says that it doesn't.
    case refusing
  }

  let port: UInt16
  private let child: Child
  private let scratch: Scratch

  init(_ fault: Fault) throws {
    scratch = try Scratch()
    (child, port) = try FileService.python(Self.program, [fault.rawValue], scratch)
  }

  /// What it was told, a command a line.
  var commands: [String] { child.output.text.split(separator: "\n").dropFirst().map(String.init) }

  func stop() throws {
    child.signal(SIGKILL)
    try child.wait()
  }

  /// `late` greets whoever waits, and all who come; `held` goes on.
  func greet() throws { try scratch.write("", to: "greets") }

  private static let program = #"""
    import os, socket, sys, threading, time
    fault = sys.argv[1]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    names = [b"type=file;size=1; <script>alert(1)</script>", b"type=file;size=1; ../up", b"type=dir; ..", b"type=cdir; .",
      b"type=file;size=1; a\"onclick=\"b", b"type=file;size=1; \x01\x1b[2J", b"type=file;size=1; back\\slash", b"type=file;size=1; \xfe\xfe",
      b"type=file;size=1; \xff\xf1", b"type=file;size=1; \x20blank",
      b"type=file;size=99999999999999999999999; big", b"type=OS.unix=symlink; link", b"nonsense", b"type=file; ", b"type=file;size=1; .hidden"]
    given = []
    def serve(control):
      if fault == "mute": return control.recv(1)
      while fault == "late" and not os.path.exists("greets"): time.sleep(0.01)
      data = None
      def say(text): control.sendall(text.encode() + b"\r\n")
      if fault == "full": return say("421 too many users")
      say("220 here")
      for line in control.makefile("rb"):
        line = line.rstrip(b"\r\n").decode("latin1")
        print(line, flush=True)
        word = line.split(" ")[0]
        if word == "USER": say("230 in")
        elif word == "PWD": say('257 "/" is it')
        elif word == "EPSV" and fault == "elsewhere": say("500 no")
        elif word in ("EPSV", "PASV"):
          data = socket.create_server(("127.0.0.1", 0))
          port = data.getsockname()[1]
          if word == "EPSV": say("229 it (|||%d|)" % port)
          else: say("227 it (203,0,113,7,%d,%d)" % (port >> 8, port & 255))
        elif word == "SIZE" and fault == "cut": say("213 8000000")
        elif word == "SIZE": say("213 100000" if fault == "half" or fault == "shrunk" and not given else "213 6")
        elif word == "MDTM": say("213 20240102030405")
        elif word in ("RETR", "MLSD", "LIST"):
          say("150 comes")
          peer, _ = data.accept()
          try:
            if word == "RETR" and fault == "cut": peer.sendall(bytes(4000000))
            elif word == "RETR":
              peer.sendall(b"hel")
              while fault == "held" and not os.path.exists("greets"): time.sleep(0.01)
              peer.sendall(b"lo\n")
            elif fault == "endless":
              while True: peer.sendall(b"type=file;size=1; name-of-a-file\r\n" * 1000)
            else: peer.sendall(b"\r\n".join(names) + b"\r\n")
          except OSError: pass
          # Known before anybody may come again by it.
          given.append(word)
          peer.close(); data.close()
          if fault != "silent": say("226 done")
        elif word == "STOR":
          say("150 come")
          peer, _ = data.accept()
          while peer.recv(65536): pass
          peer.close(); data.close()
          say("451 no" if fault == "refusing" else "226 done")
        elif word == "QUIT":
          if fault != "silent": say("221 bye"); break
        else: say("200 fine")
    def safely(control):
      try: serve(control)
      except OSError: pass
    while True:
      control, _ = listener.accept()
      threading.Thread(target=safely, args=(control,), daemon=True).start()
    """#
}
