// What a route asks of whoever wants through: a tree of terms, held flat. How one is judged is `RequirementVerdict`'s.

public import Primitives

/// Names and words are compared byte by byte: `String` would take two spellings of the same letters for one name.
///
/// Who sends no credentials passes only where `nobody` is written, or `certificate` and he has one: `from` alone, or `not group guests`, still asks for a user.
public struct Requirement: Sendable {
  /// One question about a request.
  public enum Term: Equatable, Sendable {
    /// Anybody, with or without credentials. The only term that lets in who has neither those nor a certificate.
    case nobody
    /// Any user who can prove it.
    case validUser
    /// One of these users.
    case users(Set<[UInt8]>)
    /// A member of one of these groups.
    case groups(Set<[UInt8]>)
    /// A client in one of these networks.
    case from([AddressRange])
    /// Somebody whose token has one of these words in its OAuth scope (RFC 8693 section 4.2). Passwords and API keys have none.
    case scope(Set<[UInt8]>)
    /// Somebody who has shown a verified certificate, of which one of these is true; without any, every certificate will do. Lets in who is no user, as the
    /// certificate is proof enough.
    case certificate([CertificatePattern])

    /// Whether it is about who somebody is, which is known of nobody without credentials.
    public var asksWho: Bool {
      switch self {
      case .validUser, .users, .groups, .scope: true
      case .nobody, .from, .certificate: false
      }
    }
  }

  /// Where a term or block was written, and how: for people.
  public struct Source: Equatable, Sendable {
    /// `proxy.conf:14`.
    public var place: String
    /// `group admin`; of a block its first word.
    public var text: String

    public init(place: String, text: String) {
      self.place = place
      self.text = text
    }
  }

  /// The tree as it is written.
  public indirect enum Rule: Sendable {
    case term(Term, isNegated: Bool = false, Source? = nil)
    /// Each of them.
    case all([Rule], Source? = nil)
    /// One of them.
    case any([Rule], Source? = nil)
  }

  /// Most terms and blocks of one requirement, and how deep they may stand in each other.
  public static let mostNodes = 512
  public static let deepest = 8

  enum Kind: Equatable, Sendable {
    case term(Term, isNegated: Bool)
    case all
    case any
  }

  /// A node of the tree, its children right behind it.
  struct Node: Equatable, Sendable {
    var kind: Kind
    /// One past the last node below it.
    var end: Int
  }

  /// One reference to copy with every request, instead of one for each array.
  private final class Tree: Sendable {
    let nodes: [Node]
    let sources: [Source?]

    init(_ nodes: [Node], _ sources: [Source?]) {
      self.nodes = nodes
      self.sources = sources
    }
  }

  private let tree: Tree
  var nodes: [Node] { tree.nodes }
  /// Of each node.
  var sources: [Source?] { tree.sources }
  /// Whether any user who can prove it may pass, from anywhere: nothing is left to judge then.
  let permitsAnyUser: Bool
  /// Whether `nobody` stands somewhere in it. Without, who has no credentials needs no judging.
  public let mentionsNobody: Bool
  /// Whether certificates are asked for somewhere in it.
  public let mentionsCertificate: Bool
  /// Whether some term is about who somebody is. Without, credentials need not be looked at to let somebody pass.
  public let asksWho: Bool

  /// One of `rules`. Without any, no one is let through. Nil when there are too many, or too deep.
  public init?(oneOf rules: [Rule]) {
    var building = Building()
    guard building.append(rules.count == 1 ? rules[0] : .any(rules), depth: 0) else { return nil }
    tree = Tree(building.nodes, building.sources)
    mentionsNobody = building.mentionsNobody
    mentionsCertificate = building.mentionsCertificate
    asksWho = building.asksWho
    permitsAnyUser = building.nodes == [Node(kind: .term(.validUser, isNegated: false), end: 1)]
  }

  private struct Building {
    var nodes: [Node] = []
    var sources: [Source?] = []
    var mentionsNobody = false
    var mentionsCertificate = false
    var asksWho = false

    /// False when a bound is passed.
    mutating func append(_ rule: Rule, depth: Int) -> Bool {
      guard nodes.count < mostNodes, depth <= deepest else { return false }
      let position = nodes.count
      let children: [Rule]
      switch rule {
      case .term(let term, let isNegated, let source):
        if term == .nobody { mentionsNobody = true }
        if case .certificate = term { mentionsCertificate = true }
        if term.asksWho { asksWho = true }
        nodes.append(Node(kind: .term(term, isNegated: isNegated), end: position + 1))
        sources.append(source)
        return true
      case .all(let rules, let source):
        nodes.append(Node(kind: .all, end: position))
        sources.append(source)
        children = rules
      case .any(let rules, let source):
        nodes.append(Node(kind: .any, end: position))
        sources.append(source)
        children = rules
      }
      for child in children {
        guard append(child, depth: depth + 1) else { return false }
      }
      nodes[position].end = nodes.count
      return true
    }
  }

  // MARK: Common ones

  /// A public route.
  public static let nobody = single(.nobody)
  public static let validUser = single(.validUser)

  /// One of these users, or a member of one of these groups. With both empty no one is let through.
  public static func anyOf(users: Set<[UInt8]>, groups: Set<[UInt8]>) -> Requirement {
    var rules: [Rule] = []
    if !users.isEmpty { rules.append(.term(.users(users))) }
    if !groups.isEmpty { rules.append(.term(.groups(groups))) }
    guard let requirement = Requirement(oneOf: rules) else { preconditionFailure("two terms are within the bounds") }
    return requirement
  }

  /// The same from text.
  public static func anyOf(users: [String] = [], groups: [String] = []) -> Requirement {
    anyOf(users: Set(users.map { Array($0.utf8) }), groups: Set(groups.map { Array($0.utf8) }))
  }

  private static func single(_ term: Term) -> Requirement {
    guard let requirement = Requirement(oneOf: [.term(term)]) else { preconditionFailure("one term is within the bounds") }
    return requirement
  }
}

extension Requirement: Equatable {
  /// Where it was written makes no difference.
  public static func == (a: Requirement, b: Requirement) -> Bool { a.nodes == b.nodes }
}
