// An upstream that speaks no HTTP and keeps files: its URL, as whom we log in there, how it proves who it is.

import HTTP
import Primitives
import Upstream

extension Table {
  static let fileServerRows: [Row] = [
    Row(
      "writable", in: .upstream, takes: "on|off", 1...1, standard: "off", elsewhere: ["dav_methods"],
      doc: "Whether PUT, DELETE and MKCOL are served where the server keeps files (`ftp`, `ftps`, `sftp`, `file`), and not only GET and HEAD."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard let isWritable = reading.onOff(word) else { return }
      reading.upstreamInHand?.files.isWritable = isWritable
      if isWritable { reading.upstreamInHand?.files.places.append(word.place) }
    },
    Row(
      "known_hosts", in: .upstream, takes: "FILE", 1...1, elsewhere: ["UserKnownHostsFile"],
      doc: "Of an `sftp` server: the OpenSSH file in which its key stands, as `ssh-keyscan` writes it; this or `pin` has to be there."
    ) { reading, directive in
      let word = directive.arguments[0]
      reading.upstreamInHand?.files.places.append(word.place)
      reading.upstreamInHand?.files.keyPlaces.append(word.place)
      if let path = reading.readableFile(word) { reading.upstreamInHand?.files.hostKey = .knownHosts(path: path) }
    },
    Row(
      "pin", in: .upstream, takes: "SHA256:DIGEST", 1...1,
      doc: "Of an `sftp` server: the fingerprint of its key, as `ssh-keygen -lf` prints it; this or `known_hosts` has to be there."
    ) { reading, directive in reading.pin(directive.arguments[0]) },
    Row(
      "login", in: .upstream, takes: "", 0...0, block: .required,
      doc: "As whom we log in to a server that keeps files, or to a directory; without it FTP and LDAP are used anonymously."
    ) { reading, directive in
      reading.upstreamInHand?.files.places.append(directive.name.place)
      reading.upstreamInHand?.files.loginPlace = directive.name.place
      if let block = directive.block { reading.read(block, in: .fileLogin) }
    },
    Row(
      "username", in: .fileLogin, takes: "NAME", 1...1, elsewhere: ["user"], doc: "The name of the account there, of a directory's its distinguished name."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken else { return }
      guard !word.text.isEmpty, word.text.utf8.count <= 255, !word.text.utf8.contains(where: ASCII.isControl) else {
        return reading.wrong(word, "is no name of an account")
      }
      reading.upstreamInHand?.files.username = word.text
    },
    Row(
      "password_file", in: .fileLogin, takes: "FILE", 1...1, elsewhere: ["password"], doc: "The file that holds its password: one line, read again at a reload."
    ) { reading, directive in reading.upstreamInHand?.files.passwordFile = directive.arguments[0] },
    Row(
      "key_file", in: .fileLogin, takes: "FILE", 1...1, elsewhere: ["IdentityFile"],
      doc: "Of an `sftp` server: the private key that proves who we are, without a passphrase, instead of a password."
    ) { reading, directive in
      let word = directive.arguments[0]
      // Said, whatever there is to read.
      reading.upstreamInHand?.files.keyFilePlace = word.place
      guard let path = reading.readableFile(word) else { return }
      reading.upstreamInHand?.files.keyFile = path
      reading.warnIfWorldReadable(path, word, "key")
    },
  ]
}

/// What an upstream says that only servers of files have a use for.
struct FileServerDraft {
  var isWritable = false
  var hostKey: FileServer.HostKey?
  var username: String?
  var passwordFile: Word?
  var keyFile: String?
  var keyFilePlace: SourceRange?
  var loginPlace: SourceRange?
  /// Where something of it was said; of the proof of an SFTP server alone.
  var places: [SourceRange] = []
  var keyPlaces: [SourceRange] = []
}

extension Reading {
  fileprivate func pin(_ word: Word) {
    upstreamInHand?.files.places.append(word.place)
    upstreamInHand?.files.keyPlaces.append(word.place)
    guard !word.isBroken else { return }
    let digest = word.text.dropFirst(7)
    // 32 bytes are 43 characters of Base64; libcurl compares them without the padding.
    let characters = digest.hasSuffix("=") ? digest.dropLast() : digest
    guard word.text.prefix(7).lowercased() == "sha256:", characters.utf8.count == 43,
      characters.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == 0x2B || $0 == 0x2F })
    else { return wrong(word, "is no fingerprint of a key", hint: "as 'ssh-keyscan HOST | ssh-keygen -lf -' prints it: SHA256: and 43 characters") }
    upstreamInHand?.files.hostKey = .sha256(String(characters))
  }

  /// Judges what an upstream says of files, once its servers are known, and gives it to them.
  func finishFiles(_ draft: inout UpstreamDraft, names: Set<String>) {
    let sound = draft.servers.filter { !$0.word.isBroken }
    judgeLookup(draft, sound.first(where: { $0.files != nil })?.files?.kind, isSound: !sound.isEmpty)
    guard let first = sound.first(where: { $0.files != nil }) else {
      if let place = draft.files.places.first, !sound.isEmpty {
        diagnostics.error(place, "this is for a server that keeps files, or a directory", hint: "ftp://, ftps://, sftp://, file:/// or ldap://")
      }
      return
    }
    if let other = sound.first(where: { $0.files?.kind != first.files?.kind }) {
      return diagnostics.error(other.word.place, "one upstream speaks one protocol", hint: "this one begins with '\(first.files?.kind.rawValue ?? "")'")
    }
    guard let kind = first.files?.kind else { return }
    if names.contains("engine") { diagnostics.error(draft.name.place, "'engine' is for HTTP, which a server of files doesn't speak") }
    // HTTP alone has these; said and not done they would be promises.
    let options = draft.options
    if draft.login != nil || options.via != nil || options.source != nil || options.elsewhere != nil || options.announces != nil {
      diagnostics.error(
        draft.name.place,
        "'authenticate', 'via', 'source', 'connect_to' and 'send_proxy_protocol' are for HTTP, and this server keeps files",
        hint: "login { … } says who we are")
    }
    if draft.health != nil { diagnostics.error(draft.name.place, "'health' asks by HTTP, which a server of files doesn't speak") }
    if options.tls.pins != nil || options.tls.allowsLegacy, let tls = draft.tlsPlace {
      diagnostics.error(tls, "pinned keys and old TLS are for https, and this server keeps files")
    }
    if draft.options.tls.name != nil, let tls = draft.tlsPlace {
      diagnostics.error(
        tls, "'name' is for https: the certificate of a server that speaks \(kind.rawValue) bears the server's own",
        hint: "name the server so in 'server', and its address in /etc/hosts")
    }
    judgeHostKey(draft, kind)
    let hasLogin = kind != .file && kind != .dict && kind != .gopher && kind != .tftp
    if !hasLogin, let place = draft.files.loginPlace {
      diagnostics.error(place, kind == .file ? "nobody logs in to a folder of this machine" : "nobody logs in to a server that speaks \(kind.rawValue)")
    }
    if kind.isLookup && draft.files.isWritable { diagnostics.error(draft.name.place, "'writable' is for servers that keep files: this one is only asked") }
    let account = hasLogin ? account(draft, kind, first) : nil
    for i in draft.servers.indices {
      draft.servers[i].files?.account = account
      draft.servers[i].files?.hostKey = draft.files.hostKey
      draft.servers[i].files?.keyFile = draft.files.keyFile
      draft.servers[i].files?.isWritable = draft.files.isWritable
      draft.servers[i].files?.usesTLS = kind == .ftp && draft.tlsPlace != nil
      draft.servers[i].files?.lookup = draft.lookup.lookup
    }
  }

  private func judgeHostKey(_ draft: UpstreamDraft, _ kind: FileServer.Kind) {
    let places = draft.files.keyPlaces
    if kind != .sftp {
      if let place = places.first { diagnostics.error(place, "only an sftp server has such a key") }
    } else if places.isEmpty {
      diagnostics.error(
        draft.name.place, "nothing says how this server proves who it is, so that anybody could stand in its place",
        hint: "known_hosts FILE, written by ssh-keyscan; or pin SHA256:…")
    } else if places.count > 1 {
      diagnostics.error(places[1], "'known_hosts' or 'pin': one of them", hint: "the other is at \(places[0].shortText)")
    }
  }

  private func account(_ draft: UpstreamDraft, _ kind: FileServer.Kind, _ server: ServerDraft) -> FileAccount? {
    guard let place = draft.files.loginPlace else {
      if kind == .sftp { diagnostics.error(draft.name.place, "SFTP asks who we are", hint: "login { username NAME; key_file FILE }") }
      return nil
    }
    if kind != .sftp, let place = draft.files.keyFilePlace { diagnostics.error(place, "only an sftp server takes a key") }
    guard let name = draft.files.username else {
      diagnostics.error(place, "this login has no 'username'")
      return nil
    }
    guard let word = draft.files.passwordFile else {
      if draft.files.keyFilePlace == nil { diagnostics.error(place, "nothing proves who we are", hint: "password_file FILE, or with sftp key_file FILE") }
      return FileAccount(name: name, password: Secret())
    }
    if draft.files.keyFilePlace != nil { diagnostics.error(word.place, "'password_file' or 'key_file': one of them") }
    if case .host(let host, _) = server.address, kind == .ftp || kind == .ldap, draft.tlsPlace == nil, !["127.0.0.1", "::1", "localhost"].contains(host) {
      let hint = kind == .ldap ? "ldaps://" : "tls { } asks the server for TLS first; or ftps://"
      diagnostics.warning(word.place, "the password goes to this server in clear text", hint: hint)
    }
    guard let password = password(word) else { return nil }
    return FileAccount(name: name, password: password)
  }

  /// The one line of a file.
  private func password(_ word: Word) -> Secret? {
    guard let path = readableFile(word) else { return nil }
    warnIfWorldReadable(path, word, "password")
    guard var bytes = try? Disk.read(path, limit: 1024) else {
      wrong(word, "can't be read: it has more than 1024 bytes")
      return nil
    }
    defer { for i in bytes.indices { bytes[i] = 0 } }
    var end = bytes.count
    if end > 0 && bytes[end - 1] == 0x0A { end -= 1 }
    if end > 0 && bytes[end - 1] == 0x0D { end -= 1 }
    guard end > 0, !bytes[..<end].contains(where: ASCII.isControl) else {
      wrong(word, "does not hold a password: one line, without control characters")
      return nil
    }
    return Secret(copying: bytes.span.extracting(0..<end))
  }
}

/// `server`'s first argument, where it is no HTTP server.
enum FileServerURL {
  /// Nil for what is no URL of a file server.
  static func parse(_ text: String) throws(ServerURL.Fault) -> (FileServer, UpstreamOptions.Address)? {
    if ["smb://", "smbs://", "cifs://"].contains(where: text.hasPrefix) {
      throw ServerURL.Fault(
        reason: "can't be spoken to: libcurl knows SMB version 1 alone, which nobody should have running; mount it (mount.cifs -o vers=3.0) and say "
          + "server file:///its/folder")
    }
    let kinds: [FileServer.Kind] = [.ftp, .ftps, .sftp, .file, .ldap, .ldaps, .dict, .gopher, .tftp]
    guard let kind = kinds.first(where: { text.hasPrefix($0.rawValue + "://") }) else { return nil }
    let rest = text.dropFirst(kind.rawValue.utf8.count + 3)
    if rest.contains("@") { throw ServerURL.Fault(reason: "holds a user name: 'login { username NAME; password_file FILE }' says who we are") }
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    // The base of a directory is one name, whatever it holds.
    let path = kind == .ldap || kind == .ldaps ? [String(rest[slash...].dropFirst())].filter { !$0.isEmpty } : rest[slash...].split(separator: "/").map(String.init)
    let isClean = path.allSatisfy { name in
      name != "." && name != ".." && !name.utf8.contains { ASCII.isControl($0) || [0x25, 0x3F, 0x23, 0x5C, 0x3B].contains($0) }
    }
    guard isClean else { throw ServerURL.Fault(reason: "has a path that can't be meant: names between slashes, as they are, without '..', '%', '?', '#', ';' and '\\'") }
    let files = FileServer(kind, root: path)
    if kind == .dict && !path.isEmpty { throw ServerURL.Fault(reason: "has a path, and a dictionary has none: 'database' says where words are looked up") }
    if (kind == .ldap || kind == .ldaps) && path.first?.contains("=") != true {
      throw ServerURL.Fault(reason: "names no base below which it is searched, as in ldap://10.0.0.5/ou=people,dc=example,dc=com")
    }
    if kind == .file {
      guard rest.first == "/" else { throw ServerURL.Fault(reason: "is no folder of this machine: file:///srv/files") }
      return (files, .unix(path: "/" + path.joined(separator: "/")))
    }
    let (_, address) = try ServerURL.parse("http://" + rest[..<slash])
    guard case .host(let host, var port) = address else { return nil }
    if !rest[..<slash].hasSuffix(":80") && port == 80 { port = kind.port }
    return (files, .host(host, port: port))
  }
}
