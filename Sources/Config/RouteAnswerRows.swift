// What a route answers without an upstream, when it is closed for maintenance, and the pages of our own answers. What is asked of who may is `RequireRows`'.

import Primitives
import Proxy

extension Table {
  static let routeAnswerRows: [Row] = [
    Row(
      "respond", in: .route, takes: "STATUS [\"TEXT\"|file FILE] [type TYPE]", 1...5, elsewhere: ["return"],
      doc: "What every request is answered with instead of by an upstream: this status, and a text or a file, which is read at the start and by reload."
    ) { reading, directive in reading.respond(directive) },
    Row(
      "redirect", in: .route, takes: "[301|302|303|307|308] URL", 1...2, elsewhere: ["rewrite", "redir", "Redirect"],
      doc:
        "Where every request is sent instead of to an upstream (302 if no status is named), with `{host}`, `{path}` and `{query}` of the request (in quotes), "
        + "of which none can make it another host than the one that is written."
    ) { reading, directive in reading.redirectElsewhere(directive) },
    Row(
      "root", in: .route, takes: "FOLDER", 1...1, elsewhere: ["alias", "file_server", "DocumentRoot"],
      doc:
        "The folder whose files are served instead of an upstream's answers, found by the request's whole path; `index.html` stands for a folder, "
        + "and names that begin with a dot are not served."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken, let path = reading.path(word) else { return }
      if let failure = Disk.whyNoFolder(path) { return reading.wrong(word, "can't be served: \(failure.reason)") }
      if path == "/" { return reading.wrong(word, "is the whole machine: name a folder of files that anybody may have") }
      reading.routeInHand?.terms.answer = .root(folder: path)
    },
    Row(
      "maintenance", in: .top, .route, takes: "FILE [PAGE]|off", 1...2, standard: "off",
      doc: "While FILE is there, requests that may pass get 503 with `Retry-After`, and PAGE (HTML) if one is named; it is looked for once a second."
    ) { reading, directive in reading.maintenance(directive) },
    Row(
      "error_page", in: .top, takes: "STATUS… FILE", 2...32, isRepeatable: true, elsewhere: ["errorfile", "handle_errors", "ErrorDocument"],
      doc:
        "HTML for answers of Gatehouse's own with these statuses (400 to 599; `5xx` is all of 500 to 599 that have none), read at the start and by reload; "
        + "who asks for JSON gets that."
    ) { reading, directive in reading.errorPage(directive) },
  ]
}

extension Reading {
  /// The directives of which a route has one.
  private static let answers = ["upstream", "respond", "redirect", "root"]

  /// Whether the route answers by itself, well or badly written. Complains where it has several answers, or what has no meaning beside them.
  func isAnswered(_ draft: RouteDraft) -> Bool {
    let names = Self.answers.filter(draft.names.contains)
    if names.count > 1 {
      diagnostics.error(draft.place, "this route has \(names.count) answers: '\(names.joined(separator: "', '"))'", hint: "leave one")
    }
    if draft.isRaw, case .root? = draft.terms.answer {
      diagnostics.error(draft.place, "'path raw' is for upstreams: the names of files are found by the path in the form in which it was judged")
    }
    return names.contains { $0 != "upstream" }
  }

  /// What of the top level holds for the route.
  func finishTerms(_ draft: RouteDraft) -> RouteTerms {
    var terms = draft.terms
    if !draft.names.contains("maintenance") { terms.maintenance = maintenance }
    return terms
  }

  func checkTerms(_ draft: RouteDraft) {
    if draft.terms.bandwidth != nil && draft.terms.buffer != nil {
      diagnostics.error(draft.place, "'bandwidth' and 'buffer' exclude each other: what is sent slowly is taken as slowly from the upstream")
    }
  }

  func finishErrorPages() {
    guard let page = pageOfServerErrors else { return }
    for status in 500...599 where settings.errorPages[status] == nil { settings.errorPages[status] = page }
  }

  /// The bytes of a page, which is small: it is held in memory.
  private func page(_ word: Word) -> [UInt8]? {
    guard !word.isBroken, let path = path(word) else { return nil }
    do {
      return try Disk.read(path, limit: FixedAnswer.mostBytes)
    } catch {
      wrong(word, "can't be read: \(error.reason)")
      return nil
    }
  }

  func respond(_ directive: Directive) {
    let words = directive.arguments
    guard let status = count(words[0], 200...599) else { return }
    guard !(300...399).contains(status), ![205, 206, 401, 405, 407, 416].contains(status) else {
      return wrong(
        words[0], "needs more than a text",
        hint: (300...399).contains(status) ? "redirect \(status) URL" : "choose another status, such as 200, 403, 404, 410 or 503")
    }
    var rest = words[1...]
    var content: [UInt8] = []
    var type: [UInt8]?
    if let word = rest.first, word.isQuoted || word.text != "type" {
      rest.removeFirst()
      if !word.isQuoted && word.text == "file" {
        guard let file = rest.popFirst() else { return diagnostics.error(word.place, "'file' takes the file to answer with") }
        guard let bytes = page(file) else { return }
        content = bytes
        type = Array("\(FileNames.type(Array(file.text.utf8)))".utf8)
      } else {
        content = Array(word.text.utf8)
        if content.count > FixedAnswer.mostBytes { return wrong(word, "is too long an answer") }
      }
      if status == 204 { return wrong(words[0], "has no content") }
    }
    if let word = rest.popFirst() {
      guard !word.isQuoted, word.text == "type", let value = rest.popFirst() else {
        return wrong(word, "means nothing here", hint: "respond STATUS [\"TEXT\"|file FILE] [type TYPE]")
      }
      let bytes = Array(value.text.utf8)
      guard bytes.contains(0x2F), bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
        return wrong(value, "is no media type", hint: "such as text/html or application/json")
      }
      type = bytes
    }
    if let word = rest.first { return wrong(word, "means nothing here") }
    let answer = FixedAnswer(status: status, type: type ?? Array("text/plain; charset=utf-8".utf8), content: content)
    routeInHand?.terms.answer = .respond(answer)
  }

  func redirectElsewhere(_ directive: Directive) {
    var status = 302
    if directive.arguments.count == 2 {
      let choices = RedirectTemplate.statuses.map { ("\($0)", $0) }
      guard let chosen = choice(directive.arguments[0], choices) else { return }
      status = chosen
    }
    let word = directive.arguments[directive.arguments.count - 1]
    if word.isBroken { return }
    do {
      routeInHand?.terms.answer = .redirect(try RedirectTemplate(status: status, word.text))
    } catch {
      wrong(word, error.reason)
    }
  }

  func maintenance(_ directive: Directive) {
    let word = directive.arguments[0]
    var options: MaintenanceOptions?
    if word.isQuoted || word.text != "off" {
      guard !word.isBroken, let path = path(word) else { return }
      options = MaintenanceOptions(path: path)
      if directive.arguments.count == 2 {
        guard let page = page(directive.arguments[1]) else { return }
        options?.page = page
      }
    } else if directive.arguments.count == 2 {
      return wrong(directive.arguments[1], "means nothing behind 'off'")
    }
    if routeInHand != nil { routeInHand?.terms.maintenance = options } else { maintenance = options }
  }

  func errorPage(_ directive: Directive) {
    guard let file = directive.arguments.last else { return }
    let page = page(file)
    for word in directive.arguments.dropLast() where !word.isBroken {
      if word.text == "5xx" {
        if pageOfServerErrors != nil { wrong(word, "has a page already") }
        pageOfServerErrors = page ?? []
        continue
      }
      guard let status = count(word, 400...599) else { continue }
      if settings.errorPages[status] != nil { wrong(word, "has a page already") }
      settings.errorPages[status] = page ?? []
    }
  }
}
