// The certificates of all listeners: read at a start and at a reload, and again when their files change. They come in two files that are replaced one after
// the other, so new ones are taken only when they fit together and hold still; until then, and where they can't be used, the old stay in force.

import Auth
import Glibc
public import Net
import Primitives

/// Belongs to the main thread.
final class ListenerCertificates {
  enum Look {
    /// Something is being replaced: look again after `FileSettling.time`.
    case changing
    case unchanged
    /// Others are in force. What to tell, and what to warn of.
    case changed(notices: [String], warnings: [String])
    /// New ones can't be used.
    case failed([String])
  }

  /// In the order of the listeners; nil for one in clear text.
  private(set) var contexts: [TLSServerContext?]
  /// What is to be warned of, as they were read. At a start and a reload it has been said with the configuration.
  private(set) var warnings: [String]
  let paths: [String]
  private let options: [TLSServerOptions?]
  private let tickets: TicketKeys
  /// What the files looked like when they were read, or given up.
  private var seen: [FileLook?]
  private var candidate: [FileLook?]?
  private var looks = 0
  private var warnedAt: Timestamp?

  /// - Parameter tickets: outlives reloads.
  init(_ settings: Settings, tickets: TicketKeys, now: Timestamp = .now()) throws(ServerFailure) {
    // Several may have one address where the kernel chooses the port.
    var met: [SocketAddress: Int] = [:]
    options = settings.listeners.map { listener in
      let place = met[listener.socket.address, default: 0]
      met[listener.socket.address] = place + 1
      var options = listener.tlsOptions
      options?.listener += " \(place)"
      return options
    }
    self.tickets = tickets
    warnedAt = now
    var paths: [String] = []
    for path in options.compactMap({ $0 }).flatMap(\.paths) where !paths.contains(path) { paths.append(path) }
    self.paths = paths
    seen = Self.look(at: paths)
    do throws(TLSFault) {
      (contexts, warnings) = try Self.load(options, tickets, now)
    } catch {
      throw ServerFailure(error.description)
    }
  }

  private static func look(at paths: [String]) -> [FileLook?] { paths.map { try? UserFile(path: $0).look() } }

  private static func load(
    _ options: [TLSServerOptions?], _ tickets: TicketKeys, _ now: Timestamp
  ) throws(TLSFault) -> ([TLSServerContext?], [String]) {
    var contexts: [TLSServerContext?] = []
    var problems: [String] = []
    for options in options {
      guard let options else {
        contexts.append(nil)
        continue
      }
      do throws(TLSFault) {
        contexts.append(try TLSServerContext(options, tickets: tickets, now: now))
      } catch {
        problems += error.problems.filter { !problems.contains($0) }
      }
    }
    if !problems.isEmpty { throw TLSFault(problems: problems) }
    var warnings: [String] = []
    for line in contexts.compactMap({ $0 }).flatMap(\.warnings) where !warnings.contains(line) { warnings.append(line) }
    return (contexts, warnings)
  }

  /// Whether some file looks other than when it was last read: for changes that nobody tells.
  func looksChanged() -> Bool { Self.look(at: paths) != seen }

  /// Looks once.
  func look(now: Timestamp = .now()) -> Look {
    let found = Self.look(at: paths)
    if found == seen {
      candidate = nil
      looks = 0
      return .unchanged
    }
    looks += 1
    guard candidate == found else {
      candidate = found
      return looks < FileSettling.patience ? .changing : giveUp(found, ["the files of certificates keep changing"])
    }
    do throws(TLSFault) {
      let (fresh, warnings) = try Self.load(options, tickets, now)
      // Replaced while it was read: what fitted together may be half of what there is now.
      guard Self.look(at: paths) == found else { return .changing }
      contexts = fresh
      self.warnings = warnings
      seen = found
      candidate = nil
      looks = 0
      warnedAt = nil
      let certificates = fresh.compactMap { $0 }.flatMap(\.certificates)
      let least = certificates.map { $0.daysLeft(at: now) }.min() ?? 0
      return .changed(notices: ["certificates reloaded: \(certificates.count), valid for \(least) days at least"], warnings: warnings)
    } catch {
      // The other file of the two may be on its way.
      return looks < FileSettling.patience ? .changing : giveUp(found, error.problems)
    }
  }

  private func giveUp(_ found: [FileLook?], _ problems: [String]) -> Look {
    seen = found
    candidate = nil
    looks = 0
    return .failed(problems)
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
