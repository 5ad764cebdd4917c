// The threads that talk to one file server for one worker. Of libcurl's protocols these wait where a worker must not: FTP for the answer to the end of a
// transfer and to QUIT, SFTP while it takes its leave, a disk for a file (known to curl's own notes as "More non-blocking"). So a courier may wait, and a
// worker never does.

import Net
import Primitives
import Synchronization

/// A bounded number of threads, each with a connection of its own; started when there is something to do, and gone when there was nothing for as long as a
/// connection is kept.
final class FileCouriers: Sendable {
  /// Files under way at once, for each server and worker; or `connections`, if that is less. Each is a connection to the server, and to a folder none.
  static func mostThreads(_ server: FileServer) -> Int { server.kind == .file ? 64 : 16 }
  /// Requests that may wait for a courier; 503 beyond.
  static let mostWaiting = 256

  private struct State {
    var queue: [FileErrand] = []
    var threads = 0
    var idle = 0
    var ends = false
  }

  private let options: UpstreamOptions
  private let server: FileServer
  private let limit: Int
  private let state = Mutex(State())
  private let work = Semaphore()

  init(_ options: UpstreamOptions, _ server: FileServer) {
    self.options = options
    self.server = server
    limit = min(Self.mostThreads(server), options.maxConnections)
  }

  /// Has one of the couriers run the errand, which tells its worker what comes of it.
  func take(_ errand: FileErrand) throws(UpstreamFailure) {
    let (isTaken, starts) = state.withLock { state in
      guard !state.ends, state.queue.count < Self.mostWaiting else { return (false, false) }
      state.queue.append(errand)
      let starts = state.queue.count > state.idle && state.threads < limit
      if starts { state.threads += 1 }
      return (true, starts)
    }
    guard isTaken else { throw UpstreamFailure(.exhausted, "too many requests wait for upstream \(options.name)") }
    work.signal()
    guard starts else { return }
    do {
      _ = try Threads.spawn(name: "files") { self.run() }
    } catch {
      let isHopeless = state.withLock { state in
        state.threads -= 1
        if state.threads == 0 { state.queue.removeAll { $0 === errand } }
        return state.threads == 0
      }
      if isHopeless { throw UpstreamFailure(.exhausted, "no thread for upstream \(options.name)") }
    }
  }

  /// Nobody waits for it any more: it keeps no place from another. One that is under way sees it by itself.
  func drop(_ errand: FileErrand) {
    state.withLock { state in
      if let i = state.queue.firstIndex(where: { $0 === errand }) { state.queue.remove(at: i) }
    }
  }

  /// No errand comes any more: the couriers go when those that there are were run.
  func end() {
    let threads = state.withLock { state in
      state.ends = true
      return state.threads
    }
    for _ in 0..<threads { work.signal() }
  }

  private enum Turn {
    case run(FileErrand)
    case wait
    case leave
  }

  private func run() {
    var store: (any FileStore)?
    while true {
      state.withLock { $0.idle += 1 }
      let isCalled = work.wait(until: Instant.now().advanced(by: options.reuseWithin))
      let turn: Turn = state.withLock { state in
        state.idle -= 1
        if !state.queue.isEmpty { return .run(state.queue.removeFirst()) }
        // A call for what another courier took on his way out.
        if isCalled && !state.ends { return .wait }
        state.threads -= 1
        return .leave
      }
      switch turn {
      case .leave: return
      case .wait: continue
      case .run(let errand):
        if !errand.begin() { continue }
        do {
          let ready: any FileStore
          if let store { ready = store } else { ready = try makeStore() }
          store = ready
          if server.kind.isLookup, let asked = ready as? CurlStore {
            LookupService.run(errand, at: asked, server)
          } else {
            FileService.run(errand, at: ready, server)
          }
        } catch {
          errand.end(.failed(error))
        }
      }
    }
  }

  private func makeStore() throws(UpstreamFailure) -> any FileStore {
    server.kind == .file ? try DiskStore(server) : try CurlStore(options, server)
  }
}
