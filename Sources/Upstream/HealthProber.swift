// Asks servers whether they are well (`health`), on a thread of its own: one libcurl multi handle, all checks at once, nobody's request among them.
// What it learns stands in `MemberState`; who is told is the caller's.

import CCurl
public import Net
import Primitives
import Synchronization

/// Checks the servers of those upstreams that say so.
@safe public final class HealthProber: Sendable {
  /// What checks found out.
  public enum News: Sendable {
    /// It gets no requests, for this reason: no secret.
    case unwell(String)
    case well
    /// It can't be checked: libcurl has no memory for it.
    case unchecked
  }

  /// An upstream, the server's place and what there is to say.
  public typealias Listener = @Sendable (_ upstream: String, _ place: String, _ news: News) -> Void

  private struct Wish {
    var groups: [(UpstreamGroup, GroupState)] = []
    var isNew = false
    var isOver = false
  }

  private let wish = Mutex(Wish())
  /// libcurl lets other threads wake it (curl_multi_wakeup(3)); all else is done by the prober's own.
  private nonisolated(unsafe) let multi: UnsafeMutableRawPointer
  private let listener: Listener
  private let thread = Mutex<Net.Thread?>(nil)

  /// - Throws: `UpstreamFailure` when libcurl has no memory.
  public init(_ listener: @escaping Listener) throws(UpstreamFailure) {
    guard UpstreamClient.initialized, let multi = unsafe curl_multi_init() else { throw UpstreamFailure(.exhausted, "libcurl could not be initialized") }
    unsafe self.multi = multi
    self.listener = listener
  }

  deinit {
    unsafe curl_multi_cleanup(multi)
  }

  /// From now on those of `groups` are checked that have a `health`; servers that were checked before are not asked anew for that. The thread is
  /// started with the first.
  public func adopt(_ groups: [(UpstreamGroup, GroupState)]) throws(NetError) {
    let checked = groups.filter { $0.0.health != nil }
    wish.withLock { wish in
      wish.groups = checked
      wish.isNew = true
    }
    let isRunning = thread.withLock { $0 != nil }
    if isRunning {
      unsafe _ = curl_multi_wakeup(multi)
    } else if !checked.isEmpty {
      let thread = try Threads.spawn(name: "health") { [self] in run() }
      self.thread.withLock { $0 = thread }
    }
  }

  /// Ends the thread, and waits for it.
  public func finish() {
    wish.withLock { $0.isOver = true }
    unsafe _ = curl_multi_wakeup(multi)
    thread.withLock { $0 }?.join()
  }

  // MARK: The thread

  private func run() {
    var subjects: [Subject] = []
    while true {
      let (groups, isOver) = wish.withLock { wish -> ([(UpstreamGroup, GroupState)]?, Bool) in
        defer { wish.isNew = false }
        return (wish.isNew ? wish.groups : nil, wish.isOver)
      }
      if let groups { subjects = adopted(groups, instead: subjects) }
      if isOver {
        for subject in subjects { end(subject) }
        return
      }
      let now = Instant.now()
      for subject in subjects where !subject.isUnderWay && subject.due <= now { begin(subject, at: now) }
      var running: Int32 = 0
      unsafe _ = curl_multi_perform(multi, &running)
      collect(subjects)
      let next = subjects.lazy.filter { !$0.isUnderWay }.map(\.due).min()
      // While none is under way or due: until somebody wakes us.
      let wait = next.map { Interval(nanoseconds: $0 > now ? $0.since(now) : 0).wholeMilliseconds + 1 } ?? 60_000
      unsafe _ = curl_multi_poll(multi, nil, 0, Int32(clamping: min(wait, 60_000)), nil)
    }
  }

  private func adopted(_ groups: [(UpstreamGroup, GroupState)], instead old: [Subject]) -> [Subject] {
    var left = old
    var subjects: [Subject] = []
    for (group, state) in groups {
      guard let check = group.health else { continue }
      for (i, member) in group.members.enumerated() {
        let same = left.firstIndex { $0.state === state.members[i] && $0.check == check && $0.options == member.options }
        if let same {
          subjects.append(left.remove(at: same))
          subjects[subjects.count - 1].group = state
        } else if let fresh = Subject(check, member.options, state.members[i], state) {
          subjects.append(fresh)
        } else {
          listener(group.name, member.options.place, .unchecked)
        }
      }
    }
    for subject in left {
      end(subject)
      // Of the old configuration, said when the new one was in force already.
      if !subjects.contains(where: { $0.state === subject.state }) { subject.state.isUnchecked() }
    }
    return subjects
  }

  private func begin(_ subject: Subject, at now: Instant) {
    subject.begin(at: now)
    if unsafe curl_multi_add_handle(multi, subject.easy) == CURLM_OK { subject.isUnderWay = true }
  }

  private func end(_ subject: Subject) {
    if subject.isUnderWay { unsafe _ = curl_multi_remove_handle(multi, subject.easy) }
    subject.isUnderWay = false
  }

  private func collect(_ subjects: [Subject]) {
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(multi, &left) {
      guard unsafe message.pointee.msg == CURLMSG_DONE, let subject = subjects.first(where: { unsafe $0.easy == message.pointee.easy_handle })
      else { continue }
      let code = unsafe gh_message_result(message)
      end(subject)
      subject.ended(code, listener)
    }
  }
}

/// One server that is checked, and the handle with which it is. The prober's thread alone has it.
@safe private final class Subject {
  let check: HealthCheck
  let options: UpstreamOptions
  let state: MemberState
  /// Whose requests may wait for it.
  var group: GroupState
  let easy: UnsafeMutableRawPointer
  private let errorText = ErrorText()
  private let connectTo: StringList
  private let fields: StringList
  private var record = HealthCheck.Record()
  private(set) var due = Instant(nanoseconds: 0)
  var isUnderWay = false
  /// Bytes of a body, which nobody reads.
  private var received = 0
  private static let mostReceived = 64 << 10

  /// Nil when libcurl has no memory, or can't do what is asked.
  init?(_ check: HealthCheck, _ options: UpstreamOptions, _ state: MemberState, _ group: GroupState) {
    guard let easy = unsafe curl_easy_init() else { return nil }
    unsafe self.easy = easy
    self.check = check
    self.options = options
    self.state = state
    self.group = group
    connectTo = CurlOptions.connectTo(options)
    fields = StringList("Host: \(check.host ?? options.authority)")
    let isReady = unsafe CurlOptions.prepareCheck(
      easy, of: options, check, error: errorText, connectTo: connectTo, fields: fields, write: Self.write,
      data: Unmanaged.passUnretained(self).toOpaque())
    if !isReady { return nil }
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
  }

  func begin(at now: Instant) {
    due = now.advanced(by: check.period)
    received = 0
    errorText.clear()
  }

  private static let write: gh_data_callback = { _, size, count, pointer in
    guard let pointer = unsafe pointer else { return 0 }
    let subject = unsafe Unmanaged<Subject>.fromOpaque(pointer).takeUnretainedValue()
    subject.received += size * count
    // Enough: the status is known, and a body without end is none of ours.
    return subject.received > mostReceived ? 0 : size * count
  }

  func ended(_ code: CURLcode, _ listener: HealthProber.Listener) {
    var status = 0
    unsafe _ = gh_easy_get_long(easy, CURLINFO_RESPONSE_CODE, &status)
    let isWhole = code == CURLE_OK || code == CURLE_WRITE_ERROR && received > Self.mostReceived
    let succeeded = isWhole && check.expected.contains(status)
    let isNews = record.note(succeeded, check)
    if record.isWell {
      // At each check, not only when it is news: it may have been ejected meanwhile, and its time may be over.
      if succeeded && state.isFoundWell(at: .now()) {
        listener(group.name, state.place, .well)
        group.line.tellFirst()
      }
    } else if isNews {
      let text = isWhole ? "its health check was answered with \(status)" : "its health check failed: \(reason(code))"
      if state.isFound(unwell: text) { listener(group.name, state.place, .unwell(text)) }
    }
  }

  private func reason(_ code: CURLcode) -> String {
    let text = errorText.text
    return text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text
  }
}
