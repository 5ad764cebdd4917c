// `require` and what stands in its blocks: who may.

import Auth
import Net
import Primitives
import Proxy

extension Table {
  static let requireRows: [Row] = [
    Row(
      "require", in: .route, takes: "[not] TERM|all { … }|any { … }", 1...1024, block: .optional, isRepeatable: true,
      elsewhere: ["auth_basic", "basic_auth", "satisfy"],
      doc:
        "Who may pass: `nobody` in particular (a public route), `valid-user`, `user NAME…`, `group NAME…`, `from NETWORK…`, `scope WORD…`, "
        + "`certificate …`, or a block of these; of several lines one is enough; `require tls` beside them refuses what comes in clear text, with 403."
    ) { reading, directive in reading.require(directive) },
    term("nobody", "", 0...0, "Anybody, with or without a password: the only term that lets in who has none."),
    term("valid-user", "", 0...0, "Every user."),
    term("user", "NAME…", 1...1024, "One of these users."),
    term("group", "NAME…", 1...1024, "Members of one of these groups."),
    term(
      "from", "NETWORK…", 1...1024,
      "Clients in one of these networks (`10.0.0.0/8`, `::1`, `unix:`); they still log in, unless `nobody` stands beside it."),
    term("scope", "WORD…", 1...1024, "Who brings a token with one of these words in its `scope`; passwords and API keys have none."),
    term(
      "certificate", "[subject DN…|cn NAME…|san email|dns|uri VALUE…|fingerprint HEX…]", 0...1024,
      "Who has shown a verified certificate, with one of these values (a `*` stands for any bytes) if there are some: proof enough, without a user or password."
    ),
    term("not", "TERM", 1...1025, "Whoever the term behind it does not cover, and who logs in all the same: `not group guests`."),
    Row("all", in: .requirement, takes: "", 0...0, block: .required, isRepeatable: true, doc: "All of what stands in the block.") {
      $0.requireTerm($1)
    },
    Row("any", in: .requirement, takes: "", 0...0, block: .required, isRepeatable: true, doc: "One of what stands in the block.") {
      $0.requireTerm($1)
    },
  ]

  private static func term(_ name: String, _ arguments: String, _ count: ClosedRange<Int>, _ doc: String) -> Row {
    Row(name, in: .requirement, takes: arguments, count, isRepeatable: true, doc: doc) { $0.requireTerm($1) }
  }
}

extension Reading {
  /// A `require` line of the route in hand.
  func require(_ directive: Directive) {
    if directive.block == nil, directive.arguments.count == 1, directive.arguments[0].text == "tls", !directive.arguments[0].isQuoted {
      routeInHand?.requiresTLS = true
      return
    }
    routeInHand?.saysWho = true
    guard let rule = rule(directive.arguments, directive) else { return }
    if let earlier = routeInHand?.rules {
      for other in earlier where Self.contradict(other, rule) {
        return diagnostics.error(
          directive.place, "this contradicts the 'require' before it",
          hint:
            "of several lines one is enough, so that 'nobody' or 'valid-user' leaves no meaning to the others; 'require all { … }' asks for all"
        )
      }
    }
    routeInHand?.rules.append(rule)
    routeInHand?.rulePlaces.append(directive.place)
  }

  /// A line in a block of `require`.
  func requireTerm(_ directive: Directive) {
    guard let rule = rule([directive.name] + directive.arguments, directive), !rulesInHand.isEmpty else { return }
    rulesInHand[rulesInHand.count - 1].append(rule)
  }

  /// Makes the route's requirement of its lines.
  func demand(_ draft: inout RouteDraft) {
    guard !draft.rules.isEmpty else { return }
    draft.requirement = Requirement(oneOf: draft.rules)
    if draft.requirement == nil {
      diagnostics.error(
        draft.place, "this route requires too much: at most \(Requirement.mostNodes) terms and blocks, \(Requirement.deepest) deep")
    }
    warnOfBroadLines(draft)
    warnOfPublicProxies(draft)
  }

  // MARK: Rules

  private func rule(_ words: [Word], _ directive: Directive) -> Requirement.Rule? {
    guard let kind = words.first else { return nil }
    let source = Requirement.Source(place: directive.name.place.shortText, text: words.map(\.text).joined(separator: " "))
    if ["all", "any"].contains(kind.text) { return block(kind, words, directive, source) }
    if let block = directive.block {
      diagnostics.error(block.place, "'\(kind.text)' takes no block", hint: "'all { … }' and 'any { … }' do")
      return nil
    }
    guard kind.text == "not" else { return term(words, source, isNegated: false) }
    guard words.count > 1 else {
      diagnostics.error(kind.place, "'not' lacks what it negates", hint: "not group guests")
      return nil
    }
    return term(Array(words.dropFirst()), source, isNegated: true)
  }

  private func block(_ kind: Word, _ words: [Word], _ directive: Directive, _ source: Requirement.Source) -> Requirement.Rule? {
    if words.count > 1 {
      diagnostics.error(
        words[1].place, "'\(kind.text)' takes a block, and nothing before it", hint: "\(kind.text) { user alice; from 10.0.0.0/8 }")
      return nil
    }
    guard let block = directive.block else {
      diagnostics.error(kind.place, "'\(kind.text)' needs a block", hint: "\(kind.text) { user alice; from 10.0.0.0/8 }")
      return nil
    }
    guard rulesInHand.count < Requirement.deepest else {
      diagnostics.error(block.place, "blocks of 'require' stand more than \(Requirement.deepest) deep in each other")
      return nil
    }
    rulesInHand.append([])
    read(block, in: .requirement)
    let rules = rulesInHand.removeLast()
    if block.directives.isEmpty {
      diagnostics.error(directive.place, "this block asks for nothing", hint: "a route that is meant to be public says: require nobody")
      return nil
    }
    if kind.text == "any" {
      for (i, rule) in rules.enumerated() where rules[..<i].contains(where: { Self.contradict($0, rule) }) {
        diagnostics.error(
          directive.place, "in this block one line leaves no meaning to the others",
          hint: "'nobody' and 'valid-user' stand alone where one line is enough")
        return nil
      }
      return .any(rules, source)
    }
    if rules.contains(where: { Self.isPlain($0, .nobody) }) && rules.contains(where: Self.asksWho) {
      diagnostics.error(
        directive.place, "this block asks for nobody in particular and for a user", hint: "leave out 'nobody', or what is about users")
      return nil
    }
    return .all(rules, source)
  }

  /// A term without its `not`.
  private func term(_ words: [Word], _ source: Requirement.Source, isNegated: Bool) -> Requirement.Rule? {
    let kinds = ["nobody", "valid-user", "user", "group", "from", "scope", "certificate"]
    let word = words[0]
    let arguments = Array(words.dropFirst())
    // Those that take a block or a term have been dealt with: they are named for who mistypes them.
    guard let kind = choice(word, (kinds + (isNegated ? [] : ["not", "all", "any"])).map { ($0, $0) }) else { return nil }
    let term: Requirement.Term
    switch kind {
    case "nobody", "valid-user":
      if let extra = arguments.first {
        diagnostics.error(extra.place, "'require \(kind)' takes no names")
        return nil
      }
      if isNegated {
        diagnostics.error(
          word.place, "'not \(kind)' would let no one in", hint: kind == "nobody" ? "to ask for a user, say: valid-user" : nil)
        return nil
      }
      term = kind == "nobody" ? .nobody : .validUser
    case "certificate":
      certificateWord = certificateWord ?? word
      if arguments.isEmpty {
        term = .certificate([])
      } else {
        guard let patterns = certificatePattern(arguments, needsValue: true) else { return nil }
        term = .certificate(patterns)
      }
    case "from":
      guard let ranges = networks(arguments, after: word) else { return nil }
      term = .from(ranges)
    default:
      guard let names = names(arguments, after: word) else { return nil }
      term = kind == "user" ? .users(names) : kind == "group" ? .groups(names) : .scope(names)
    }
    return .term(term, isNegated: isNegated, source)
  }

  private func names(_ words: [Word], after kind: Word) -> Set<[UInt8]>? {
    guard !words.isEmpty else {
      diagnostics.error(kind.place, "'require \(kind.text)' takes one \(kind.text == "scope" ? "word" : "name") at least")
      return nil
    }
    for word in words {
      let bytes = Array(word.text.utf8)
      let fault: StaticString? =
        switch kind.text {
        case "user": UserName.fault(bytes.span)
        case "group": UserName.groupFault(bytes.span)
        default: Self.scopeFault(bytes)
        }
      if let fault {
        wrong(word, kind.text == "scope" ? "can't be a word of a scope: \(fault)" : "can't be the name of a \(kind.text): \(fault)")
        return nil
      }
    }
    if kind.text == "user" { routeInHand?.users += words }
    if kind.text == "group" { routeInHand?.groups += words }
    return Set(words.map { Array($0.text.utf8) })
  }

  /// RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
  private static func scopeFault(_ word: [UInt8]) -> StaticString? {
    if word.isEmpty { return "it is empty" }
    return word.allSatisfy { $0 >= 0x21 && $0 <= 0x7E && $0 != 0x22 && $0 != 0x5C } ? nil : "it holds what RFC 6749 leaves out of them"
  }

  private func networks(_ words: [Word], after kind: Word) -> [AddressRange]? {
    guard !words.isEmpty else {
      diagnostics.error(kind.place, "'require from' takes one network at least", hint: "from 10.0.0.0/8")
      return nil
    }
    var ranges: [AddressRange] = []
    for word in words {
      do {
        ranges.append(try Network(parsing: word.text).range)
      } catch {
        guard case .badAddress(_, let why) = error else { return nil }
        wrong(word, "is no network: \(why)")
        return nil
      }
    }
    return ranges
  }

  // MARK: What is hardly meant

  /// Whether one of two lines, of which either is enough, leaves no meaning to the other: `nobody` to every other, `valid-user` to every
  /// other that is no block (a block may let in who is no user).
  private static func contradict(_ a: Requirement.Rule, _ b: Requirement.Rule) -> Bool {
    if isPlain(a, .nobody) || isPlain(b, .nobody) { return true }
    guard case .term(let first, _, _) = a, case .term(let second, _, _) = b else { return false }
    // A certificate lets in who is no user.
    if case .certificate = first { return false }
    if case .certificate = second { return false }
    return isPlain(a, .validUser) || isPlain(b, .validUser)
  }

  private static func isPlain(_ rule: Requirement.Rule, _ term: Requirement.Term) -> Bool {
    if case .term(term, isNegated: false, _) = rule { return true }
    return false
  }

  private static func asksWho(_ rule: Requirement.Rule) -> Bool {
    if case .term(let term, _, _) = rule { return term.asksWho }
    return false
  }

  /// `require user alice` and `require not group guests` let in everybody but guests, and alice: each line is enough by itself.
  private func warnOfBroadLines(_ draft: RouteDraft) {
    guard draft.rules.count > 1 else { return }
    for (rule, place) in zip(draft.rules, draft.rulePlaces) {
      guard case .term(let term, let isNegated, _) = rule else { continue }
      var isFrom = false
      if case .from = term { isFrom = true }
      guard isNegated || isFrom else { continue }
      diagnostics.warning(
        place, "this line is enough by itself: it lets in every user \(isFrom ? "from there" : "but those")",
        hint: "to ask for more than one thing: require all { … }")
    }
  }

  /// A network in which somebody passes without a password, and a proxy stands: all that comes through it without an address counts as from there.
  private func warnOfPublicProxies(_ draft: RouteDraft) {
    for (rule, place) in zip(draft.rules, draft.rulePlaces) where Requirement(oneOf: [rule])?.mentionsNobody == true {
      publicNetworks.append(contentsOf: Self.ranges(in: rule).map { ($0, place) })
    }
  }

  private static func ranges(in rule: Requirement.Rule) -> [AddressRange] {
    switch rule {
    case .term(.from(let ranges), isNegated: false, _): ranges
    case .term: []
    case .all(let rules, _), .any(let rules, _): rules.flatMap(ranges)
    }
  }
}
