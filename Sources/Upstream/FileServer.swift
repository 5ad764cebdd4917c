// What the operator says of an upstream that speaks no HTTP: how it is spoken to, where its files begin, as whom we log in there. Values only; `CurlStore`
// and `DiskStore` do what they say. Servers that keep no files, but are asked for one thing, are told more of in `Lookup`.

public import Primitives

/// Files behind another protocol than HTTP.
public struct FileServer: Equatable, Sendable {
  public enum Kind: String, Equatable, Sendable {
    case ftp
    /// TLS from the first byte (port 990). With `usesTLS`, `ftp` goes over to TLS by itself (RFC 4217).
    case ftps
    case sftp
    /// A folder of this machine.
    case file
    case ldap, ldaps
    case dict
    case gopher
    case tftp
  }

  /// How an SFTP server proves who it is: one of them has to be said.
  public enum HostKey: Equatable, Sendable {
    /// An OpenSSH known_hosts file, in which its key stands.
    case knownHosts(path: String)
    /// Base64 without padding of its key's SHA-256, as `ssh-keygen -lf` prints it.
    case sha256(String)
  }

  public var kind: Kind
  /// The names from the server's root, or from where a login begins, to where the files are. Of a directory its base: one name.
  public var root: [String]
  /// Nil for anonymous.
  public var account: FileAccount?
  public var hostKey: HostKey?
  /// A private key for SFTP, without a passphrase.
  public var keyFile: String?
  /// What may be asked of a server that keeps no files.
  public var lookup = Lookup()
  /// Whether `ftp` has to go over to TLS before the login. Never `ldap`: libcurl before 8.6 asks for it (StartTLS), and goes on in clear text, login and all.
  public var usesTLS = false
  /// Whether PUT, DELETE and MKCOL are served.
  public var isWritable = false

  public init(_ kind: Kind, root: [String]) {
    self.kind = kind
    self.root = root
  }

  public var mayUseTLS: Bool { isByTLS || kind == .ftp }
  public var isByTLS: Bool { usesTLS || kind == .ftps || kind == .ldaps }
  var speaksFTP: Bool { kind == .ftp || kind == .ftps }

  /// For `check`: what it is allowed to do, as whom, and whom it believes.
  public var notes: String {
    var notes = ["files, \(isWritable ? "WRITABLE" : "read only")"]
    if kind.isLookup {
      notes = [lookup.notes(kind)]
      if kind != .ldap && kind != .ldaps { return notes[0] }
    }
    if kind != .file { notes.append(account.map { "as \($0.name)\(keyFile.map { " by the key \($0)" } ?? "")" } ?? "anonymous") }
    switch hostKey {
    case .knownHosts(let path)?: notes.append("its key known from \(path)")
    case .sha256(let digest)?: notes.append("its key SHA256:\(digest)")
    case nil: break
    }
    return notes.joined(separator: ", ")
  }

  /// Where it is, as proxy.conf says it.
  func place(_ address: UpstreamOptions.Address) -> String {
    let path = root.map { "/" + $0 }.joined()
    guard kind != .file, case .host(let host, let port) = address else { return "file://" + (path.isEmpty ? "/" : path) }
    return "\(kind.rawValue)://\(host.contains(":") ? "[\(host)]" : host):\(port)\(path)"
  }
}

/// As whom we log in to a file server. The password is wiped when it goes.
public final class FileAccount: Sendable, Equatable {
  public let name: String
  private let password: Secret

  /// - Parameter password: holds no NUL; empty where a key proves who we are.
  public init(name: String, password: consuming Secret) {
    self.name = name
    self.password = password
  }

  /// A copy for libcurl, which wants it with a NUL behind it.
  func copyPassword() -> Secret { Self.copy(password) }

  private static func copy(_ password: borrowing Secret) -> Secret { Secret(copying: password.span) }

  /// The same only if it is the same: passwords are not compared here.
  public static func == (a: FileAccount, b: FileAccount) -> Bool { a === b }
}
