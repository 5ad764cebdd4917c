// `tokens { … }`: signed tokens of our own making.

import Auth
import HTTP
import Net
import Primitives
import Proxy

extension Table {
  static let tokenRows: [Row] = [
    Row(
      "tokens", in: .top, takes: "", 0...0, block: .required,
      doc: "Gives out signed tokens that stand for a user's name and password for a while, and accepts them (docs/TOKENS.md)."
    ) { reading, directive in reading.tokens(directive) },
    Row(
      "keys", in: .tokens, takes: "FILE", 1...1,
      doc: "The keys that tokens are signed with, made at the first start, and read again whenever they change; "
        + "revocations stand beside it in `FILE.revoked`."
    ) { reading, directive in
      let word = directive.arguments[0]
      guard !word.isBroken, let path = reading.path(word) else { return }
      reading.tokensInHand?.options.keysPath = path
      reading.tokensInHand?.keys = word
    },
    Row(
      "lifetime", in: .tokens, takes: "DURATION", 1...1, standard: "10m",
      doc: "How long a token is good for when its user asked for nothing else."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(1)...TokenOptions.longestOfAll)
        .map { reading.tokensInHand?.options.lifetime = $0 }
    },
    Row(
      "longest_lifetime", in: .tokens, takes: "DURATION", 1...1, standard: "24h",
      doc: "The longest that a user may ask for."
    ) { reading, directive in
      reading.duration(directive.arguments[0], .seconds(1)...TokenOptions.longestOfAll)
        .map { reading.tokensInHand?.options.longestLifetime = $0 }
    },
    Row(
      "renew_within", in: .tokens, takes: "DURATION|never", 1...1, standard: "never",
      doc: "How long after the password was given a token may be exchanged for another, which then ends when this time does."
    ) { reading, directive in
      reading.duration(
        directive.arguments[0], Interval(nanoseconds: 0)...TokenOptions.longestOfAll, orWord: "never", is: Interval(nanoseconds: 0)
      ).map { reading.tokensInHand?.options.renewWithin = $0 }
    },
    Row(
      "endpoint", in: .tokens, takes: "PATH|off", 1...1, standard: "/api/token",
      doc: "Where clients get tokens for their name and password, and revoke them."
    ) { reading, directive in reading.tokenEndpoint(directive.arguments[0]) },
    Row(
      "ticket_parameter", in: .tokens, takes: "NAME|off", 1...1, standard: "ticket",
      doc: "The query parameter in which a ticket (`gatehouse token issue --ticket`) may come; taken out of what is forwarded and logged."
    ) { reading, directive in
      let word = directive.arguments[0]
      if word.text == "off" && !word.isQuoted {
        reading.tokensInHand?.options.ticketParameter = nil
        return
      }
      let name = Array(word.text.utf8)
      guard (1...64).contains(name.count), name.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || [0x2D, 0x2E, 0x5F].contains($0) })
      else { return reading.wrong(word, "is no name of a parameter: 1 to 64 letters, digits, and - . _") }
      reading.tokensInHand?.options.ticketParameter = name
    },
  ]
}

/// A `tokens` block that is being read, or was.
struct TokensDraft {
  var place: SourceRange
  var options = TokenOptions(keysPath: "")
  /// Nil when the one that was written can't be used.
  var keys: Word?
  var endpoint: Word?
  /// Which directives stand in its block, usable or not.
  var names: Set<String> = []
}

extension Reading {
  func tokens(_ directive: Directive) {
    tokensInHand = TokensDraft(place: directive.place)
    let names = directive.block.map { read($0, in: .tokens) } ?? []
    tokensInHand?.names = names
  }

  func tokenEndpoint(_ word: Word) {
    if word.text == "off" && !word.isQuoted {
      tokensInHand?.options.endpoint = nil
      return
    }
    let written = Array(word.text.utf8)
    var canonical = ByteBuffer()
    guard written.first == 0x2F, !written.contains(where: { $0 == 0x3F || $0 == 0x23 }),
      CanonicalPath.canonicalize(written.span, into: &canonical, raw: false) == nil, canonical.array() == written,
      !PathPrefix.hasSecondReading(written.span)
    else { return wrong(word, "is no path in canonical form", hint: "write it as in /api/token, or 'off'") }
    tokensInHand?.options.endpoint = written
    tokensInHand?.endpoint = word
  }

  /// Judges the block and completes `settings`. Answers the keys as they are now, if there is a file that can be used.
  func finishTokens() -> TokenKeys? {
    guard let draft = tokensInHand else { return nil }
    let options = draft.options
    if !draft.names.contains("keys") {
      diagnostics.error(draft.place, "there are tokens, and no file for their keys", hint: "keys token.keys; it is made at the first start")
    }
    if options.longestLifetime < options.lifetime {
      diagnostics.error(draft.place, "a token's lifetime (\(Value.text(options.lifetime))) is longer than longest_lifetime allows")
    }
    if options.renewWithin.nanoseconds > 0 && options.renewWithin < options.lifetime {
      diagnostics.error(
        draft.place, "renew_within is shorter than the lifetime of a token (\(Value.text(options.lifetime))): none could be renewed",
        hint: "a longer time, or 'never'")
    }
    checkEndpoint(draft)
    guard let keys = draft.keys else { return nil }
    settings.tokens = options
    return readKeys(keys, options)
  }

  /// A route for the very path of the endpoint would never be asked.
  private func checkEndpoint(_ draft: TokensDraft) {
    guard let endpoint = draft.options.endpoint else { return }
    for route in routes where route.isExact && route.path.map({ Array($0.text.utf8) == endpoint }) == true {
      diagnostics.error(
        draft.endpoint?.place ?? draft.place, "tokens are given out at \(String(decoding: endpoint, as: UTF8.self)), which is a route too",
        hint: "another path for one of them, or endpoint off; the route is at \(route.place.shortText)")
    }
  }

  private func readKeys(_ word: Word, _ options: TokenOptions) -> TokenKeys? {
    let path = options.keysPath
    let attributes: FileStatus
    do {
      attributes = try Disk.attributes(path)
    } catch {
      guard error == .missing else {
        wrong(word, "can't be read: \(error.reason)")
        return nil
      }
      if let folder = Disk.whyNoFolder(Path.folder(of: path)) {
        wrong(word, "can't be made: \(folder.reason)")
      } else if !Disk.isWritable(path) {
        diagnostics.warning(
          word.place, "there is no such file, and this user can't make it", hint: "as one who can: gatehouse token keys rotate")
      }
      return nil
    }
    if attributes.permissions & 0o007 != 0 {
      wrong(word, "is open to everybody on this machine, and whoever has a key can be any user", hint: "chmod 600 \(word.written)")
      return nil
    }
    do {
      let keys = try TokenKeys(parsing: try Disk.read(path, limit: 1 << 20))
      if Disk.exists(options.revokedPath) { _ = try RevocationFile(path: options.revokedPath).read() }
      return keys
    } catch let error as Disk.Failure {
      wrong(word, "can't be read: \(error.reason)")
    } catch let error as TokenKeysFault {
      wrong(word, "can't be used: \(error)")
    } catch {
      diagnostics.error(word.place, "the revocations in \(options.revokedPath) can't be used: \(error)")
    }
    return nil
  }
}
