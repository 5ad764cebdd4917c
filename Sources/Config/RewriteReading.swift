// The directives of RewriteRows, word by word, and what can be judged of them only when the whole was read.

import HTTP
import Primitives
import Proxy

/// What a route changes, with its words for complaints.
struct RewritingDraft {
  /// Of `strip_prefix`, `add_prefix`, `rewrite`.
  var pathWords: [Word] = []
  var edits: [(name: Word, value: Word?, template: FieldTemplate?, isRequest: Bool)] = []
  var cookieAttributes: Set<String> = []
}

extension Reading {
  // MARK: Paths

  func stripPrefix(_ directive: Directive) {
    let word = directive.arguments[0]
    guard word.text != "off" || word.isQuoted else { return }
    routeInHand?.rewritingWords.pathWords.append(directive.name)
    guard let route = routeInHand?.path, !route.isBroken else { return }
    if word.text == "on" && !word.isQuoted {
      routeInHand?.rewriting.stripped = Self.prefix(route.text)
      return
    }
    guard let prefix = writtenPrefix(word, "'on', 'off' or a path") else { return }
    let path = Array(route.text.utf8)
    guard prefix.isEmpty || PathPrefix.covers(prefix.span, isExact: false, path.span) else {
      return wrong(word, "is not what the route's paths begin with", hint: "the route's own path is '\(route.text)': strip_prefix on takes all of it away")
    }
    routeInHand?.rewriting.stripped = prefix
  }

  func addPrefix(_ directive: Directive) {
    routeInHand?.rewritingWords.pathWords.append(directive.name)
    guard let prefix = writtenPrefix(directive.arguments[0], "a path") else { return }
    routeInHand?.rewriting.added = prefix
  }

  private func writtenPrefix(_ word: Word, _ choices: String) -> [UInt8]? {
    guard word.text.utf8.first == 0x2F else {
      wrong(word, "is not \(choices)", hint: "a path begins with '/'")
      return nil
    }
    guard checkCanonical(word, isRaw: false) else { return nil }
    guard !word.text.hasPrefix("//") else {
      wrong(word, "begins with two slashes, which could be read as a host")
      return nil
    }
    return Self.prefix(word.text)
  }

  /// Without the closing slash, and so nothing for the root.
  private static func prefix(_ path: String) -> [UInt8] { Array((path.hasSuffix("/") ? String(path.dropLast()) : path).utf8) }

  func rewrite(_ directive: Directive) {
    guard hasNoBlock(directive, "a pattern or replacement with braces stands in quotes: \"^/[0-9]{4}/(.*)$\"") else { return }
    guard directive.arguments.count == 2 else { return diagnostics.error(directive.place, "'rewrite' lacks the replacement", hint: "rewrite ^/old/(.*)$ /new/$1") }
    routeInHand?.rewritingWords.pathWords.append(directive.name)
    let (pattern, replacement) = (directive.arguments[0], directive.arguments[1])
    guard routeInHand.map({ $0.rewriting.rewrites.count < 64 }) == true else {
      return diagnostics.error(directive.place, "a route has at most 64 rewrites")
    }
    do throws(PathRewrite.Fault) {
      let rule = try PathRewrite(pattern: Array(pattern.text.utf8), replacement: Array(replacement.text.utf8))
      routeInHand?.rewriting.rewrites.append(rule)
    } catch {
      if error.isOfPattern { wrong(pattern, "is no pattern: it \(error.reason)") } else { wrong(replacement, "is no replacement: it \(error.reason)") }
    }
  }

  func hostPolicy(_ directive: Directive) {
    let word = directive.arguments[0]
    switch word.text {
    case "keep" where !word.isQuoted: return
    case "upstream" where !word.isQuoted: routeInHand?.rewriting.host = .upstream
    default:
      let name = Array(word.text.utf8)
      guard Authority.isValid(name.span) else { return wrong(word, "is no host", hint: "keep, upstream, or a name such as app.internal:8080") }
      routeInHand?.rewriting.host = .name(name)
    }
  }

  /// A `{` outside quotes begins a block.
  private func hasNoBlock(_ directive: Directive, _ hint: String) -> Bool {
    guard let block = directive.block else { return true }
    diagnostics.error(block.place, "'\(directive.name.text)' takes no block", hint: hint)
    return false
  }

  // MARK: Fields

  func fieldEdit(_ directive: Directive, isRequest: Bool) {
    guard hasNoBlock(directive, "a value with variables stands in quotes: \"{user}\"") else { return }
    guard let kind = choice(directive.arguments[0], [("set", 0), ("add", 1), ("remove", 2)]) else { return }
    let name = directive.arguments[1]
    let bytes = Array(name.text.utf8)
    guard !bytes.isEmpty, bytes.count <= 128, bytes.allSatisfy(ASCII.isToken) else { return wrong(name, "is no name of a header") }
    let value = directive.arguments.count == 3 ? directive.arguments[2] : nil
    let action: FieldEdit.Action
    if kind == 2 {
      if let value { return diagnostics.error(value.place, "'remove' takes no value") }
      action = .remove
    } else {
      guard let value else { return diagnostics.error(directive.place, "'\(directive.arguments[0].text)' takes the value") }
      guard let template = template(value) else { return }
      action = kind == 0 ? .set(template) : .add(template)
      routeInHand?.rewritingWords.edits.append((name, value, template, isRequest))
    }
    if kind == 2 { routeInHand?.rewritingWords.edits.append((name, nil, nil, isRequest)) }
    let edit = FieldEdit(name: bytes, action: action)
    let earlier = (isRequest ? routeInHand?.rewriting.requestFields : routeInHand?.rewriting.responseFields) ?? []
    if kind != 1, earlier.contains(where: { FieldName.areAliases($0.name.span, bytes.span) && $0.action != edit.action || $0 == edit }) {
      return diagnostics.error(name.place, "'\(name.text)' is set or removed here already", hint: "'add' is for a second one, behind 'set'")
    }
    guard earlier.count < 64 else { return diagnostics.error(directive.place, "a route changes at most 64 headers each way") }
    if isRequest { routeInHand?.rewriting.requestFields.append(edit) } else { routeInHand?.rewriting.responseFields.append(edit) }
  }

  private func template(_ word: Word) -> FieldTemplate? {
    do throws(FieldTemplate.Fault) {
      return try FieldTemplate(Array(word.text.utf8))
    } catch {
      // What stands in the file may be said; what a variable of the environment holds may be a secret.
      let unknown = error.unknown.flatMap { word.written.contains("{\($0)}") && !word.written.contains("${\($0)}") ? $0 : nil }
      let nearest = unknown.flatMap { Nearest.name(to: $0, among: FieldTemplate.names + ["header.NAME"]) }
      let known = "there are: " + FieldTemplate.names.joined(separator: ", ") + ", header.NAME"
      let hint = error.unknown == nil ? nil : nearest.map { "did you mean {\($0)}?" } ?? known
      diagnostics.error(word.place, "the value \(error.reason)" + (unknown.map { ": {\($0)}" } ?? ""), hint: hint)
      return nil
    }
  }

  // MARK: Cookies

  func cookieRule(_ directive: Directive) {
    let (attribute, value) = (directive.arguments[0], directive.arguments[1])
    let names = ["domain", "path", "secure", "http_only", "same_site"].map { ($0, $0) }
    guard let name = choice(attribute, names) else { return }
    if routeInHand?.rewritingWords.cookieAttributes.insert(name).inserted == false {
      return diagnostics.error(attribute.place, "'cookie \(name)' stands twice here")
    }
    switch name {
    case "domain":
      if value.text == "remove" && !value.isQuoted {
        routeInHand?.rewriting.cookies.domain = .remove
      } else if Self.isHostName(value.text) {
        routeInHand?.rewriting.cookies.domain = .replace(Array(value.text.lowercased().utf8))
      } else {
        wrong(value, "is neither 'remove' nor a host name")
      }
    case "path":
      let path = Array(value.text.utf8)
      // RFC 6265 section 4.1.1: any character but controls and ';'.
      guard path.first == 0x2F, path.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3B }) else { return wrong(value, "is no path of a cookie") }
      routeInHand?.rewriting.cookies.path = path
    case "same_site":
      let choices: [(String, CookieRules.SameSite)] = [("lax", .lax), ("strict", .strict), ("none", CookieRules.SameSite.none)]
      guard let found = choice(value, choices) else { return }
      routeInHand?.rewriting.cookies.sameSite = found
    default:
      guard value.text == "on" else { return wrong(value, "is not 'on'", hint: "what a service says of its cookies is never taken back, only added to") }
      if name == "secure" { routeInHand?.rewriting.cookies.isSecure = true } else { routeInHand?.rewriting.cookies.isHTTPOnly = true }
    }
  }

  // MARK: The whole

  /// What stands wrong within one route.
  func checkRewriting(_ draft: RouteDraft) {
    if draft.isRaw, let word = draft.rewritingWords.pathWords.first {
      diagnostics.error(word.place, "'\(word.text)' changes paths, and 'path raw' forwards them byte for byte", hint: "leave one of them out")
    }
    if draft.rewriting.cookies.sameSite == CookieRules.SameSite.none && !draft.rewriting.cookies.isSecure {
      diagnostics.warning(draft.place, "browsers refuse cookies with SameSite=None that are not Secure", hint: "cookie secure on")
    }
  }

  /// Fields that have owners, some of which the rest of the file names.
  func checkRewrittenFields() {
    for route in routes {
      for edit in route.rewritingWords.edits {
        let name = Array(edit.name.text.utf8)
        let objection =
          edit.isRequest
          ? FieldOwners.objection(toRequestField: name, edit.template, settings) : FieldOwners.objection(toResponseField: name)
        if let objection { diagnostics.error(edit.name.place, "'\(edit.name.text)' can't be changed by hand", hint: objection) }
        for header in edit.template?.headers ?? [] {
          guard let word = edit.value, let objection = FieldOwners.objection(toReading: header, settings) else { continue }
          diagnostics.error(word.place, "{header.\(String(decoding: header, as: UTF8.self))} can't be sent on", hint: objection)
        }
      }
    }
  }
}
