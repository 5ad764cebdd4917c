// `authenticate negotiate { … }`: as whom Gatehouse logs in by Kerberos, and to whom.

import Login
import Primitives

extension Table {
  static let kerberosRows: [Row] = [
    Row(
      "keytab", in: .login, takes: "FILE", 1...1, elsewhere: ["krb5_keytab", "GssapiCredStore"],
      doc: "The keytab that holds the key which `negotiate` logs in with, read again at a reload."
    ) { reading, directive in reading.loginInHand?.kerberos.keytab = directive.arguments[0] },
    Row(
      "principal", in: .login, takes: "NAME", 1...1,
      doc: "Who Gatehouse is in Kerberos, as `gateway@EXAMPLE.COM`; whom the keytab has keys of without it, if that is one alone."
    ) { reading, directive in
      reading.loginInHand?.username = directive.arguments[0]
      reading.loginInHand?.kerberos.principal = directive.arguments[0]
    },
    Row(
      "service_principal", in: .login, takes: "NAME", 1...1,
      doc: "Who the service is in Kerberos, as `HTTP/legacy.example.com@EXAMPLE.COM`; `HTTP` at the server's host without it, as the Kerberos configuration has that."
    ) { reading, directive in reading.loginInHand?.kerberos.service = directive.arguments[0] },
  ]
}

/// What stands about Kerberos in an `authenticate` that is being read.
struct KerberosDraft {
  var keytab: Word?
  var principal: Word?
  var service: Word?

  var words: [Word] { [keytab, principal, service].compactMap(\.self) }
}

extension Reading {
  /// Reads the keytab, once the upstream's servers are known.
  ///
  /// - Parameter hosts: of the servers; nil for a Unix socket.
  func finishKerberos(_ draft: LoginDraft, hosts: [String?]) -> UpstreamLogin? {
    var isWhole = true
    func refuse(_ place: SourceRange, _ words: String, hint: String?) {
      diagnostics.error(place, words, hint: hint)
      isWhole = false
    }
    for source in draft.secrets { refuse(source.word.place, "'\(source.name)' is not for 'authenticate negotiate'", hint: "keytab FILE") }
    if draft.hasUsername, let name = draft.username { refuse(name.place, "'authenticate negotiate' has no 'username'", hint: "principal NAME") }
    if let accounts = draft.accounts { refuse(accounts.place, "a keytab is Gatehouse's, not its users': 'accounts' can't stand beside it", hint: nil) }
    guard let word = draft.kerberos.keytab else {
      refuse(draft.word.place, "there is no key to log in with", hint: "keytab FILE")
      return nil
    }
    guard let target = service(draft, hosts), let bytes = secretFile(word, "key"), let path = path(word) else { return nil }
    let known: [String]
    do {
      known = try Keytab.principals(bytes.span)
    } catch {
      wrong(word, "can't be used: it \(error.reason)")
      return nil
    }
    guard let principal = principal(draft, word, among: known), isWhole else { return nil }
    let login = KerberosLogin(keytab: path, digest: Keytab.digest(bytes.span), service: target.name, isHostBased: target.isHostBased)
    do {
      let account = try Account(.negotiate(login), name: Array(principal.utf8), secret: Secret(copying: login.digest.span))
      return UpstreamLogin(
        account.scheme, shared: account, accounts: nil, sharesWithOthers: false, sharesWithNobody: draft.sharesWithNobody, sources: path)
    } catch {
      wrong(word, error.reason)
      return nil
    }
  }

  private func service(_ draft: LoginDraft, _ hosts: [String?]) -> (name: String, isHostBased: Bool)? {
    if let word = draft.kerberos.service {
      let parts = word.text.split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty, word.text.utf8.count <= 255,
        word.text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x5C }), word.text.split(separator: "@", omittingEmptySubsequences: false).count <= 2
      else {
        wrong(word, "is no principal of a service", hint: "service_principal HTTP/legacy.example.com@EXAMPLE.COM")
        return nil
      }
      return (word.text, false)
    }
    guard let first = hosts.first, let host = first, hosts.allSatisfy({ $0 == host }) else {
      diagnostics.error(
        draft.word.place, hosts.count > 1 ? "the servers have no one principal" : "a Unix socket has no host to make a principal of",
        hint: "service_principal HTTP/legacy.example.com@EXAMPLE.COM")
      return nil
    }
    return ("HTTP@\(host)", true)
  }

  private func principal(_ draft: LoginDraft, _ keytab: Word, among known: [String]) -> String? {
    guard let word = draft.kerberos.principal else {
      if known.count == 1 { return known[0] }
      wrong(keytab, known.isEmpty ? "holds no key" : "has keys of \(known.joined(separator: ", "))", hint: known.isEmpty ? nil : "principal \(known[0])")
      return nil
    }
    // Without a realm: that of the key.
    let same = known.filter { $0 == word.text || $0.prefix { $0 != "@" } == word.text }
    if same.count == 1 { return same[0] }
    wrong(word, same.isEmpty ? "has no key in the keytab, which has those of \(known.joined(separator: ", "))" : "is in several realms: \(same.joined(separator: ", "))")
    return nil
  }
}
