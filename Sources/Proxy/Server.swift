// The process as a whole: binds, starts the threads, and then watches over them from the main thread: signals, changed files, the end.

import Auth
import Glibc
public import Net
import Primitives
import Upstream

/// Why the server did not start.
public struct ServerFailure: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// One running Gatehouse. Made and run on the main thread, once a process.
public final class Server {
  /// Reads the configuration anew for a reload; throws what is wrong with it, one line for each thing.
  public typealias Load = () throws(ConfigurationErrors) -> (Settings, FilesAtHand)

  /// What is wrong with a configuration, ready to be shown.
  public struct ConfigurationErrors: Error {
    public var lines: [String]

    public init(lines: [String]) { self.lines = lines }
  }

  var settings: Settings
  /// What the sockets, the threads and the cache were made by: it takes a start to change them.
  let started: Settings
  let load: Load
  let errors: ErrorLog
  /// For `status`.
  let version: String
  let startedAt = Instant.now()
  /// What the process whose place we take has handed over, if there is one, and which numbers of that we have no use for.
  let arrival: Handover?
  var unwanted: [Int] = []
  /// What systemd has passed.
  let activated: [SocketActivation.Passed]
  var places = ListeningPlaces(workers: 1)
  /// How to start a process that takes our place, and the one that is about to.
  let program: OwnProgram
  var upgrade: Upgrade?
  /// Who has taken our place.
  var successor: ChildProcess?
  /// Nothing is opened any more.
  private(set) var isDraining = false
  var reloads = (accepted: 0, refused: 0)
  private let cache: VerifiedCache
  /// In force in all workers; reloads only change what it says.
  let revocations = Revocations()
  /// nil where failures are not counted; what is banned then stays known in `lastLockout`.
  private(set) var lockout: Lockout?
  private var lastLockout: Lockout?
  private let keyUses = KeyUses()
  let keyUseWriter: KeyUseWriter
  let prober: HealthProber
  let tokenFetcher: TokenFetcher
  /// Those for whom tickets are fetched.
  var kerberos: [TicketState] = []
  var files: AuthFiles
  /// In force for all listeners, as long as the process lives.
  let tickets = TicketKeys()
  /// Nil until they were read.
  var certificates: ListenerCertificates?
  /// Until the files were read.
  private var atHand: FilesAtHand?
  var snapshot: Snapshot
  var gatekeeper: Gatekeeper
  /// Those before, until no worker has them any more: letting a million users go takes a while, which is this thread's to take.
  var retired: [Gatekeeper] = []
  private(set) var workers: [(mailbox: Mailbox<WorkerMessage>, thread: Thread, counters: WorkerCounters)] = []
  /// Indices of the workers that have ended: nothing that they are told is done any more.
  private(set) var gone: Set<Int> = []
  private var watcher: FileWatcher?
  private let ended: Mailbox<Int>
  /// From the clerk: user files that it wrote.
  private let written: Mailbox<Clerk.Written>
  let clerk: Clerk
  /// The last writing that is not in force yet.
  var owed: UInt64?

  enum Source {
    static let signals: UInt8 = 0
    static let files: UInt8 = 1
    static let workers: UInt8 = 2
    static let clerk: UInt8 = 3
    static let adminListener: UInt8 = 4
    static let adminVisitor: UInt8 = 5
    static let upgrade: UInt8 = 6
  }

  /// Between two looks at the user file where nothing was told: the kernel does not tell what happens on another machine.
  private static let glancePause = Interval.seconds(5)
  /// Between two looks for the files of `maintenance`.
  private static let switchPause = Interval.seconds(1)
  /// How long the access log's last lines may take to be written at the end.
  private static let logPatience = Interval.seconds(5)
  /// How long it is waited at the end for whoever may be waiting for a KDC.
  private static let kerberosPatience = Interval.milliseconds(500)

  /// Signals that `run` answers to. Blocked before any thread starts.
  private static let signals: [Signal] = [.terminate, .interrupt, .hangup, .user1, .user2]

  /// - Parameters:
  ///   - atHand: what the settings were judged by.
  ///   - arrival: what a process has handed over whose place this one takes.
  ///   - activated: what systemd has passed.
  ///   - program: how this process was started, for one that takes its place.
  ///   - load: called for a reload.
  public init(
    _ settings: Settings, _ atHand: FilesAtHand = FilesAtHand(), version: String = "", errors: ErrorLog, arrival: Handover? = nil,
    activated: [SocketActivation.Passed] = [], program: OwnProgram = OwnProgram(), load: @escaping Load
  ) throws {
    self.arrival = arrival
    self.activated = activated
    self.program = program
    self.atHand = atHand
    self.version = version
    self.settings = settings
    started = settings
    self.errors = errors
    self.load = load
    cache = VerifiedCache(entries: settings.gatekeeper.cacheEntries)
    let files = AuthFiles(settings, revocations: revocations)
    self.files = files
    snapshot = Snapshot(settings: settings)
    gatekeeper = files.makeGatekeeper(settings, cache: cache, keyUses: keyUses, lockout: nil)
    keyUseWriter = try KeyUseWriter(keyUses, errors: errors)
    prober = try HealthProber { upstream, place, news in
      switch news {
      case .well: errors.notice("upstream \(upstream): \(place) is well, and gets requests again")
      case .unchecked: errors.error("upstream \(upstream): the health of \(place) is not checked: no memory is left")
      case .unwell(let reason): errors.warning("upstream \(upstream): \(place) gets no requests: \(reason)")
      }
    }
    tokenFetcher = try TokenFetcher { source, news in
      switch news {
      case .failed(let reason): errors.warning("no access token from \(source): it \(reason)")
      case .recovered: errors.notice("access tokens come again from \(source)")
      }
    }
    ended = try Mailbox()
    let written = try Mailbox<Clerk.Written>()
    self.written = written
    clerk = Clerk(errors: errors) { written.post($0) }
  }

  /// Serves until it is told to end. 0 then, also when `drain_timeout` cut something: that was asked for.
  public func run() throws -> Int32 {
    try Signals.block(Self.signals)
    Signals.ignoreBrokenPipe()
    let descriptors = try ProcessHardening.raiseDescriptorLimit()
    try ProcessHardening.forbidDumps()
    let reader = try SignalReader(Self.signals)
    try watchFiles()
    try readFilesAtStart()
    try readCertificatesAtStart()
    adoptLockout()

    let count = settings.workers > 0 ? settings.workers : Processors.count
    let limits = settings.limits
    let failures = LoginFailures(errors)
    let pool = HashPool(
      threads: limits.hashThreads > 0 ? limits.hashThreads : max(1, Processors.count / 2), capacity: limits.hashQueue,
      wait: limits.hashWait, failures: failures)
    let accessLog = try AccessLog(settings.accessLog, errors: errors)
    let (connectionLimit, pipeLimit) = Limits.shares(ofDescriptors: descriptors, workers: count)
    if connectionLimit < limits.connectionsPerWorker {
      errors.warning(
        """
        only \(descriptors) descriptors (RLIMIT_NOFILE): each worker takes \(connectionLimit) connections at most, \
        not \(limits.connectionsPerWorker); raise LimitNOFILE, or lower `connections`
        """)
    }
    let maker = HashMaker(wait: limits.hashWait)
    let shared = Shared(
      pool: pool, maker: maker, clerk: clerk, rehasher: Rehasher(maker: maker, clerk: clerk), registrations: RateTable(),
      accessLog: accessLog,
      errors: errors, failures: failures, connectionLimit: connectionLimit, pipeLimit: pipeLimit)
    try openPlaces(workers: count)
    let admin = try openAdminSocket()
    // Where this comes to nothing, a file that another process has handed over is still that one's.
    var isReady = false
    defer { if isReady || admin?.isHandedOver == false { admin?.removeFile() } }
    let logThread = try Threads.spawn(name: "access log") { accessLog.run() }
    let hashThreads = try (0..<pool.threads).map { try Threads.spawn(name: "hash \($0)", niceness: HashPool.niceness) { pool.run() } }
    let makerThread = try Threads.spawn(name: "hash maker", niceness: HashMaker.niceness) { maker.run() }
    let clerkThread = try Threads.spawn(name: "clerk") { [clerk] in clerk.run() }
    snapshot = makeSnapshot()
    gatekeeper = makeGatekeeper()
    let keyThread = try Threads.spawn(name: "key uses") { [keyUseWriter] in keyUseWriter.run() }
    keyUseWriter.adopt(settings.usersPath, files.users)
    // Before the first client: they may take every descriptor that there is.
    var poller = try Poller(capacity: 8)
    try poller.add(reader.descriptor, .read, EventToken(kind: Source.signals))
    try poller.add(ended.descriptor, .read, EventToken(kind: Source.workers))
    try poller.add(written.descriptor, .read, EventToken(kind: Source.clerk))
    for i in 0..<count { try startWorker(i, shared) }
    try checkHealth()
    try fetchTokens()

    for place in listening { errors.notice("listening on \(place)") }
    errors.notice("\(count) workers, \(settings.routes.count) routes, \(files.users.users.count) users")
    errors.notice("ready")
    // From here on nothing can fail. Whose place we take stops accepting when he hears of it, and tells the service manager.
    isReady = true
    if let arrival {
      ChildProcess.joinParent()
      arrival.tell(.ready(left: unwanted))
    } else {
      _ = ServiceManager.notify("READY=1\nSTATUS=serving")
    }
    do { try places.open() } catch { errors.error("not every worker can listen: \(error)") }
    do { try admin?.listen(poller) } catch { errors.error("the admin socket can't be listened on: \(error)") }
    tellListeners()
    let code = control(reader, admin, shared, &poller)
    clerk.finish()
    maker.finish()
    pool.finish()
    clerkThread.join()
    makerThread.join()
    for thread in hashThreads { thread.join() }
    keyUseWriter.finish()
    keyThread.join()
    prober.finish()
    tokenFetcher.finish()
    for state in kerberos { state.finish(within: Self.kerberosPatience) }
    if accessLog.finish(within: Self.logPatience) {
      logThread.join()
    } else {
      errors.warning("access log: not all was written, nobody takes it")
    }
    errors.notice("stopped")
    return code
  }

  // MARK: Starting

  private func startWorker(_ index: Int, _ shared: Shared) throws {
    let (snapshot, gatekeeper) = (snapshot, gatekeeper)
    let mailbox = try Mailbox<WorkerMessage>()
    let counters = WorkerCounters()
    let ended = ended
    let thread = try Threads.spawn(
      name: "worker \(index)",
      prepare: { () throws in
        WorkerBox(
          try Worker(shared, snapshot: snapshot, gatekeeper: gatekeeper, mailbox: mailbox, counters: counters))
      },
      run: { (box: consuming WorkerBox) in
        box.worker.run()
        ended.post(index)
      })
    workers.append((mailbox, thread, counters))
  }

  func makeSnapshot() -> Snapshot {
    Snapshot(settings: settings, passwords: files.passwordRules(settings), tls: certificates?.contexts ?? [], after: snapshot)
  }

  func makeGatekeeper() -> Gatekeeper {
    files.makeGatekeeper(settings, cache: cache, keyUses: keyUses, lockout: lockout)
  }

  /// Bans outlive every reload, also one that turns the lockout off for a while.
  func adoptLockout() {
    guard let options = settings.lockout else {
      lockout = nil
      return
    }
    if lockout?.options == options { return }
    lockout = Lockout(options, start: Instant.now(), continuing: lastLockout)
    lastLockout = lockout
  }

  func watchFiles() throws {
    var paths = files.paths
    for path in settings.listeners.compactMap(\.tlsOptions).flatMap(\.paths) where !paths.contains(path) { paths.append(path) }
    if paths.isEmpty {
      watcher = nil
    } else if let watcher {
      watcher.watch(paths)
    } else {
      watcher = try FileWatcher(paths: paths)
    }
    for unwatched in watcher?.unwatched ?? [] {
      errors.warning("\(unwatched) can't be watched: changes take effect by reload (HUP) only")
    }
  }

  private func readFilesAtStart() throws {
    for notice in try files.readSettled(atHand ?? FilesAtHand()) { errors.notice(notice) }
    atHand = nil
    files.takeEffect()
    report(files.users)
    for warning in files.issuerKeys.warnings { errors.warning(warning) }
  }

  /// Says what the user file has that can't be used.
  func report(_ table: UserTable) {
    let shown = 50
    for problem in table.problems.prefix(shown) {
      let words = "\(settings.usersPath ?? "users"):\(problem.line): \(problem.reason)"
      if problem.isWarning { errors.warning(words) } else { errors.error(words) }
    }
    if table.problems.count > shown {
      errors.error("\(settings.usersPath ?? "users"): \(table.problems.count - shown) further problems; see `gatehouse check`")
    }
  }

  // MARK: Watching over it

  private func control(_ reader: borrowing SignalReader, _ admin: AdminSocket?, _ shared: Shared, _ poller: inout Poller) -> Int32 {
    var watched = watch(poller)
    /// When to look at the user file again: it changed a moment ago and may not be whole yet. Once also after the start: a file that was taken
    /// for its age alone, on a file system whose clock is far from ours, is then seen to change.
    var lookAgain: Instant? = Instant.now().advanced(by: FileSettling.time)
    var glance = Instant.now().advanced(by: Self.glancePause)
    var switchLook = Instant.now().advanced(by: Self.switchPause)
    var running = workers.count
    var deadline: Instant?
    while running > 0 {
      let next = min(lookAgain ?? glance, glance, snapshot.switches.isEmpty ? glance : switchLook, admin?.deadline ?? glance, upgrade?.deadline ?? glance)
      let count = poller.wait(until: next, now: Instant.now())
      for i in 0..<count {
        switch poller.event(i).token.kind {
        case Source.signals:
          while let signal = reader.next() {
            switch signal {
            case .terminate, .interrupt:
              if giveUpgradeUp(shared, admin, poller, &watched, &deadline) { continue }
              if deadline == nil { deadline = startDraining() } else { errors.notice("already draining") }
            case .user2:
              if let refusal = startUpgrade(admin, poller) { errors.error("upgrade: \(refusal)") }
            case .hangup where upgrade != nil:
              upgrade?.owesReload = true
            case .hangup:
              _ = reload(shared, poller, &watched)
              // A change that was told a moment ago may not have been read, or may fall between the reading and the new watch.
              lookAgain = Instant.now().advanced(by: FileSettling.time)
            case .user1:
              // The new process may have opened the file before it was moved.
              upgrade?.owesReopening = true
              successor?.send(.user1)
              shared.accessLog.reopen()
            }
          }
        case Source.files:
          if watcher?.drain().isEmpty == false { lookAgain = Instant.now().advanced(by: FileSettling.time) }
        case Source.clerk:
          for file in written.drain() where take(file) == .later && lookAgain == nil {
            lookAgain = Instant.now().advanced(by: FileSettling.time)
          }
        case Source.adminListener, Source.adminVisitor:
          let (token, readiness) = poller.event(i)
          for question in admin?.ready(token, readiness, poller, now: Instant.now()) ?? [] {
            let answer: AdminAnswer
            switch question.command {
            case .upgrade:
              // If it is not refused, the answer comes when it is known.
              guard let refusal = startUpgrade(admin, poller, for: question) else { continue }
              answer = AdminAnswer(error: refusal)
            case .reload where upgrade != nil:
              answer = AdminAnswer(error: "an upgrade is under way: the new process has read the configuration, or is about to")
            case .reload:
              answer = reload(shared, poller, &watched)
              lookAgain = Instant.now().advanced(by: FileSettling.time)
            case .drain:
              let isDraining = deadline != nil
              _ = giveUpgradeUp(shared, admin, poller, &watched, &deadline)
              answer = AdminAnswer(isDraining ? "already draining" : "draining")
              if deadline == nil { deadline = startDraining() }
            default:
              answer = self.answer(question.command, shared)
            }
            admin?.answer(question, answer, poller, now: Instant.now())
          }
        case Source.upgrade:
          hearUpgrade(shared, admin, poller, &watched, &deadline)
        default:
          for index in ended.drain() {
            running -= 1
            left(index)
          }
        }
      }
      if Instant.now() >= glance {
        glance = Instant.now().advanced(by: Self.glancePause)
        lastLockout?.sweep(at: Instant.now())
        // Where there was no descriptor for a visitor a moment ago.
        try? admin?.listen(poller)
        if lookAgain == nil && (files.looksChanged() || certificates?.looksChanged() == true) { lookAgain = Instant.now() }
        warnOfExpiry()
      }
      if Instant.now() >= switchLook {
        switchLook = Instant.now().advanced(by: Self.switchPause)
        for place in snapshot.switches where place.look() {
          errors.notice("maintenance: \(place.path) is \(place.isOn ? "there: its routes answer 503" : "gone: its routes serve again")")
        }
      }
      expireUpgrade(shared, admin, poller, &watched, &deadline)
      admin?.expire(poller, now: Instant.now())
      if let due = lookAgain, Instant.now() >= due { lookAgain = reloadFiles() }
      releaseRetired()
    }
    for worker in workers { worker.thread.join() }
    if let deadline, Instant.now() >= deadline {
      errors.warning("drain_timeout passed: unfinished requests were cut")
    }
    return 0
  }

  /// A worker has ended, the others may go on for a while. What it was to sign goes by without it: it serves nobody by anything older.
  private func left(_ index: Int) {
    gone.insert(index)
    for message in workers[index].mailbox.drain() {
      if case .sign(let adoption) = message { adoption.sign() }
    }
  }

  func watch(_ poller: borrowing Poller) -> Int32? {
    guard let descriptor = watcher?.descriptor, (try? poller.add(descriptor, .read, EventToken(kind: Source.files))) != nil else {
      return nil
    }
    return descriptor
  }

  /// - Parameter left: where another process has taken our place, the indices of the listening places that it did not take.
  func startDraining(replacedBut left: [Int]? = nil) -> Instant {
    isDraining = true
    errors.notice("draining: no new connections, \(settings.limits.drainTimeout.wholeMilliseconds) ms for what runs")
    // The service goes on where another process does.
    if left == nil { _ = ServiceManager.notify("STOPPING=1\nSTATUS=draining") }
    let deadline = Instant.now().advanced(by: settings.limits.drainTimeout)
    leavePlaces(left: left)
    for worker in workers { worker.mailbox.post(.drain(until: deadline, isReplaced: left != nil)) }
    return deadline
  }
}

/// Carries the worker over the generic boundary of `Threads.spawn`; never leaves its thread.
private struct WorkerBox: ~Copyable {
  let worker: Worker

  init(_ worker: Worker) { self.worker = worker }
}
