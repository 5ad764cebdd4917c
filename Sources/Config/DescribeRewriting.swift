// What `check` says of a route's rewriting. Names of fields, never their values, which may be secrets.

import HTTP
import Proxy

extension Description {
  func rewriting(_ rules: RouteRewriting) -> [String] {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    var notes: [String] = []
    if !rules.stripped.isEmpty { notes.append("without \(text(rules.stripped))") }
    if !rules.rewrites.isEmpty { notes.append(counted(rules.rewrites.count, "rewrite")) }
    if !rules.added.isEmpty { notes.append("beneath \(text(rules.added))") }
    switch rules.host {
    case .keep: break
    case .upstream: notes.append("host of the server")
    case .name(let name): notes.append("host \(text(name))")
    }
    if !rules.mapsReferences { notes.append("locations as they come") }
    let changed = rules.requestFields.map { text($0.name) }
    if !changed.isEmpty { notes.append("request headers changed: \(changed.joined(separator: " "))") }
    let answered = rules.responseFields.map { text($0.name) }
    if !answered.isEmpty { notes.append("response headers changed: \(answered.joined(separator: " "))") }
    if !rules.cookies.isEmpty { notes.append("cookies changed") }
    return notes
  }
}
