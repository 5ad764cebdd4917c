// What can only be judged when everything was read, of rules: groups, networks, and who may ask about requests.

import Auth
import HTTP
import Net
import Primitives
import Proxy

extension Reading {
  func checkPublicNetworks() {
    for (range, place) in publicNetworks {
      guard let proxy = settings.forwarding.trustedProxies.first(where: { $0.range.overlaps(range) }) else { continue }
      diagnostics.warning(
        place, "a trusted proxy (\(proxy)) is in a network from which somebody may pass without a password",
        hint: "what it forwards without \(settings.forwarding.originField == .forwarded ? "Forwarded" : "X-Forwarded-For") comes from there")
    }
  }

  func checkForwardAuth() {
    guard let word = forwardAuthWord, let path = settings.forwardAuthPath else { return }
    if settings.forwarding.trustedProxies.isEmpty {
      diagnostics.error(word.place, "nobody may ask here", hint: "say which server does: trusted_proxies 127.0.0.1")
    }
    for route in routes where route.isExact && route.path.map({ Array($0.text.utf8) == path }) == true {
      diagnostics.error(route.place, "this route is never reached: 'forward_auth' at \(word.place.shortText) has the same path")
    }
    if let users = settings.registration?.path, PathPrefix.covers(users.span, isExact: false, path.span) {
      wrong(word, "lies beneath the path of the registration")
    }
    // Whose every answer of 200, to whomever it gives a token, would be taken for a permission.
    if tokensInHand?.options.endpoint == path { wrong(word, "is the path at which tokens are given out") }
  }

  func readGroups() -> GroupFile? {
    guard let word = groupsWord, let path = settings.groupsPath else { return nil }
    if topPlaces["users"] == nil {
      wrong(word, "names the groups of users, and there is no user file", hint: "users FILE; then: gatehouse user add NAME")
    }
    let bytes: [UInt8]
    do {
      bytes = try Disk.read(path, limit: 1 << 30)
    } catch {
      wrong(word, "can't be read: \(error.reason)")
      return nil
    }
    do {
      let groups = try GroupFile(parsing: bytes)
      atHand.groups = FileAtHand(bytes: bytes, value: groups)
      return groups
    } catch {
      guard case .unusable(let problems) = error else {
        wrong(word, "can't be used: \(error)")
        return nil
      }
      for problem in problems { diagnostics.add(Diagnostic(.error, at: nil, in: "\(path):\(problem.line)", problem.reason)) }
      return nil
    }
  }

  /// Members that the user file does not have: allowed (they may come later), and often a slip.
  func warnOfStrangers(in groupFile: GroupFile?, _ table: UserTable) {
    for stranger in groupFile?.strangers({ table.user(named: $0.span) != nil }) ?? [] {
      let name = String(decoding: stranger.name, as: UTF8.self)
      let place = "\(settings.groupsPath ?? "groups"):\(stranger.line)"
      diagnostics.add(Diagnostic(.warning, at: nil, in: place, "the user file has no user '\(name)'"))
    }
  }
}
