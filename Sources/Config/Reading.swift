// From the tree to settings: looks each directive up in the table, refuses what stands wrong, and lets the row do the rest.

import Auth
import Net
import Primitives
import Proxy
import Upstream

/// One reading of a config, from the first directive to the last. Rows write into it; `Checks` judges the whole afterwards.
final class Reading {
  var diagnostics: Diagnostics
  var settings = Settings()
  /// The files of users and groups, as they were judged.
  var atHand = FilesAtHand()

  // What has to be kept with its place until everything was read.
  var listeners: [(settings: ListenerSettings, word: Word)] = []
  var hasListen = false
  var proxyProtocolWords: [Word] = []
  var asksForCertificates = false
  /// The first `certificate` of a rule.
  var certificateWord: Word?
  var usersWord: Word?
  var groupsWord: Word?
  var forwardAuthWord: Word?
  var jwksWord: Word?
  /// Networks of routes that may let somebody in without a password.
  var publicNetworks: [(range: AddressRange, place: SourceRange)] = []
  /// What holds for routes that don't say otherwise.
  var passesPreflights = false
  var maintenance: MaintenanceOptions?
  var pageOfServerErrors: [UInt8]?
  var upstreams: [UpstreamDraft] = []
  var routes: [RouteDraft] = []
  var issuers: [IssuerDraft] = []
  /// Where each directive of the top level stands, for complaints about several together.
  var topPlaces: [String: SourceRange] = [:]
  /// Directives that were found in a block that is never closed and can't have been meant for it.
  private var strays: [Directive] = []

  /// The block whose directives are being read.
  var listenerInHand: ListenerSettings?
  var clientCertificatesInHand: ClientCertificatesDraft?
  /// Nil in a listener without.
  var tlsInHand: TLSDraft?
  /// What stands in them, by their listener's address.
  var certificates: [String: [TLSCertificate]] = [:]
  var upstreamInHand: UpstreamDraft?
  var loginInHand: LoginDraft?
  var assertionInHand: AssertionDraft?
  var routeInHand: RouteDraft?
  var issuerInHand: IssuerDraft?
  /// Kept: there is one at most.
  var tokensInHand: TokensDraft?
  /// The 'register' block: its place, and words that are judged at the end.
  var registration: RegistrationDraft?
  /// The rules of each block of `require` that is being read, outermost first.
  var rulesInHand: [[Requirement.Rule]] = []

  init(diagnostics: Diagnostics) {
    self.diagnostics = diagnostics
  }

  func readTop(_ directives: [Directive]) {
    var pending = directives
    while !pending.isEmpty {
      for directive in pending { read(directive, in: .top, &topPlaces) }
      pending = strays
      strays = []
    }
  }

  /// Answers which directives stand in it, well or badly written.
  @discardableResult
  func read(_ block: Block, in place: Place) -> Set<String> {
    var seen: [String: SourceRange] = [:]
    for directive in block.directives {
      if !block.isClosed && Self.belongsOutside(directive, of: place) {
        strays.append(directive)
      } else {
        read(directive, in: place, &seen)
      }
    }
    return Set(seen.keys)
  }

  /// Of a block that is never closed: whether `directive` was meant to stand at the top level, after the missing brace.
  private static func belongsOutside(_ directive: Directive, of place: Place) -> Bool {
    guard let top = Table.row(directive.name.text, in: .top) else { return false }
    guard let here = Table.row(directive.name.text, in: place) else { return true }
    return top.block == .required && here.block == .none && directive.block != nil
  }

  private func read(_ directive: Directive, in place: Place, _ seen: inout [String: SourceRange]) {
    let name = directive.name
    if name.isBroken { return }
    guard let row = Table.row(name.text, in: place) else { return complainUnknown(directive, in: place) }
    if !row.isRepeatable, let first = seen[row.name] {
      return diagnostics.error(name.place, "'\(row.name)' stands twice here", hint: "first at \(first.shortText)")
    }
    seen[row.name] = name.place
    // A broken word was complained about; a block is read all the same, for what is wrong inside it.
    if directive.isBroken {
      if row.block == .required && directive.block != nil { row.apply(self, directive) }
      return
    }
    guard row.count.contains(directive.arguments.count) else { return wrongArguments(directive, row) }
    switch (row.block, directive.block) {
    case (.required, nil):
      return diagnostics.error(directive.place, "'\(row.name)' needs a block", hint: row.synopsis)
    case (.none, let block?):
      return diagnostics.error(block.place, "'\(row.name)' takes no block", hint: "is a ';' or a line end missing before it?")
    default:
      row.apply(self, directive)
    }
  }

  // MARK: Wrong directives

  private func wrongArguments(_ directive: Directive, _ row: Row) {
    let most = row.count.upperBound
    if directive.arguments.count > most {
      let message = most == 0 ? "'\(row.name)' takes no arguments" : "an argument too many for '\(row.name)'"
      diagnostics.error(directive.arguments[most].place, message, hint: row.synopsis)
    } else {
      diagnostics.error(
        directive.place, "'\(row.name)' lacks \(directive.arguments.isEmpty ? "its argument" : "an argument")", hint: row.synopsis)
    }
  }

  private func complainUnknown(_ directive: Directive, in place: Place) {
    let name = directive.name
    if place == .top && name.text == "server" && directive.block != nil {
      return diagnostics.error(
        name.place, "there is no 'server' block", hint: "'listen', 'users' and the rest stand at the top level, 'location' is called 'route'")
    }
    let elsewhere = Table.rows.filter { $0.name == name.text }.flatMap(\.places)
    if !elsewhere.isEmpty {
      return diagnostics.error(
        name.place, "'\(name.text)' can't stand \(place.phrase)", hint: "it belongs " + elsewhere.map(\.phrase).joined(separator: " or "))
    }
    diagnostics.error(name.place, "unknown directive '\(name.text)'", hint: Self.hint(for: name.text, in: place))
  }

  private static func hint(for name: String, in place: Place) -> String? {
    let here = Table.rows.filter { $0.places.contains(place) }
    if let known = Nearest.name(to: name, among: here.map(\.name)) { return "did you mean '\(known)'?" }
    let order = here + Table.rows.filter { !$0.places.contains(place) }
    if let row = order.first(where: { $0.elsewhere.contains(name) }) {
      return "here it is called '\(row.name)'" + (row.places.contains(place) ? "" : ", \(row.places[0].phrase)")
    }
    guard let known = Nearest.name(to: name, among: order.map(\.name)), let row = order.first(where: { $0.name == known }) else {
      return nil
    }
    return "did you mean '\(known)', \(row.places[0].phrase)?"
  }
}
