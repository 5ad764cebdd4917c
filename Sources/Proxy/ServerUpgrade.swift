// Changing the program while it serves: a new process gets our listening sockets and says when it serves by them; then this one finishes what
// it has begun, and ends. If that comes to nothing, this one goes on as if nothing had been.

import Glibc
import Net
import Primitives

/// A process that is to take our place, until it is known whether it does.
final class Upgrade {
  let child: ChildProcess
  fileprivate var pipe: HandoverPipe
  let deadline: Instant
  /// Who asked for it; nil where a signal did.
  let question: AdminSocket.Question?
  /// A HUP came meanwhile; a USR1.
  var owesReload = false
  var owesReopening = false

  fileprivate init(_ child: ChildProcess, _ pipe: consuming HandoverPipe, deadline: Instant, for question: AdminSocket.Question?) {
    self.child = child
    self.pipe = pipe
    self.deadline = deadline
    self.question = question
  }
}

extension Server {
  /// Starts the new process. Answers why not; else what comes of it is heard in time.
  func startUpgrade(_ admin: AdminSocket?, _ poller: borrowing Poller, for question: AdminSocket.Question? = nil) -> String? {
    if let upgrade { return "one is under way: process \(upgrade.child.pid) is starting" }
    if isDraining { return "this process is draining" }
    if getpid() == 1 { return "this process is the first of its container, which ends with it: start another container instead" }
    do {
      let upgrade = try begin(admin, for: question)
      try poller.add(upgrade.pipe.descriptor, .read, EventToken(kind: Source.upgrade))
      self.upgrade = upgrade
      if let question { admin?.postpone(question, until: upgrade.deadline.advanced(by: Limits.adminTimeout)) }
      errors.notice("upgrade: started process \(upgrade.child.pid): \(program.path)")
      return nil
    } catch {
      return "\(error)"
    }
  }

  private func begin(_ admin: AdminSocket?, for question: AdminSocket.Question?) throws(NetError) -> Upgrade {
    // In the new process: 3 is the text, 4 the pipe, the sockets follow.
    var descriptors: [Int32] = []
    var sockets: [Handover.Socket] = []
    func add(_ descriptor: Int32, _ place: String, _ role: Handover.Role, _ index: Int, _ file: HandedFile?) {
      sockets.append(.init(descriptor: 5 + Int32(descriptors.count), place: place, role: role, index: index, file: file))
      descriptors.append(descriptor)
    }
    for (index, place) in places.current.enumerated() {
      for socket in place.sockets where socket.passedName == nil {
        add(socket.listener.descriptor, place.name, socket.isShared ? .shared : .own, index, socket.listener.handedFile)
      }
    }
    let count = places.current.count
    for socket in places.passed { add(socket.listener.descriptor, socket.passedName ?? "", .passed, count, nil) }
    if let admin, let descriptor = admin.descriptor { add(descriptor, admin.path, .admin, count + 1, admin.handedFile) }

    var pipe = try HandoverPipe()
    let handover = Handover(parent: getpid(), ready: 4, sockets: sockets, notes: [])
    let text = try SealedFile.make("gatehouse handover", handover.text)
    let child = try pipe.giving { end throws(NetError) in
      try program.start([Handover.variable: "3"], passing: [text.raw, end] + descriptors)
    }
    let deadline = Instant.now().advanced(by: settings.limits.upgradeTimeout)
    return Upgrade(child, pipe, deadline: deadline, for: question)
  }

  /// The new process has said something, or has ended.
  func hearUpgrade(_ shared: Shared, _ admin: AdminSocket?, _ poller: borrowing Poller, _ watched: inout Int32?, _ draining: inout Instant?)
  {
    guard let upgrade, let said = upgrade.pipe.heard() else { return }
    switch Handover.Outcome(said) {
    case .ready(let left):
      finish(upgrade, poller)
      successor = upgrade.child
      let pid = upgrade.child.pid
      let words = "process \(pid) serves now, and process \(getpid()) finishes what runs"
      errors.notice("upgrade: \(words)")
      // In this order: whoever asks now is answered by the new one.
      if !left.contains(places.current.count + 1) { admin?.handOver(poller) }
      ServiceManager.notify("MAINPID=\(pid)\nREADY=1\nSTATUS=serving")
      if upgrade.owesReload { upgrade.child.send(.hangup) }
      if upgrade.owesReopening { upgrade.child.send(.user1) }
      draining = startDraining(replacedBut: left)
      if let question = upgrade.question { admin?.answer(question, AdminAnswer(words), poller, now: Instant.now()) }
    case .failed(let why):
      upgrade.child.end()
      fail(upgrade, "the new process did not start", why.split(separator: "\n").map(String.init), shared, admin, poller, &watched)
    case nil:
      let code = upgrade.child.end()
      let how = code > 128 ? "was ended by signal \(code - 128)" : "ended with exit code \(code)"
      fail(upgrade, "the new process \(how) before it was ready", [], shared, admin, poller, &watched)
    }
  }

  /// It has taken too long, unless it has said something since, and we had no time to listen.
  func expireUpgrade(
    _ shared: Shared, _ admin: AdminSocket?, _ poller: borrowing Poller, _ watched: inout Int32?, _ draining: inout Instant?
  ) {
    guard let due = upgrade?.deadline, Instant.now() >= due else { return }
    hearUpgrade(shared, admin, poller, &watched, &draining)
    guard let upgrade else { return }
    upgrade.child.end()
    let time = settings.limits.upgradeTimeout.wholeMilliseconds
    fail(upgrade, "the new process was not ready within \(time) ms (`upgrade_timeout`)", [], shared, admin, poller, &watched)
  }

  /// This process is to end, and nobody is to take its place any more. Who has done so already, and serves clients, is told to end as this one is.
  ///
  /// - Returns: true where this process drains by that.
  func giveUpgradeUp(
    _ shared: Shared, _ admin: AdminSocket?, _ poller: borrowing Poller, _ watched: inout Int32?, _ draining: inout Instant?
  ) -> Bool {
    guard let child = upgrade?.child else { return false }
    hearUpgrade(shared, admin, poller, &watched, &draining)
    guard let upgrade else {
      if draining == nil { return false }
      child.send(.terminate)
      errors.notice("upgrade: process \(child.pid) is told to end too")
      return true
    }
    finish(upgrade, poller)
    upgrade.child.end()
    errors.error("upgrade: given up, since this process is to end")
    if let question = upgrade.question {
      admin?.answer(question, AdminAnswer(error: "given up: the server was told to end"), poller, now: Instant.now())
    }
    return false
  }

  private func finish(_ upgrade: Upgrade, _ poller: borrowing Poller) {
    poller.remove(upgrade.pipe.descriptor)
    self.upgrade = nil
  }

  private func fail(
    _ upgrade: Upgrade, _ why: String, _ lines: [String], _ shared: Shared, _ admin: AdminSocket?, _ poller: borrowing Poller,
    _ watched: inout Int32?
  ) {
    finish(upgrade, poller)
    do { try places.reassert() } catch { errors.error("upgrade: what the new process changed of the sockets can't be set back: \(error)") }
    // What it says on standard error stands in the log already.
    let words = "\(why); process \(getpid()) goes on serving"
    errors.error("upgrade: \(words)")
    if let question = upgrade.question { admin?.answer(question, AdminAnswer(error: words, lines: lines), poller, now: Instant.now()) }
    if upgrade.owesReload { _ = reload(shared, poller, &watched) }
  }
}
