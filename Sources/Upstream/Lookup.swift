// What the operator says of a server that is asked for one thing and answers it: a directory (LDAP), a dictionary (DICT), Gopher, TFTP. Values only.

/// What may be asked of it, and how much it may answer. Of these a server uses what its protocol has.
public struct Lookup: Equatable, Sendable {
  /// How far below the base a directory is searched (RFC 4511 section 4.5.1.2).
  public enum Scope: String, Equatable, Sendable {
    case base
    case one
    case subtree = "sub"
  }

  // LDAP.

  /// The attributes by which a client may search, one at a time and by their whole value.
  public var keys = ["uid"]
  /// Those that are given out, and no others.
  public var attributes: [String] = []
  /// What entries have to match besides; the operator's own (RFC 4515).
  public var filter: String?
  public var scope = Scope.subtree
  public var mostEntries = 100

  // DICT.

  /// `*` all, `!` the first that has the word (RFC 2229 section 3.2).
  public var database = "*"

  // Gopher.

  /// The name by which menus call the server, where that is not the one by which we find it.
  public var menuHost: String?

  // TFTP.

  /// Bytes (RFC 2348); with 512 no option is sent, which very old servers would not understand.
  public var blockSize = 1428

  // Gopher and TFTP.

  /// Bytes of a file; the answer is cut visibly, or 502, beyond.
  public var mostBytes = 64 << 20

  /// What LDAP and DICT may answer, and a menu of Gopher's: it is kept until all of it has come.
  static let mostCollected = 4 << 20

  public init() {}

  /// For `check`.
  func notes(_ kind: FileServer.Kind) -> String {
    switch kind {
    case .ldap, .ldaps:
      var notes = "directory searched by \(keys.joined(separator: " ")), gives \(attributes.joined(separator: " "))"
      if let filter { notes += " of \(filter)" }
      if scope != .subtree { notes += scope == .base ? ", the base alone" : ", one level" }
      return notes + ", \(mostEntries) entries at most"
    case .dict: return "dictionary, database \(database)"
    case .gopher: return "gopher, \(mostBytes >> 10) KiB at most" + (menuHost.map { ", which calls itself \($0)" } ?? "")
    default: return "tftp, read only, \(mostBytes >> 10) KiB at most, blocks of \(blockSize) bytes"
    }
  }
}

extension FileServer.Kind {
  /// Whether it is asked for one thing, and keeps no files that could be listed and written.
  public var isLookup: Bool {
    switch self {
    case .ldap, .ldaps, .dict, .gopher, .tftp: true
    case .ftp, .ftps, .sftp, .file: false
    }
  }

  /// Whether an answer is taken apart, and so kept until all of it has come.
  var isCollected: Bool { self == .ldap || self == .ldaps || self == .dict }

  /// The registered port.
  public var port: UInt16 {
    switch self {
    case .ftp: 21
    case .ftps: 990
    case .sftp: 22
    case .ldap: 389
    case .ldaps: 636
    case .dict: 2628
    case .gopher: 70
    case .tftp: 69
    case .file: 0
    }
  }
}
