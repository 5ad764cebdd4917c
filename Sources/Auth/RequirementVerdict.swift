// Whether somebody meets a requirement, and which of its lines decides. On the data path: no allocation.

internal import Primitives

extension Requirement {
  /// Who wants through, as far as it is known.
  enum Asker {
    /// Somebody without credentials.
    case nobody
    /// Some user, whoever it may turn out to be: every term about users is taken to hold.
    case somebody
    case user(User, Credential)
  }

  /// What a part of the tree says. Of several the highest counts where one is enough; where all are needed, `no` or else the highest.
  enum Answer: UInt8, Comparable {
    case no
    /// A user may pass.
    case user
    /// Anybody may pass: `nobody` is among what was written, and nothing that stands with it is about users.
    case anybody

    static func < (a: Answer, b: Answer) -> Bool { a.rawValue < b.rawValue }
  }

  /// From where somebody asks, and what he has shown on the way.
  struct Origin {
    var client: ClientAddress
    /// Nil for none that counts.
    var certificate: PeerCertificate?
  }

  /// Whether an authenticated `user` is let through.
  func permits(_ user: User, by credential: Credential, from client: ClientAddress, showing certificate: PeerCertificate? = nil) -> Bool {
    permitsAnyUser || answer(at: 0, .user(user, credential), Origin(client: client, certificate: certificate)) != .no
  }

  /// Whether somebody without credentials is let through.
  func permitsNobody(from client: ClientAddress, showing certificate: PeerCertificate? = nil) -> Bool {
    guard mentionsNobody || mentionsCertificate && certificate != nil else { return false }
    return answer(at: 0, .nobody, Origin(client: client, certificate: certificate)) == .anybody
  }

  /// Whether there could be a user who is let through from there.
  func permitsSomebody(from client: ClientAddress) -> Bool {
    answer(at: 0, .somebody, Origin(client: client)) != .no
  }

  /// Bounded by `mostNodes` steps and `deepest` calls.
  func answer(at i: Int, _ asker: Asker, _ origin: Origin) -> Answer {
    switch nodes[i].kind {
    case .term(let term, let isNegated):
      return Self.answer(term, isNegated, asker, origin)
    case .all:
      var best = Answer.no
      var child = i + 1
      while child < nodes[i].end {
        let answer = answer(at: child, asker, origin)
        if answer == .no { return .no }
        best = max(best, answer)
        child = nodes[child].end
      }
      return best
    case .any:
      var best = Answer.no
      var child = i + 1
      while child < nodes[i].end {
        best = max(best, answer(at: child, asker, origin))
        if best == .anybody { return best }
        child = nodes[child].end
      }
      return best
    }
  }

  private static func answer(_ term: Term, _ isNegated: Bool, _ asker: Asker, _ origin: Origin) -> Answer {
    switch term {
    case .nobody:
      return isNegated ? .no : .anybody
    case .from(let ranges):
      return ranges.contains { $0.contains(origin.client) } != isNegated ? .user : .no
    case .certificate(let patterns):
      var holds = false
      if let certificate = origin.certificate { holds = patterns.isEmpty || patterns.contains { $0.matches(certificate) } }
      switch asker {
      // Who has none is not let in for that.
      case .nobody: return holds && !isNegated ? .anybody : .no
      // A browser shows none with the questions that it asks before a request.
      case .somebody: return .user
      case .user: return holds != isNegated ? .user : .no
      }
    case .validUser, .users, .groups, .scope:
      switch asker {
      // Who is not known is neither in a group nor not in it.
      case .nobody: return .no
      case .somebody: return .user
      case .user(let user, let credential): return holds(term, user, credential) != isNegated ? .user : .no
      }
    }
  }

  private static func holds(_ term: Term, _ user: User, _ credential: Credential) -> Bool {
    switch term {
    case .nobody, .validUser, .from, .certificate: return true
    case .users(let names): return names.contains(user.name)
    case .groups(let names):
      for group in user.groups where names.contains(group) { return true }
      return false
    case .scope(let words):
      guard case .token(let token) = credential else { return false }
      for word in token.scopeWords where words.contains(word) { return true }
      return false
    }
  }
}

// MARK: For people

extension Requirement {
  /// What decided, in the order in which it was written.
  struct Reasons {
    var isMet: Bool
    /// Of one that is met: the line that suffices. Otherwise, of each line that would have sufficed, what it lacks.
    var sources: [Source]
  }

  func reasons(_ asker: Asker, from client: ClientAddress) -> Reasons {
    let origin = Origin(client: client)
    let isMet: Bool
    if case .nobody = asker { isMet = permitsNobody(from: client) } else { isMet = answer(at: 0, asker, origin) != .no }
    let enough: Answer = if case .nobody = asker { .anybody } else { .user }
    return Reasons(isMet: isMet, sources: isMet ? sufficient(at: 0, asker, origin, enough) : lacking(at: 0, asker, origin))
  }

  /// The first of several that are each enough; a block of which all are needed as a whole.
  private func sufficient(at i: Int, _ asker: Asker, _ origin: Origin, _ enough: Answer) -> [Source] {
    guard nodes[i].kind == .any else { return [source(at: i)] }
    for child in children(of: i) where answer(at: child, asker, origin) >= enough { return sufficient(at: child, asker, origin, enough) }
    return []
  }

  private func lacking(at i: Int, _ asker: Asker, _ origin: Origin) -> [Source] {
    switch nodes[i].kind {
    case .term: return [source(at: i)]
    case .any: return children(of: i).flatMap { lacking(at: $0, asker, origin) }
    case .all:
      let first = children(of: i).first { answer(at: $0, asker, origin) == .no }
      // All that is written holds, and it lets in users only.
      return first.map { lacking(at: $0, asker, origin) } ?? [source(at: i)]
    }
  }

  private func children(of i: Int) -> [Int] {
    var found: [Int] = []
    var child = i + 1
    while child < nodes[i].end {
      found.append(child)
      child = nodes[child].end
    }
    return found
  }

  private func source(at i: Int) -> Source { Source(place: sources[i]?.place ?? "", text: text(at: i)) }

  /// Each of its lines, of which one is enough.
  public var lines: [String] {
    guard nodes[0].kind == .any, sources[0] == nil else { return [text(at: 0)] }
    return children(of: 0).map(text(at:))
  }

  /// The whole as a sentence would have it: `user alice or all { group staff; from 10.0.0.0/8 }`.
  public var text: String { lines.isEmpty ? "no one" : lines.joined(separator: " or ") }

  private func text(at i: Int) -> String {
    switch nodes[i].kind {
    case .all: return "all { \(children(of: i).map(text(at:)).joined(separator: "; ")) }"
    case .any: return "any { \(children(of: i).map(text(at:)).joined(separator: "; ")) }"
    case .term(let term, let isNegated):
      if let source = sources[i] { return source.text }
      return (isNegated ? "not " : "") + Self.text(term)
    }
  }

  private static func text(_ term: Term) -> String {
    func names(_ names: Set<[UInt8]>) -> String { names.map { String(decoding: $0, as: UTF8.self) }.sorted().joined(separator: " ") }
    switch term {
    case .nobody: return "nobody"
    case .validUser: return "valid-user"
    case .users(let users): return "user " + names(users)
    case .groups(let groups): return "group " + names(groups)
    case .from(let ranges): return "from \(ranges.count) networks"
    case .scope(let words): return "scope " + names(words)
    case .certificate(let patterns): return (["certificate"] + patterns.map(\.text)).joined(separator: " ")
    }
  }
}
