// Listening sockets: addresses, shared ports, running out of descriptors.

import FoundationEssentials
import Glibc
import Net
import Primitives
import Testing

@Suite struct ListenerTests {
  private func options(_ text: String) throws -> ListenOptions {
    ListenOptions(address: try SocketAddress(parsing: text))
  }

  /// Accepts one connection that is on its way, and answers its peer.
  private func acceptOne(_ listener: borrowing Listener) -> SocketAddress? {
    guard becomes(listener.descriptor, POLLIN), case .accepted(_, let peer) = listener.accept() else { return nil }
    return peer
  }

  /// That nobody is waiting. (A function, since `#expect` can't take apart an expression of what can't be copied.)
  private func expectIdle(_ listener: borrowing Listener) {
    guard case .wouldBlock = listener.accept() else {
      Issue.record("a connection was waiting")
      return
    }
  }

  @Test func portZeroBecomesARealOne() throws {
    let listener = try Listener.bind(options("127.0.0.1:0"))
    #expect(listener.localAddress.port != 0)
    expectIdle(listener)
    let client = try Stream.connect(to: listener.localAddress)
    let peer = acceptOne(listener)
    #expect(peer?.host == "127.0.0.1")
    #expect(peer?.port != 0)
    _ = consume client
  }

  @Test func acceptedSocketIsNonBlockingAndHasNoDelay() throws {
    let listener = try Listener.bind(options("127.0.0.1:0"))
    let client = try Stream.connect(to: listener.localAddress)
    #expect(becomes(listener.descriptor, POLLIN))
    guard case .accepted(let accepted, _) = listener.accept() else {
      Issue.record("nothing was accepted")
      return
    }
    #expect(fcntl(accepted.raw, F_GETFL) & O_NONBLOCK != 0)
    #expect(fcntl(accepted.raw, F_GETFD) & FD_CLOEXEC != 0)
    var value: Int32 = 0
    var size = socklen_t(4)
    #expect(unsafe getsockopt(accepted.raw, Int32(IPPROTO_TCP), TCP_NODELAY, &value, &size) == 0)
    #expect(value != 0)
    _ = consume client
  }

  @Test func reusedPortIsSharedAndGivesEveryConnectionToOne() throws {
    let first = try Listener.bind(options("127.0.0.1:0"), reusePort: true)
    let second = try Listener.bind(ListenOptions(address: first.localAddress), reusePort: true)
    #expect(second.localAddress == first.localAddress)
    var poller = try Poller(capacity: 4)
    try poller.add(first.descriptor, .read, .of(1, 0, 0))
    try poller.add(second.descriptor, .read, .of(2, 0, 0))
    var peers: [SocketAddress?] = []
    for _ in 0..<20 {
      let client = try Stream.connect(to: first.localAddress)
      #expect(poller.collect() == 1)
      switch poller.event(0).token.kind {
      case 1: peers.append(acceptOne(first))
      default: peers.append(acceptOne(second))
      }
      _ = consume client
    }
    #expect(Set(peers.compactMap { $0 }).count == 20)
  }

  @Test func portInUseIsRefused() throws {
    let first = try Listener.bind(options("127.0.0.1:0"))
    let doing = "listen on \(first.localAddress.text)"
    #expect(throws: NetError.system(doing: doing, errno: EADDRINUSE)) {
      _ = try Listener.bind(ListenOptions(address: first.localAddress))
    }
  }

  @Test func secondServerOnASharedPortIsNoticed() throws {
    // Several tries: once given up, the port may be anybody's, such as another test's that connects somewhere.
    let freed = try (0..<20).contains { _ in
      let first = try Listener.bind(options("127.0.0.1:0"), reusePort: true)
      let options = ListenOptions(address: first.localAddress)
      let doing = "listen on \(first.localAddress.text)"
      #expect(throws: NetError.system(doing: doing, errno: EADDRINUSE)) { try Listener.ensureFree(options) }
      _ = consume first
      return (try? Listener.ensureFree(options)) != nil
    }
    #expect(freed)
  }

  @Test func everyAddressTakesBothFamiliesAndNamesThemApart() throws {
    let listener = try Listener.bind(options("*:0"))
    let port = listener.localAddress.port
    #expect(port != 0)
    let four = try Stream.connect(to: .ipv4(address: 0x7F00_0001, port: port))
    let peer = acceptOne(listener)
    #expect(peer?.host == "127.0.0.1", "not ::ffff:127.0.0.1")
    if let six = try? Stream.connect(to: .ipv6(high: 0, low: 1, scope: 0, port: port)) {
      let peer = acceptOne(listener)
      #expect(peer?.host == "::1")
      _ = consume six
    }
    _ = consume four
  }

  @Test func ipv6WildcardStandsBesideIPv4s() throws {
    let four = try Listener.bind(options("0.0.0.0:0"))
    do throws(NetError) {
      let six = try Listener.bind(ListenOptions(address: .ipv6(high: 0, low: 0, scope: 0, port: four.localAddress.port)))
      #expect(six.localAddress.port == four.localAddress.port)
    } catch {
      guard case .system(_, let errno) = error, errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL else { throw error }
      // A machine without IPv6.
    }
    _ = consume four
  }

  @Test func duplicateAcceptsFromTheSameSocket() throws {
    let scratch = Scratch()
    let listener = try Listener.bind(options("unix:\(scratch.file("s"))"))
    let copy = try listener.duplicate()
    #expect(copy.descriptor != listener.descriptor)
    let client = try Stream.connect(to: listener.localAddress)
    let peer = acceptOne(copy)
    #expect(peer?.isUnix == true)
    expectIdle(listener)
    _ = consume client
    _ = consume copy
  }

  @Test func exclusiveInterestOnASharedListenerWakes() throws {
    let scratch = Scratch()
    let listener = try Listener.bind(options("unix:\(scratch.file("s"))"))
    var poller = try Poller(capacity: 4)
    try poller.add(listener.descriptor, [.read, .exclusive], .of(1, 0, 0))
    let client = try Stream.connect(to: listener.localAddress)
    #expect(poller.collect() == 1)
    let removed = poller.remove(listener.descriptor)
    #expect(removed)
    #expect(poller.collectNow() == 0)
    try poller.add(listener.descriptor, [.read, .exclusive], .of(1, 0, 0))
    #expect(poller.collect() == 1)
    _ = consume client
  }

  /// A connection that the kernel has completed, and nobody has accepted.
  private func knock(_ address: SocketAddress) throws -> Stream {
    let client = try Stream.connect(to: address)
    #expect(becomes(client.descriptor, POLLOUT))
    return client
  }

  @Test func whoHasKnockedIsLetInAndNobodyElse() throws {
    let listener = try Listener.bind(options("127.0.0.1:0"), reusePort: true)
    let early = try knock(listener.localAddress)
    listener.refuseNewcomers()
    let late = try Stream.connect(to: listener.localAddress)
    let peer = acceptOne(listener)
    #expect(peer != nil)
    expectIdle(listener)
    // Neither let in nor refused: it would try again.
    var one = pollfd(fd: late.descriptor, events: Int16(POLLOUT), revents: 0)
    #expect(unsafe poll(&one, 1, 200) == 0)
    _ = consume early
  }

  @Test func aUnixSocketLetsInWhoHasKnockedAndRefusesOthers() throws {
    let scratch = Scratch()
    let listener = try Listener.bind(options("unix:\(scratch.file("s"))"))
    let early = try knock(listener.localAddress)
    listener.refuseNewcomers()
    #expect(throws: NetError.system(doing: "connect to \(listener.localAddress.text)", errno: ECONNREFUSED)) {
      _ = try Stream.connect(to: listener.localAddress)
    }
    let peer = acceptOne(listener)
    #expect(peer != nil)
    expectIdle(listener)
    _ = consume early
  }

  @Test func aPassedSocketIsTakenAsItIs() throws {
    let scratch = Scratch()
    for text in ["127.0.0.1:0", "*:0", "[::1]:0", "unix:\(scratch.file("p"))"] {
      guard let made = try? Listener.bind(options(text)) else { continue }
      let raw = dup(made.descriptor)
      _ = fcntl(raw, F_SETFL, 0)
      let taken = try Listener.taking(FileDescriptor(owning: raw))
      #expect(taken.localAddress == made.localAddress)
      #expect(fcntl(raw, F_GETFD) & FD_CLOEXEC != 0 && fcntl(raw, F_GETFL) & O_NONBLOCK != 0)
      expectIdle(taken)
      let client = try knock(made.localAddress)
      let peer = acceptOne(taken)
      #expect(peer != nil)
      // Not ours to remove.
      taken.removeFile()
      _ = consume client
      _ = consume made
    }
    #expect(unsafe access(scratch.file("p"), F_OK) == 0)
  }

  @Test func whatIsNoListenerIsNotTaken() throws {
    let pair = SocketPair()
    let kinds: [(String, Int32)] = [
      ("a connection", dup(pair.a.raw)), ("a file", unsafe open("/dev/null", O_RDONLY)), ("nothing", 999),
      ("a datagram socket", socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)),
      ("a bare socket", socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)),
    ]
    for (name, raw) in kinds {
      do {
        _ = try Listener.taking(FileDescriptor(owning: raw))
        Issue.record("\(name) was taken")
      } catch {
        guard case .notListening = error else { throw error }
      }
    }
  }

  @Test func optionsChangeWhereItStands() throws {
    var options = try options("127.0.0.1:0")
    let listener = try Listener.bind(options)
    options.backlog = 0
    options.fastOpen = 5
    try listener.apply(options)
    // A backlog of 0 lets one wait.
    let first = try knock(listener.localAddress)
    let second = try Stream.connect(to: listener.localAddress)
    var one = pollfd(fd: second.descriptor, events: Int16(POLLOUT), revents: 0)
    #expect(unsafe poll(&one, 1, 100) == 0)
    var value: Int32 = 0
    var size = socklen_t(4)
    #expect(unsafe getsockopt(listener.descriptor, Int32(IPPROTO_TCP), TCP_FASTOPEN, &value, &size) == 0 && value == 5)
    options.backlog = 16
    try listener.apply(options)
    #expect(becomes(second.descriptor, POLLOUT), "it tries again a second later")
    _ = consume first
  }

  @Test func anInterfaceThatIsNotThereIsSaid() throws {
    var options = try options("127.0.0.1:0")
    options.interface = "nosuch0"
    #expect(throws: NetError.system(doing: "listen on 127.0.0.1:0 by way of nosuch0", errno: ENODEV)) { _ = try Listener.bind(options) }
  }

  @Test func placesThatCoverEachOther() throws {
    let covering = [
      ("*:80", "127.0.0.1:80"), ("*:80", "[::1]:80"), ("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("*:80", "*:80"),
      ("127.0.0.1:80", "127.0.0.1:80"),
    ]
    let apart = [
      ("127.0.0.1:80", "127.0.0.2:80"), ("0.0.0.0:80", "[::]:80"), ("*:80", "*:81"), ("*:0", "*:0"), ("unix:/a", "unix:/a"),
      ("systemd:a", "systemd:a"), ("[::1]:80", "[::2]:80"),
    ]
    for (a, b) in covering { #expect(try options(a).overlaps(options(b)) && options(b).overlaps(options(a)), "\(a) \(b)") }
    for (a, b) in apart { #expect(try !options(a).overlaps(options(b)) && !options(b).overlaps(options(a)), "\(a) \(b)") }
    var one = try options("*:80")
    var other = one
    (one.interface, other.interface) = ("eth0", "eth1")
    #expect(!one.overlaps(other) && !one.isSamePlace(as: other) && one.place == "*:80%eth0")
    other.interface = nil
    #expect(one.overlaps(other))
  }

  @Test func runningOutOfDescriptorsIsSaidAndSurvived() async {
    // In a process of its own, whose limit can be lowered without harm to others.
    await #expect(processExitsWith: .success) {
      let listener = try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0")))
      var clients: [Int32] = []
      for _ in 0..<2 {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = listener.localAddress.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: address) { pointer in
          unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(raw, $0, 16) }
        }
        precondition(result == 0)
        clients.append(raw)
      }
      // The next free number is beyond the limit.
      let next = dup(listener.descriptor)
      _ = close(next)
      var limit = rlimit()
      precondition(unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0)
      let before = limit
      limit.rlim_cur = rlim_t(next)
      precondition(unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0)
      for _ in 0..<3 {
        guard case .exhausted(EMFILE) = listener.accept() else { preconditionFailure("expected EMFILE") }
      }
      var poller = try? Poller(capacity: 1)
      precondition(poller == nil, "no descriptor for a poller either")
      limit = before
      precondition(unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0)
      poller = try Poller(capacity: 1)
      for _ in 0..<2 {
        guard case .accepted = listener.accept() else { preconditionFailure("the connections were lost") }
      }
      guard case .wouldBlock = listener.accept() else { preconditionFailure("more than there were") }
    }
  }
}
