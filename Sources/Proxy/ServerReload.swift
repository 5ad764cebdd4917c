// How the running process takes changes into use: a new configuration, changed files, and what it wrote itself.

import Auth
import Net
import Primitives
import Upstream

extension Server {
  func reload(_ shared: Shared, _ poller: borrowing Poller, _ watched: inout Int32?) -> AdminAnswer {
    if let old = watched { poller.remove(old) }
    let answer = reload(shared)
    watched = watch(poller)
    if answer.isError { reloads.refused += 1 } else { reloads.accepted += 1 }
    return answer
  }

  /// A new configuration takes effect whole or not at all.
  private func reload(_ shared: Shared) -> AdminAnswer {
    if isDraining {
      // What it listens on would be opened again.
      let words = "this process is draining"
      errors.warning("reload: \(words)")
      return AdminAnswer(error: words)
    }
    _ = ServiceManager.notifyReloading()
    defer { _ = ServiceManager.notify("READY=1") }
    let fresh: Settings
    let atHand: FilesAtHand
    do {
      (fresh, atHand) = try load()
    } catch {
      for line in error.lines { errors.error(line) }
      let words = "the configuration has errors; the one before stays in force"
      errors.error("reload: \(words)")
      return AdminAnswer(error: words, lines: error.lines)
    }
    let old = settings
    let freshFiles = AuthFiles(fresh, revocations: revocations)
    let plan: ListeningPlaces.Plan
    do {
      let freshCertificates = try ListenerCertificates(fresh, tickets: tickets)
      for notice in try freshFiles.readSettled(atHand) { errors.notice(notice) }
      plan = try places.plan(fresh.listeners, now: Instant.now())
      freshFiles.takeEffect()
      files = freshFiles
      settings = fresh
      certificates = freshCertificates
      snapshot = makeSnapshot()
      report(files.users)
      for warning in files.issuerKeys.warnings { errors.warning(warning) }
    } catch {
      let words = "\(error); the configuration and users before stay in force"
      errors.error("reload: \(words)")
      return AdminAnswer(error: words)
    }
    adoptLockout()
    if started.workers != fresh.workers || started.admin != fresh.admin {
      errors.warning("reload: changes of `workers` and `admin` take effect at the next start, or by an upgrade")
    }
    if started.limits.hashThreads != fresh.limits.hashThreads || started.limits.hashQueue != fresh.limits.hashQueue
      || started.limits.hashWait != fresh.limits.hashWait || started.gatekeeper.cacheEntries != fresh.gatekeeper.cacheEntries
    {
      errors.warning(
        "reload: changes of `hash_threads`, `hash_queue`, `hash_wait` and the number of cache entries take effect at the next start")
    }
    errors.setLevel(fresh.logLevel)
    if old.accessLog != fresh.accessLog { shared.accessLog.reopen(fresh.accessLog) }
    do { try watchFiles() } catch { errors.warning("the files of users and keys can't be watched: \(error)") }
    adopt(plan, old)
    adopt()
    let words = "reloaded: \(settings.routes.count) routes, \(files.users.users.count) users"
    errors.notice(words)
    return AdminAnswer(words)
  }

  private func adopt() {
    retired.append(gatekeeper)
    gatekeeper = makeGatekeeper()
    for worker in workers { worker.mailbox.post(.adopt(snapshot, gatekeeper)) }
    tellListeners()
    keyUseWriter.adopt(settings.usersPath, files.users)
    do { try checkHealth() } catch { errors.error("no server's health is checked: \(error)") }
    do { try fetchTokens() } catch { errors.error("no access tokens are fetched: \(error)") }
    settleOwed()
  }

  /// Has the servers checked that the settings say so of.
  func checkHealth() throws(NetError) { try prober.adopt(Array(zip(settings.upstreams, snapshot.groups))) }

  /// Has access tokens and Kerberos tickets fetched for the upstreams that the settings say so of, and for no others.
  func fetchTokens() throws(NetError) {
    try tokenFetcher.adopt(snapshot.groups.map(\.tokens))
    let fresh = snapshot.groups.compactMap(\.tickets)
    for state in kerberos where !fresh.contains(where: { $0 === state }) { state.end() }
    kerberos = fresh
    for state in fresh {
      try state.begin { [errors] source, news in
        switch news {
        case .failed(let reason): errors.warning("no Kerberos ticket of \(source): \(reason)")
        case .recovered: errors.notice("Kerberos tickets come again for \(source)")
        }
      }
    }
  }

  /// Lets go of the gatekeepers that only we still have. Whoever let one go can't get it back, so the answer stays true.
  func releaseRetired() {
    var i = 0
    while i < retired.count {
      if isKnownUniquelyReferenced(&retired[i]) { retired.remove(at: i) } else { i += 1 }
    }
  }

  /// The clerk is told as soon as every worker goes by what it wrote.
  private func settleOwed() {
    guard let ticket = owed else { return }
    owed = nil
    // One that has ended without our having heard of it signs when we do.
    let present = workers.indices.filter { !gone.contains($0) }
    let adoption = Adoption(by: present.count) { [clerk] in clerk.adopted(ticket) }
    for index in present { workers[index].mailbox.post(.sign(adoption)) }
  }

  enum Taking { case now, later }

  /// Takes a user file into use that we wrote ourselves.
  func take(_ file: Clerk.Written) -> Taking {
    owed = file.ticket
    switch files.takeUsers(file.bytes, at: file.path) {
    case .changing:
      // Somebody else has changed it since: it is read as any change is.
      return .later
    case .unchanged:
      settleOwed()
    case .changed(_, let failures):
      for failure in failures { errors.error(failure) }
      if failures.isEmpty { adopt() } else { settleOwed() }
    }
    return .now
  }

  /// Takes changed files into use once they hold still. Answers when to look again, or nil when that is done.
  func reloadFiles() -> Instant? {
    let isChanging = reloadCertificates()
    let again = reloadAuthFiles()
    return again ?? (isChanging ? Instant.now().advanced(by: FileSettling.time) : nil)
  }

  private func reloadAuthFiles() -> Instant? {
    let users = files.users
    switch files.look() {
    case .changing:
      return Instant.now().advanced(by: FileSettling.time)
    case .unchanged:
      settleOwed()
      return nil
    case .changed(let notices, let failures):
      if files.users !== users { report(files.users) }
      if notices.isEmpty { settleOwed() } else { adopt() }
      for notice in notices { errors.notice(notice) }
      for failure in failures { errors.error(failure) }
      // Another of them may have been changing meanwhile.
      return Instant.now().advanced(by: FileSettling.time)
    }
  }

  // MARK: Certificates

  func readCertificatesAtStart() throws {
    certificates = try ListenerCertificates(settings, tickets: tickets)
  }

  /// Takes changed certificates into use once they fit together and hold still. True when that may be soon.
  private func reloadCertificates() -> Bool {
    guard let certificates else { return false }
    let look = certificates.look()
    if look.hasChanged {
      snapshot = makeSnapshot()
      adopt()
      for notice in look.notices { errors.notice(notice) }
      for warning in look.warnings { errors.warning(warning) }
      warnOfExpiry()
    }
    for failure in look.failures { errors.error(failure) }
    return look.isChanging || look.hasChanged
  }

  /// Once a day; and wipes keys of tickets that nobody can show any more.
  func warnOfExpiry() {
    for line in certificates?.expiryWarnings() ?? [] { errors.warning(line) }
    tickets.sweep(at: Instant.now())
  }
}
