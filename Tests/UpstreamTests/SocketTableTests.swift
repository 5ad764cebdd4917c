// Registrations against a real epoll instance: they stay while a connection lives, and never outlive it.

import Glibc
import Net
import Primitives
import Testing

@testable import Upstream

// curl/multi.h
private let CURL_POLL_IN: Int32 = 1
private let CURL_POLL_OUT: Int32 = 2
private let CURL_POLL_INOUT: Int32 = 3
private let CURL_POLL_REMOVE: Int32 = 4

/// A table, a poller, and a connected socket whose other end is at hand.
private struct Table: ~Copyable {
  var sockets: SocketTable
  var poller: Poller
  let fd: Int32
  let peer: Int32

  init() throws {
    poller = try Poller(capacity: 8)
    sockets = SocketTable(poller.remover)
    var pair: [Int32] = [-1, -1]
    #expect(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &pair) == 0)
    (fd, peer) = (pair[0], pair[1])
  }

  deinit {
    close(fd)
    close(peer)
  }

  mutating func want(_ what: Int32) {
    sockets.want(fd, what, owner: nil)
    sockets.apply(to: poller, kind: 1)
  }

  /// Events at this moment.
  mutating func ready() -> Readiness {
    let count = poller.wait(until: Instant(nanoseconds: 0), now: Instant.now())
    return count == 0 ? [] : poller.event(0).readiness
  }

  func feed() { unsafe _ = write(peer, "x", 1) }

  var entry: SocketTable.Entry { sockets.entries[Int(fd)] }
}

@Suite struct SocketTableTests {
  @Test func readingStaysRegisteredBetweenRequests() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    table.want(CURL_POLL_IN)
    let before = table.sockets.changes
    for _ in 0..<10 {
      table.want(CURL_POLL_REMOVE)
      table.want(CURL_POLL_IN)
    }
    #expect(table.sockets.changes == before)
    table.feed()
    #expect(table.ready() == .readable)
  }

  @Test func writingIsRegisteredOnlyWhileItIsWanted() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    table.want(CURL_POLL_INOUT)
    #expect(table.ready() == .writable)
    table.want(CURL_POLL_IN)
    #expect(table.ready() == [])
    table.want(CURL_POLL_OUT)
    #expect(table.ready() == .writable)
    table.want(CURL_POLL_REMOVE)
    #expect(table.ready() == [])
  }

  @Test func unreadBytesDoNotWakeWhoOnlyWrites() throws {
    // A response that the client does not read, while the request is still going out.
    var table = try Table()
    table.sockets.opened(table.fd)
    table.feed()
    table.want(CURL_POLL_INOUT)
    #expect(table.ready() == [.readable, .writable])
    table.want(CURL_POLL_OUT)
    #expect(table.ready() == .writable)
    table.want(CURL_POLL_INOUT)
    #expect(table.ready() == [.readable, .writable])
  }

  @Test func changesWithinOneTurnReachTheKernelOnce() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    table.sockets.want(table.fd, CURL_POLL_OUT, owner: nil)
    table.sockets.want(table.fd, CURL_POLL_INOUT, owner: nil)
    table.sockets.want(table.fd, CURL_POLL_IN, owner: nil)
    table.sockets.apply(to: table.poller, kind: 1)
    #expect(table.sockets.changes == 1 && table.entry.registered == CURL_POLL_IN)
  }

  @Test func unwatchedSocketIsWatchedAgainWhenItIsWanted() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    table.want(CURL_POLL_IN)
    table.sockets.unregister(table.fd, from: table.poller)
    table.feed()
    #expect(table.ready() == [])
    table.want(CURL_POLL_IN)
    #expect(table.ready() == .readable)
  }

  @Test func closedSocketsNumberBelongsToNobody() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    table.want(CURL_POLL_IN)
    let first = table.entry.generation
    table.sockets.want(table.fd, CURL_POLL_REMOVE, owner: nil)
    table.sockets.closed(table.fd)
    #expect(!table.entry.isOpen && table.entry.registered == 0 && table.entry.generation == first + 1)
    table.sockets.opened(table.fd)
    #expect(table.entry.generation == first + 1, "an event for the old socket would reach the new one")
  }

  @Test func closeBetweenWantingAndTellingLeavesTheNumberAlone() throws {
    // libcurl closes a socket; the number is a client's by the time the kernel is told.
    var table = try Table()
    table.sockets.opened(table.fd)
    table.want(CURL_POLL_INOUT)
    table.sockets.want(table.fd, CURL_POLL_IN, owner: nil)
    table.sockets.closed(table.fd)
    table.poller.remove(table.fd)
    try table.poller.add(table.fd, .read, EventToken(kind: 2))
    table.sockets.apply(to: table.poller, kind: 1)
    table.feed()
    #expect(table.ready() == .readable, "the client's registration was taken away")
  }

  @Test func attemptThatIsGivenUpWithoutAWordLeavesTheNumberAlone() throws {
    // libcurl closes the socket of an attempt to connect by itself, then says that it does not want it any more.
    var table = try Table()
    let number = fcntl(table.peer, F_DUPFD_CLOEXEC, 0)
    table.sockets.opened(number)
    table.sockets.want(number, CURL_POLL_OUT, owner: nil)
    table.sockets.apply(to: table.poller, kind: 1)
    let first = table.sockets.entries[Int(number)].generation
    table.poller.remove(number)
    close(number)
    table.sockets.want(number, CURL_POLL_REMOVE, owner: nil)
    let entry = table.sockets.entries[Int(number)]
    #expect(!entry.isOpen && entry.generation == first + 1)
    // The number is a client's from now on.
    #expect(dup2(table.fd, number) == number)
    defer { close(number) }
    try table.poller.add(number, .read, EventToken(kind: 2))
    table.sockets.apply(to: table.poller, kind: 1)
    table.feed()
    #expect(table.ready() == .readable, "the client's registration was taken away")
  }

  @Test func attemptOfWhoseEndNobodyToldIsNotTakenForTheNextOne() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    let first = table.entry.generation
    table.sockets.opened(table.fd)
    #expect(table.entry.generation == first + 1)
  }

  @Test func resolversSocketIsLetGoAtOnce() throws {
    // Its opening and closing are not announced: what libcurl gives up may be another's before the turn is over.
    var table = try Table()
    table.want(CURL_POLL_IN)
    table.feed()
    #expect(table.ready() == .readable)
    table.sockets.want(table.fd, CURL_POLL_REMOVE, owner: nil)
    let wasRegistered = table.poller.remove(table.fd)
    #expect(!wasRegistered)
    try table.poller.add(table.fd, .read, EventToken(kind: 2))
    table.sockets.apply(to: table.poller, kind: 1)
    #expect(table.ready() == .readable, "the client's registration was taken away")
  }

  @Test func eventsBearTheSocketsNumberAndGeneration() throws {
    var table = try Table()
    table.sockets.opened(table.fd)
    table.sockets.closed(table.fd)
    table.sockets.opened(table.fd)
    table.want(CURL_POLL_IN)
    table.feed()
    #expect(table.poller.wait(until: nil, now: Instant.now()) == 1)
    let token = table.poller.event(0).token
    #expect(token == EventToken(kind: 1, slot: SlotToken(slot: UInt32(table.fd), generation: 1)))
  }
}
