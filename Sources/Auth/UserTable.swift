// The users of one reading of a user file, found by name or by token. Immutable: a changed file makes a new table, off the workers.

public import Crypto
internal import Primitives

public final class UserTable: Sendable {
  /// In the order of the file.
  public let users: [User]
  /// What is wrong in the file, in the order of its lines: what `check` and the log show.
  public let problems: [UserFileProblem]
  /// How many users have a hash of each kind.
  public let countsByKind: [PasswordHash.Kind: Int]
  /// How many users have no password, only keys.
  public let usersWithoutPassword: Int
  /// How many keys can be used, expired ones among them.
  public let keyCount: Int

  private let seed: SipHash
  private let groupFile: GroupFile?
  private let byName: HashIndex
  private let byKey: HashIndex
  private let keys: [KeyEntry]
  private let decoys: Decoys

  struct KeyEntry {
    var key: APIKey
    var owner: User
  }

  /// Reads the bytes of a whole user file. Takes well under a second for 100,000 users; done off the workers.
  ///
  /// Lines that can't be used make problems and their users can't log in; only a file that can't be a user file at all throws. `seed`
  /// decides which decoy an unknown name gets: with the same seed (and file) it is the same one after a restart. A hash that would cost
  /// more than `limit` is one of the things that can't be used.
  ///
  /// - Parameter groups: adds its groups to those that the lines name.
  public init(
    parsing file: [UInt8], seed: DecoySeed = .ofThisProcess, limit: HashLimit = .standard, groups: GroupFile? = nil
  ) throws(UserFileFault) {
    self.seed = seed.key
    groupFile = groups
    var reader = UserFileReader(seed: seed.key, limit: limit, groups: groups)
    try reader.read(file)
    users = reader.users
    problems = reader.problems
    byName = reader.byName
    var counts: [PasswordHash.Kind: Int] = [:]
    var costs = Decoys.Builder()
    for user in reader.users {
      guard let hash = user.hash else { continue }
      counts[hash.kind, default: 0] += 1
      costs.count(hash)
    }
    countsByKind = counts
    usersWithoutPassword = reader.users.count - counts.values.reduce(0, +)
    decoys = costs.build()
    keys = reader.keys
    byKey = reader.byKey
    keyCount = keys.count
  }

  /// A table without users.
  public convenience init(seed: DecoySeed = .ofThisProcess) {
    // An empty file has no line to complain about.
    try! self.init(parsing: [], seed: seed)
  }

  /// The user of that name, byte by byte. The same number of steps for any size of table.
  public func user(named name: Span<UInt8>) -> User? {
    user(named: name, hash: seed.hash(name))
  }

  /// Whether the group file makes a member of some group of whoever is called so.
  public func isMemberByGroupFile(_ name: [UInt8]) -> Bool { groupFile?.groups(of: name).isEmpty == false }

  /// Whether there is a usable key, expired or not, whose digest begins so (`SHA256.Digest.prefix`).
  public func hasKey(_ identity: UInt64) -> Bool {
    var probe = byKey.probe(identity)
    while let i = byKey.next(&probe) {
      if keys[i].key.digest.prefix == identity { return true }
    }
    return false
  }

  // MARK: For the gatekeeper

  /// The hash that `user(named:hash:)` and `decoyIndex(for:)` both want, made once: a known name then costs what an unknown one costs.
  func hash(_ name: Span<UInt8>) -> UInt64 { seed.hash(name) }

  func user(named name: Span<UInt8>, hash: UInt64) -> User? {
    var probe = byName.probe(hash)
    while let i = byName.next(&probe) {
      let user = users[i]
      if user.isNamed(name) { return user }
    }
    return nil
  }

  /// What a password for an unknown name is checked against. Its kind and cost are drawn from those of the file's users, always the same
  /// for one name, so that time tells no more than that *some* user may be called so.
  /// Drawn for known names too; the hash itself is fetched for unknown ones.
  func decoyIndex(for nameHash: UInt64) -> Int { decoys.choose(nameHash) }

  func decoy(_ index: Int) -> PasswordHash { decoys.hashes[index] }

  /// The entry of a token, found by its digest. Which entry is looked at depends on the digest alone, which nobody without
  /// the token can steer; the digests themselves are compared in constant time.
  func key(_ digest: SHA256.Digest) -> KeyEntry? {
    var probe = byKey.probe(digest.prefix)
    while let i = byKey.next(&probe) {
      if keys[i].key.digest == digest { return keys[i] }
    }
    return nil
  }
}

extension UserTable {
  /// The key of that digest if it is `owner`'s.
  func key(_ digest: SHA256.Digest, of owner: User) -> APIKey? {
    guard let entry = key(digest), entry.owner === owner else { return nil }
    return entry.key
  }
}

/// Something in a user file that an operator should look at.
public struct UserFileProblem: Equatable, Sendable, CustomStringConvertible {
  /// From 1.
  public var line: Int
  /// What and why, with the user's name where it is known; without secrets.
  public var reason: String
  /// The line works all the same.
  public var isWarning: Bool

  public var description: String { "line \(line): \(reason)" }
}

/// Why bytes are no user file at all. The table in force stays in force.
public enum UserFileFault: Error, Equatable, Sendable, CustomStringConvertible {
  /// The last line does not end: a file being written, or one cut short.
  case lastLineUnfinished(line: Int)
  case holdsNUL(line: Int)
  /// There are lines, and not one that can be used. What is wrong with each.
  case nothingUsable([UserFileProblem])
  case tooLarge(bytes: Int)

  public var description: String {
    switch self {
    case .lastLineUnfinished(let line):
      "line \(line), the last, does not end with a newline: the file is being written or was cut short (if it is whole, add the newline)"
    case .holdsNUL(let line): "line \(line) holds a NUL byte: this is not a user file, or it was damaged"
    case .nothingUsable(let problems):
      "no line can be used: " + problems.prefix(5).map(\.description).joined(separator: "; ") + (problems.count > 5 ? "; …" : "")
    case .tooLarge(let bytes): "\(bytes) bytes are more than a user file may have (\(UserFileReader.largest))"
    }
  }
}

/// Decides, with the contents of the user file, which decoy an unknown name gets. Secret: who knows it can compute which names the
/// decoys fit.
public struct DecoySeed: Sendable {
  let key: SipHash

  /// From bytes that only this machine knows and that stay the same when the process restarts. Without such bytes, a name whose time
  /// changes at a restart is seen to be no user's.
  public init(_ bytes: Span<UInt8>) {
    key = SipHash(seed: bytes)
  }

  /// Random, made once a process.
  public static let ofThisProcess = DecoySeed(RandomBytes.array(32).span)
}
