// The certificates of all listeners: read at a start and at a reload, and again when their files change. They come in two files that are replaced one after
// the other, so new ones are taken only when they fit together and hold still; until then, and where they can't be used, the old stay in force. What belongs
// together is read by itself: a broken file of one certificate keeps neither another's renewal out, nor a list of revocations.

import Auth
import Glibc
public import Net
import Primitives

/// Belongs to the main thread.
final class ListenerCertificates {
  /// What came of a look.
  struct Look {
    /// Something is being replaced: look again after `FileSettling.time`.
    var isChanging = false
    /// Others are in force.
    var hasChanged = false
    /// What to tell, and what to warn of, where others are in force.
    var notices: [String] = []
    var warnings: [String] = []
    /// What of the new can't be used, and what stays in force therefore.
    var failures: [String] = []
  }

  /// What is read by itself of one listener.
  private struct Portion {
    let listener: Int
    let part: TLSServerOptions.Part
    let paths: [String]
    /// The list of revocations among them.
    let revocationPath: String?
    /// What the files looked like when they were read that are in force.
    var inForce: [FileLook?] = []
    /// And when they were last read, or given up.
    var seen: [FileLook?] = []
    var candidate: [FileLook?]?
    var looks = 0

    mutating func settle(_ found: [FileLook?]) {
      seen = found
      candidate = nil
      looks = 0
    }

    /// What to say when they can't be used: each file that is other than the one in force, and what goes on.
    func failures(_ problems: [String], _ found: [FileLook?]) -> [String] {
      let before = part == .clients ? "the authorities and revocations before stay in force" : "the certificates before stay in force"
      var lines = problems.map { "\($0); \(before)" }
      for i in paths.indices where found[i] != inForce[i] {
        if paths[i] == revocationPath {
          lines.append("\(paths[i]): this list of revocations is not in force: whom it revokes and the one before did not is still let in")
        } else if !problems.contains(where: { $0.hasPrefix("\(paths[i]):") }) {
          lines.append("\(paths[i]): it has changed and is not taken, because of what belongs to it")
        }
      }
      return lines
    }
  }

  /// In the order of the listeners; nil for one in clear text.
  private(set) var contexts: [TLSServerContext?] = []
  private let paths: [String]
  private var portions: [Portion] = []
  private var warnedAt: Timestamp?

  /// - Parameter tickets: outlives reloads.
  init(_ settings: Settings, tickets: TicketKeys, now: Timestamp = .now()) throws(ServerFailure) {
    // Several may have one address where the kernel chooses the port.
    var met: [SocketAddress: Int] = [:]
    let options: [TLSServerOptions?] = settings.listeners.map { listener in
      let place = met[listener.socket.address, default: 0]
      met[listener.socket.address] = place + 1
      var options = listener.tlsOptions
      options?.listener += " \(place)"
      return options
    }
    warnedAt = now
    var paths: [String] = []
    for path in options.compactMap({ $0 }).flatMap(\.paths) where !paths.contains(path) { paths.append(path) }
    self.paths = paths
    let found = looksOfFiles()
    var problems: [String] = []
    for (i, options) in options.enumerated() {
      guard let options else {
        contexts.append(nil)
        continue
      }
      do throws(TLSFault) {
        contexts.append(try TLSServerContext(options, tickets: tickets, now: now))
      } catch {
        problems += error.problems.filter { !problems.contains($0) }
      }
      for part in options.parts {
        let list = part == .clients ? options.clientCertificates?.revocationPath : nil
        var portion = Portion(listener: i, part: part, paths: options.paths(of: part), revocationPath: list)
        portion.inForce = portion.paths.map { found[$0] }
        portion.seen = portion.inForce
        portions.append(portion)
      }
    }
    if !problems.isEmpty { throw ServerFailure(problems.joined(separator: "\n")) }
  }

  /// By path; nothing where there is nothing.
  private func looksOfFiles() -> [String: FileLook] {
    var found: [String: FileLook] = [:]
    for path in paths { found[path] = try? UserFile(path: path).look() }
    return found
  }

  /// Whether some file looks other than when it was last read: for changes that nobody tells.
  func looksChanged() -> Bool {
    let found = looksOfFiles()
    return portions.contains { $0.paths.map { found[$0] } != $0.seen }
  }

  /// Looks once.
  func look(now: Timestamp = .now()) -> Look {
    let found = looksOfFiles()
    var look = Look()
    for i in portions.indices { read(i, found, now, &look) }
    if look.hasChanged {
      warnedAt = nil
      let certificates = contexts.compactMap { $0 }.flatMap(\.certificates)
      let least = certificates.map { $0.daysLeft(at: now) }.min() ?? 0
      look.notices.append("certificates reloaded: \(certificates.count), valid for \(least) days at least")
    }
    return look
  }

  /// Reads a portion if it has changed and holds still.
  private func read(_ i: Int, _ looks: [String: FileLook], _ now: Timestamp, _ look: inout Look) {
    let found = portions[i].paths.map { looks[$0] }
    guard found != portions[i].seen, let context = contexts[portions[i].listener] else {
      portions[i].settle(portions[i].seen)
      return
    }
    portions[i].looks += 1
    guard portions[i].candidate == found else {
      portions[i].candidate = found
      return giveUp(i, found, ["\(portions[i].paths[0]), or what belongs to it, keeps changing"], &look)
    }
    do throws(TLSFault) {
      let fresh = try context.renewing(portions[i].part, now: now)
      // Replaced while it was read: what fitted together may be half of what there is now.
      let again = looksOfFiles()
      guard portions[i].paths.map({ again[$0] }) == found else {
        look.isChanging = true
        return
      }
      contexts[portions[i].listener] = fresh
      portions[i].inForce = found
      portions[i].settle(found)
      look.hasChanged = true
      look.warnings += fresh.warnings.filter { !look.warnings.contains($0) }
    } catch {
      giveUp(i, found, error.problems, &look)
    }
  }

  /// The other file of the two may be on its way, for a while.
  private func giveUp(_ i: Int, _ found: [FileLook?], _ problems: [String], _ look: inout Look) {
    guard portions[i].looks >= FileSettling.patience else {
      look.isChanging = true
      return
    }
    // Several listeners may have the same files.
    look.failures += portions[i].failures(problems, found).filter { !look.failures.contains($0) }
    portions[i].settle(found)
  }

  /// What expires soon, or has expired: once when it was read anew, then once a day.
  func expiryWarnings(now: Timestamp = .now()) -> [String] {
    if let warnedAt, now < warnedAt.advanced(by: .seconds(86_400)) { return [] }
    warnedAt = now
    var lines: [String] = []
    for line in contexts.compactMap({ $0 }).flatMap({ $0.expiryWarnings(at: now) }) where !lines.contains(line) { lines.append(line) }
    return lines
  }
}

extension ListenerSettings {
  /// With what the listener itself says: its address, and what is spoken there.
  public var tlsOptions: TLSServerOptions? {
    guard var options = tls else { return nil }
    options.listener = socket.address.text
    options.protocols = speaksHTTP2 ? [.http2, .http1] : [.http1]
    return options
  }
}
