// Bytes of a user file → users, indices and problems. Every doubt is decided against the one who would log in.

internal import Crypto
internal import Primitives

struct UserFileReader {
  /// Largest file read, in bytes: a million users and room to spare.
  static let largest = 512 << 20
  /// Problems that are told one by one.
  static let mostProblems = 10_000
  /// Longest list of groups as a field value.
  private static let longestGroups = 4096

  private(set) var users: [User] = []
  private(set) var problems: [UserFileProblem] = []
  private(set) var byName = HashIndex(capacity: 0)
  private(set) var keys: [UserTable.KeyEntry] = []
  private(set) var byKey = HashIndex(capacity: 0)

  private let seed: SipHash
  private let limit: HashLimit
  private var groups: [[UInt8]: User.Groups] = [:]
  /// Problems beyond `mostProblems`: a wrong file of a million lines must not become a million sentences.
  private var unsaid = 0

  /// Groups that are named elsewhere.
  private let groupFile: GroupFile?

  init(seed: SipHash, limit: HashLimit, groups: GroupFile? = nil) {
    self.seed = seed
    self.limit = limit
    groupFile = groups
  }

  /// A line on its way to be a user.
  private struct Candidate {
    var name: Range<Int>
    var line: Int
    /// nil when the line can't be used: the name is taken all the same.
    var user: User?
  }

  mutating func read(_ bytes: [UInt8]) throws(UserFileFault) {
    guard bytes.count <= Self.largest else { throw .tooLarge(bytes: bytes.count) }
    let file = bytes.span
    let lineCount = try Self.countLines(file)
    var candidates: [Candidate] = []
    candidates.reserveCapacity(lineCount)
    var names = HashIndex(capacity: lineCount)
    var position = 0
    var number = 1
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      note(1, "the file begins with a byte order mark: it was skipped, save the file without", isWarning: true)
      position = 3
    }
    while position < file.count {
      let line = UserLine.cut(file, at: position, number: number)
      read(line, file, &candidates, &names)
      position = line.whole.upperBound + 1
      number += 1
    }
    keepUsers(candidates, names)
    problems.sort { $0.line < $1.line }
    if unsaid > 0 {
      problems.append(UserFileProblem(line: number - 1, reason: "\(unsaid) further lines have problems that are not listed", isWarning: false))
    }
    if users.isEmpty && problems.contains(where: { !$0.isWarning }) { throw .nothingUsable(problems) }
  }

  private static func countLines(_ file: Span<UInt8>) throws(UserFileFault) -> Int {
    var lines = 0
    for i in file.indices {
      if file[i] == 0x0A { lines += 1 }
      if file[i] == 0 { throw .holdsNUL(line: lines + 1) }
    }
    if file.count > 0 && file[file.count - 1] != 0x0A { throw .lastLineUnfinished(line: lines + 1) }
    return lines
  }

  // MARK: Lines

  private mutating func read(_ line: UserLine, _ file: Span<UInt8>, _ candidates: inout [Candidate], _ names: inout HashIndex) {
    switch line.content {
    case .nothing:
      return
    case .malformed(let reason):
      note(line.number, "\(reason)")
    case .user(let nameRange, let hashRange, let attributes):
      let name = file.extracting(nameRange)
      if let fault = UserName.fault(name) {
        note(line.number, "\(fault)")
        return
      }
      let nameHash = seed.hash(name)
      var probe = names.probe(nameHash)
      while let i = names.next(&probe) {
        if ASCII.equals(file.extracting(candidates[i].name), name) {
          note(
            line.number,
            "user \(quoted(name)) stands on line \(candidates[i].line) already: which one counts is unclear, so neither can log in")
          candidates[i].user = nil
          return
        }
      }
      names.insert(nameHash, position: candidates.count)
      let user = makeUser(line.number, file, nameRange, hashRange, attributes)
      candidates.append(Candidate(name: nameRange, line: line.number, user: user))
    }
  }

  /// The user of a line; nil, and a problem, when he can't log in.
  private mutating func makeUser(
    _ line: Int, _ file: Span<UInt8>, _ name: Range<Int>, _ hash: Range<Int>, _ attributes: Range<Int>?
  ) -> User? {
    let nameSpan = file.extracting(name)
    var parsed: PasswordHash?
    let hashSpan = file.extracting(hash)
    if !(ASCII.equals(hashSpan, "*") || ASCII.equals(hashSpan, "!")) {
      do throws(PasswordHashFailure) {
        parsed = try PasswordHash(parsing: hashSpan)
      } catch {
        note(line, "user \(quoted(nameSpan)) can't log in: the hash \(error)")
        return nil
      }
      if let parsed, let reason = limit.refusal(of: parsed.expense) {
        note(line, "user \(quoted(nameSpan)) can't log in: the hash (\(parsed.costLabel)) \(reason)")
        return nil
      }
    }
    if parsed?.kind == .plain {
      note(line, "user \(quoted(nameSpan)) has a password in plain text: set it anew", isWarning: true)
    }
    var facts = Facts()
    if let attributes {
      for attribute in UserLine.attributes(file, attributes) {
        if let fault = read(attribute, file, line, nameSpan, &facts) {
          note(line, "user \(quoted(nameSpan)) can't log in: \(fault)")
          return nil
        }
      }
    }
    let name = ASCII.array(nameSpan)
    if let fault = addGroups(of: name, &facts) {
      note(line, "user \(quoted(nameSpan)) can't log in: \(fault)")
      return nil
    }
    return User(
      name: name, groups: facts.groups ?? .init(), hash: parsed, isLocked: facts.isLocked, expires: facts.expires,
      created: facts.created, keys: facts.keys ?? [], line: line)
  }

  private struct Facts {
    var groups: User.Groups?
    var isLocked = false
    var expires: Timestamp?
    var created: Timestamp?
    var keys: [APIKey]?
  }

  /// Takes in one attribute. Why the line can't be used, when it can't: a restriction that is there but not understood is never taken
  /// for none.
  private mutating func read(
    _ attribute: UserLine.Attribute, _ file: Span<UInt8>, _ line: Int, _ user: Span<UInt8>, _ facts: inout Facts
  ) -> String? {
    let name = file.extracting(attribute.name)
    if ASCII.equals(name, ignoringCaseOf: "locked") {
      if attribute.value != nil { return "locked takes no value" }
      facts.isLocked = true
    } else if ASCII.equals(name, ignoringCaseOf: "expires") {
      guard facts.expires == nil else { return "expires= stands twice" }
      guard let value = attribute.value, let time = CalendarText.parse(file.extracting(value)) else {
        return "expires= is no date such as 2027-01-31 or 2027-01-31T12:00:00Z"
      }
      facts.expires = time
    } else if ASCII.equals(name, ignoringCaseOf: "groups") {
      guard facts.groups == nil else { return "groups= stands twice" }
      guard let value = attribute.value else { return "groups takes a value: groups=a b" }
      return readGroups(file, value, &facts)
    } else if ASCII.equals(name, ignoringCaseOf: "keys") {
      guard facts.keys == nil else { return "keys= stands twice" }
      guard let value = attribute.value else { return "keys takes a value: keys=NAME/SHA256-HEX/EXPIRES" }
      facts.keys = readKeys(file, value, line, user)
    } else if ASCII.equals(name, ignoringCaseOf: "created") {
      facts.created = attribute.value.flatMap { CalendarText.parse(file.extracting($0)) }
      if facts.created == nil { note(line, "user \(quoted(user)): created= is no date", isWarning: true) }
    } else {
      note(line, "user \(quoted(user)): \(quoted(name)) is no known attribute, it has no effect", isWarning: true)
    }
    return nil
  }

  private mutating func readGroups(_ file: Span<UInt8>, _ value: Range<Int>, _ facts: inout Facts) -> String? {
    let text = ASCII.array(file.extracting(value))
    if let known = groups[text] {
      facts.groups = known
      return nil
    }
    var read = User.Groups()
    for word in UserLine.words(file, value) {
      let group = file.extracting(word)
      if let fault = UserName.groupFault(group) { return "\(fault)" }
      let name = ASCII.array(group)
      if read.list.contains(name) { continue }
      if !read.list.isEmpty { read.joined.append(0x2C) }
      read.joined += name
      read.list.append(name)
    }
    if read.joined.count > Self.longestGroups { return "the groups together have more than \(Self.longestGroups) bytes" }
    groups[text] = read
    facts.groups = read
    return nil
  }

  /// Adds those of the group file. Why the user can't log in, when he can't.
  private mutating func addGroups(of user: [UInt8], _ facts: inout Facts) -> String? {
    guard let more = groupFile?.groups(of: user), !more.isEmpty else { return nil }
    var all = facts.groups ?? .init()
    for group in more where !all.list.contains(group) {
      if !all.list.isEmpty { all.joined.append(0x2C) }
      all.joined += group
      all.list.append(group)
    }
    if all.joined.count > Self.longestGroups { return "the groups, those of the group file among them, have more than \(Self.longestGroups) bytes" }
    facts.groups = all
    return nil
  }

  /// A key that can't be read is left out, with a problem: its owner's password and other keys are not in doubt.
  private mutating func readKeys(_ file: Span<UInt8>, _ value: Range<Int>, _ line: Int, _ user: Span<UInt8>) -> [APIKey] {
    var keys: [APIKey] = []
    for (i, word) in UserLine.words(file, value).enumerated() {
      let key: APIKey
      do throws(APIKeyEntryFault) {
        key = try APIKey(entry: file.extracting(word))
      } catch {
        note(line, "user \(quoted(user)): key \(i + 1) can't be used, \(error.description)")
        continue
      }
      let name = key.name
      if keys.contains(where: { $0.name == name }) {
        note(line, "user \(quoted(user)): two keys are called \(quoted(name.span))", isWarning: true)
      }
      keys.append(key)
    }
    return keys
  }

  // MARK: Whole file

  private mutating func keepUsers(_ candidates: [Candidate], _ names: consuming HashIndex) {
    let kept = candidates.compactMap(\.user)
    if kept.count == candidates.count {
      // Nobody fell out: the places are the same.
      byName = names
    } else {
      byName = HashIndex(capacity: kept.count)
      for (i, user) in kept.enumerated() {
        let name = user.name
        byName.insert(seed.hash(name.span), position: i)
      }
    }
    users = kept
    indexKeys()
  }

  /// Collects the keys of all users. A digest that stands twice would let one token be two users: it is nobody's.
  private mutating func indexKeys() {
    var entries: [UserTable.KeyEntry] = []
    entries.reserveCapacity(users.reduce(0) { $0 + $1.keys.count })
    var index = HashIndex(capacity: entries.capacity)
    var shared: Set<SHA256.Digest> = []
    for user in users {
      for key in user.keys {
        var probe = index.probe(key.digest.prefix)
        var first: Int?
        while let i = index.next(&probe) {
          if entries[i].key.digest == key.digest { first = first ?? entries[i].owner.line }
        }
        if let first {
          shared.insert(key.digest)
          let name = key.name
          note(user.line, "key \(quoted(name.span)) stands on line \(first) already: whose it is is unclear, so neither can be used")
        } else {
          index.insert(key.digest.prefix, position: entries.count)
          entries.append(.init(key: key, owner: user))
        }
      }
    }
    guard !shared.isEmpty else {
      (keys, byKey) = (entries, index)
      return
    }
    users = users.map { $0.keys.contains { shared.contains($0.digest) } ? $0.without(shared) : $0 }
    indexKeys()
  }

  private mutating func note(_ line: Int, _ reason: String, isWarning: Bool = false) {
    guard problems.count < Self.mostProblems else {
      unsaid += 1
      return
    }
    problems.append(UserFileProblem(line: line, reason: reason, isWarning: isWarning))
  }

  private func quoted(_ text: Span<UInt8>) -> String {
    // Attribute names may hold anything; a terminal or a log must not.
    let shown = text.count > 64 ? text.extracting(0..<64) : text
    let printable = UserName.isPrintable(shown) ? ASCII.string(shown) : "(unprintable)"
    return "\"\(printable)\(text.count > 64 ? "…" : "")\""
  }
}

extension User {
  /// The same user without the keys of those digests.
  fileprivate func without(_ digests: Set<SHA256.Digest>) -> User {
    User(
      name: name, groups: Groups(list: groups, joined: joinedGroups), hash: hash, isLocked: isLocked, expires: expires,
      created: created, keys: keys.filter { !digests.contains($0.digest) }, line: line)
  }
}
