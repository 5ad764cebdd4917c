// What the server answers to commands of the admin socket, and where that socket is.

import Auth
import Glibc
import Net
import Primitives
import Upstream

extension Server {
  /// The configured socket has to be had; the standard one is there where it can be.
  func openAdminSocket() throws -> AdminSocket? {
    let handed = arrival?.sockets.first { $0.role == .admin }
    let socket = try openAdminSocket(handed)
    if let handed, socket?.path != handed.place { unwanted.append(handed.index) }
    return socket
  }

  private func openAdminSocket(_ handed: Handover.Socket?) throws -> AdminSocket? {
    // Closed again when it is of no use here.
    let inherited = try handed.map { handed in try Listener.taking(FileDescriptor(owning: handed.descriptor), file: handed.file) }
    let path: String
    switch settings.admin {
    case .off: return nil
    case .unix(let configured): path = configured
    case .standard:
      path = AdminPlace.standardPath
      let folder = String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
      guard unsafe access(folder, W_OK | X_OK) == 0 else { return nil }
    }
    do {
      let isHandedOver = handed?.place == path
      let listener = if let inherited, isHandedOver { inherited } else { try AdminSocket.bind(path) }
      return AdminSocket(
        path: path, listener, isHandedOver: isHandedOver, listenerKind: Source.adminListener, visitorKind: Source.adminVisitor)
    } catch {
      if settings.admin != .standard { throw ServerFailure("the admin socket: \(error)") }
      errors.warning("no admin socket: \(error); `admin` names another place for it, or none")
      return nil
    }
  }

  /// What a command comes to, but for reloading and draining, which are the loop's.
  func answer(_ command: AdminCommand, _ shared: Shared) -> AdminAnswer {
    switch command {
    case .status: return AdminAnswer(lines: status(shared))
    case .listBans:
      guard let lockout else { return Self.noLockout }
      return .list(lockout.bans(at: .now()), now: .now())
    case .liftBans(let client):
      guard let lockout else { return Self.noLockout }
      let count = lockout.lift(client, at: .now())
      let whose = client.map { " of \($0.networkText)" } ?? ""
      if count > 0 { errors.notice("lockout: \(count) bans\(whose) lifted by command") }
      return AdminAnswer("\(count) ban\(count == 1 ? "" : "s")\(whose) lifted")
    case .reload, .drain, .upgrade:
      preconditionFailure("not asked here")
    }
  }

  private static let noLockout = AdminAnswer(error: "nobody is banned: the configuration says 'lockout off'")

  /// Of each upstream that has several servers, or one that is bounded, each server: how it fares.
  private var servers: [String] {
    let now = Instant.now()
    return zip(settings.upstreams, snapshot.groups).filter { $0.0.isShared }.flatMap { group, state in
      let queue = group.queue == nil ? [] : ["queue \(group.name): \(state.waiting) wait"]
      return state.members.enumerated().map { i, member in
        let standing =
          switch state.standing(of: member, at: now) {
          case .serves: "serves"
          case .out(let until): "out for \((until.since(now) + 999_999_999) / 1_000_000_000)s"
          case .isTried: "out until a \(group.health == nil ? "request" : "health check") succeeds"
          case .isUnwell: "out until its health checks succeed"
          }
        let reason = standing == "serves" ? "" : " (\(member.lastReason))"
        return "server \(group.name) \(i + 1): \(member.place), \(standing)\(reason), \(member.inUse) in use"
      } + queue
    }
  }

  /// Of each upstream that is logged in to by access tokens or by Kerberos: how that stands.
  private var logins: [String] {
    zip(settings.upstreams, snapshot.groups).compactMap { group, state in
      (state.tokens?.standing(at: .now()) ?? state.tickets?.standing(at: .now())).map { "login \(group.name): \($0)" }
    }
  }

  /// `key: value`, in an order that stays.
  private func status(_ shared: Shared) -> [String] {
    let counters = workers.map(\.counters)
    return [
      "version: \(version)",
      "pid: \(getpid())",
      "state: \(isDraining ? "draining" : "serving")",
      "uptime: \(Instant.now().since(startedAt) / 1_000_000_000)",
      "listeners: \(listening.joined(separator: " "))",
      "workers: \(counters.count)",
      "connections: \(counters.reduce(0) { $0 + $1.connections })",
      "connections_by_worker: \(counters.map { "\($0.connections)" }.joined(separator: " "))",
      "tunnels: \(counters.reduce(0) { $0 + $1.tunnels })",
      "requests: \(counters.reduce(0) { $0 + $1.requests })",
      "users: \(files.users.users.count)",
      "users_file: \(settings.usersPath ?? "-")",
      "routes: \(settings.routes.count)",
      "upstreams: \(settings.upstreams.map(\.name).joined(separator: " "))",
    ] + servers + logins + [
      "reloads: \(reloads.accepted)",
      "reloads_refused: \(reloads.refused)",
      "lockout: \(lockout == nil ? "off" : "on")",
      "bans: \(lockout?.bans(at: .now()).count ?? 0)",
      "hash_threads: \(shared.pool.threads)",
      "hash_queue: \(shared.pool.waiting)",
    ]
  }
}
