// libcurl's sockets as the poller knows them. libcurl asks for ADD and REMOVE around every request; two epoll_ctl a request were a third
// of an upstream's cost, so a registration stays while the connection lives and only real changes reach the kernel.

import CCurl
import Glibc
import Net
import Primitives

/// One record per descriptor that libcurl opened, by number.
struct SocketTable {
  struct Entry {
    var isOpen = false
    /// A connection's socket, whose opening and closing we are told of. Others (the resolver's wake-up pair) come and go unannounced, so
    /// their registration follows libcurl's word exactly.
    var isConnection = false
    /// A connection of our own engine: libcurl's word counts no longer, and `wanted` is exactly what epoll is to have.
    var isOurs = false
    /// What libcurl wants now: bits of CURL_POLL_IN and CURL_POLL_OUT.
    var wanted: Int32 = 0
    /// What epoll has: the same bits, 0 when it is not registered.
    var registered: Int32 = 0
    /// Moves on at each close, so that an event for the old socket can't reach the new one of the same number.
    var generation: UInt32 = 0
    /// The transfer that used it last.
    var owner: SlotToken?
    var isDirty = false
  }

  private(set) var entries: [Entry] = []
  private var dirty: [Int32] = []
  /// Whether the kernel is to be told something.
  var hasChanges: Bool { !dirty.isEmpty }
  /// How often the kernel was told of a change: for tests, since this is what costs.
  private(set) var changes = 0
  private let remover: Poller.Remover

  init(_ remover: Poller.Remover) {
    self.remover = remover
  }

  mutating func opened(_ fd: Int32) {
    while entries.count <= Int(fd) { entries.append(Entry()) }
    // Of the end of the one before we need not have been told: `want`.
    let generation = entries[Int(fd)].isOpen ? entries[Int(fd)].generation &+ 1 : entries[Int(fd)].generation
    entries[Int(fd)] = Entry(isOpen: true, isConnection: true, generation: generation)
  }

  /// The descriptor was closed: the kernel dropped its registration with it.
  mutating func closed(_ fd: Int32) {
    guard Int(fd) < entries.count else { return }
    let generation = entries[Int(fd)].generation &+ 1
    entries[Int(fd)] = Entry(generation: generation)
  }

  /// A connection that libcurl made is our own engine's from now on, which reads it.
  mutating func adopt(_ fd: Int32) {
    entries[Int(fd)].isOurs = true
    setInterest(fd, CURL_POLL_IN)
  }

  /// What our own engine wants to be told of its connection.
  mutating func setInterest(_ fd: Int32, _ wanted: Int32) {
    entries[Int(fd)].wanted = wanted
    if entries[Int(fd)].registered != wanted && !entries[Int(fd)].isDirty {
      entries[Int(fd)].isDirty = true
      dirty.append(fd)
    }
  }

  /// libcurl's socket callback: `what` is CURL_POLL_NONE, IN, OUT, INOUT or REMOVE.
  mutating func want(_ fd: Int32, _ what: Int32, owner: SlotToken?) {
    while entries.count <= Int(fd) { entries.append(Entry()) }
    if entries[Int(fd)].isOurs { return }
    entries[Int(fd)].isOpen = true
    entries[Int(fd)].wanted = what & 3
    if what & 3 != 0, let owner { entries[Int(fd)].owner = owner }
    guard entries[Int(fd)].isConnection else {
      if what & 3 == 0 {
        // At once: libcurl closes it next, and by the end of the turn its number may be that of a client's connection.
        if entries[Int(fd)].registered != 0 { remover.remove(fd) }
        entries[Int(fd)].registered = 0
        entries[Int(fd)].isOpen = false
        entries[Int(fd)].generation &+= 1
        return
      }
      if !entries[Int(fd)].isDirty {
        entries[Int(fd)].isDirty = true
        dirty.append(fd)
      }
      return
    }
    if what & 3 == 0 && entries[Int(fd)].registered == CURL_POLL_OUT {
      // An attempt to connect has ended. libcurl (7.88.1) closes its socket without a word when it came to nothing, and by the end of the turn
      // the number may be that of a client's connection, which must not be taken from the poller: now it is nobody's yet.
      guard remover.remove(fd) else { return closed(fd) }
      changes += 1
      entries[Int(fd)].registered = 0
      return
    }
    // Reading stays registered when libcurl lets go: the next request on this connection needs it again.
    let missing = what & 3 & ~entries[Int(fd)].registered
    let superfluousWrite = entries[Int(fd)].registered & CURL_POLL_OUT & ~what != 0
    // Of a paused transfer only the sending half is wanted: unread bytes would wake us in circles.
    let superfluousRead = what & 3 == CURL_POLL_OUT && entries[Int(fd)].registered & CURL_POLL_IN != 0
    if (missing != 0 || superfluousWrite || superfluousRead) && !entries[Int(fd)].isDirty {
      entries[Int(fd)].isDirty = true
      dirty.append(fd)
    }
  }

  /// Tells the poller what changed since the last call.
  mutating func apply(to poller: borrowing Poller, kind: UInt8) {
    guard !dirty.isEmpty else { return }
    for fd in dirty {
      let i = Int(fd)
      entries[i].isDirty = false
      guard entries[i].isOpen else { continue }
      // Keep IN beside nothing; never beside OUT alone, or unread bytes would wake us in circles.
      let keepsReading = entries[i].wanted == 0 && entries[i].isConnection && !entries[i].isOurs
      let target = keepsReading ? entries[i].registered & CURL_POLL_IN : entries[i].wanted
      guard target != entries[i].registered else { continue }
      register(fd, target, poller, kind)
    }
    dirty.removeAll(keepingCapacity: true)
  }

  /// Stops watching a descriptor, whose events nobody wants at present.
  mutating func unregister(_ fd: Int32, from poller: borrowing Poller) {
    guard Int(fd) < entries.count, entries[Int(fd)].registered != 0 else { return }
    poller.remove(fd)
    changes += 1
    entries[Int(fd)].registered = 0
  }

  private mutating func register(_ fd: Int32, _ target: Int32, _ poller: borrowing Poller, _ kind: UInt8) {
    var interest: Interest = []
    if target & CURL_POLL_IN != 0 { interest.insert(.read) }
    if target & CURL_POLL_OUT != 0 { interest.insert(.write) }
    let token = EventToken(kind: kind, slot: SlotToken(slot: UInt32(fd), generation: entries[Int(fd)].generation))
    changes += 1
    do {
      if target == 0 {
        poller.remove(fd)
      } else if entries[Int(fd)].registered == 0 {
        try poller.add(fd, interest, token)
      } else {
        try poller.modify(fd, interest, token)
      }
      entries[Int(fd)].registered = target
    } catch {
      // ENOMEM or ENOSPC (epoll_ctl(2)): the transfer on it will run into its timeout, which is its answer.
      entries[Int(fd)].registered = 0
    }
  }
}
