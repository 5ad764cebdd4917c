// Which sockets a configuration keeps, opens and leaves; and that a plan that fails leaves nothing behind.

import Glibc
import Net
import Primitives
import Testing

@testable import Proxy

@Suite struct ListeningPlacesTests {
  private let scratch = Scratch()

  private func listener(_ text: String, _ change: (inout ListenOptions) -> Void = { _ in }) throws -> ListenerSettings {
    var options = ListenOptions(address: try SocketAddress(parsing: text))
    change(&options)
    return ListenerSettings(socket: options)
  }

  private func adopt(_ places: inout ListeningPlaces, _ listeners: [ListenerSettings]) throws -> ListeningPlaces.Plan {
    let plan = try places.plan(listeners, now: .now())
    places.adopt(plan, now: .now())
    return plan
  }

  private func descriptors(_ places: ListeningPlaces) -> [[Int32]] { places.current.map { $0.sockets.map { $0.listener.descriptor } } }

  @Test func eachWorkerHasASocketOfItsOwn() throws {
    var places = ListeningPlaces(workers: 3)
    let plan = try adopt(
      &places, [listener("127.0.0.1:0"), listener("unix:\(scratch.file("s"))"), listener("127.0.0.1:0") { $0.reusesPort = false }])
    #expect(plan.opened == [0, 1, 2] && plan.closed.isEmpty)
    #expect(places.current.map(\.sockets.count) == [3, 1, 1])
    #expect(Set(places.current[0].sockets.map(\.address)).count == 1)
    for worker in 0..<3 { #expect(places.current.map { $0.sockets(of: worker, among: 3).count } == [1, 1, 1]) }
  }

  @Test func whatStaysKeepsItsSocketsInAnyOrder() throws {
    var places = ListeningPlaces(workers: 2)
    let (a, b) = (try listener("127.0.0.1:0"), try listener("unix:\(scratch.file("s"))"))
    _ = try adopt(&places, [a, b])
    let before = descriptors(places)
    let plan = try adopt(&places, [b, a, listener("127.0.0.2:0")])
    #expect(plan.opened == [2] && plan.closed.isEmpty)
    #expect(Array(descriptors(places)[..<2]) == before.reversed())
    let last = try adopt(&places, [a])
    #expect(last.opened.isEmpty && last.closed.map(\.name) == [b.socket.place, "127.0.0.2:0"])
    #expect(descriptors(places) == [before[0]])
  }

  @Test func twoOfAnyPortAreTwo() throws {
    var places = ListeningPlaces(workers: 1)
    let any = try listener("127.0.0.1:0")
    _ = try adopt(&places, [any, any])
    let before = descriptors(places)
    _ = try adopt(&places, [any, any])
    #expect(descriptors(places) == before)
    let plan = try adopt(&places, [any])
    #expect(plan.closed.count == 1 && descriptors(places) == [before[0]])
  }

  @Test func aPlanThatFailsLeavesNothingBehind() throws {
    var places = ListeningPlaces(workers: 2)
    let file = scratch.file("s")
    let kept = try listener("unix:\(file)") { $0.unixMode = 0o600 }
    _ = try adopt(&places, [kept])
    let other = try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0")))
    let (second, taken) = (scratch.file("t"), other.localAddress.text)
    #expect(throws: NetError.self) {
      _ = try places.plan(
        [listener("unix:\(file)") { $0.unixMode = 0o666 }, listener("unix:\(second)"), listener(taken)], now: .now())
    }
    var status = stat()
    #expect(unsafe lstat(file, &status) == 0 && status.st_mode & 0o777 == 0o600, "what was changed is changed back")
    #expect(places.current.map(\.name) == [kept.socket.place])
    #expect(unsafe access(second, F_OK) != 0, "and what was made is gone")
    _ = consume other
  }

  @Test func anotherServersPortIsTakenEvenIfItShares() throws {
    let other = try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0")), reusePort: true)
    let places = ListeningPlaces(workers: 1)
    let text = other.localAddress.text
    #expect(throws: NetError.self) { _ = try places.plan([listener(text)], now: .now()) }
    _ = consume other
  }

  @Test func anAddressMayBecomeOneThatCoversItAndBack() throws {
    var places = ListeningPlaces(workers: 2)
    _ = try adopt(&places, [listener("127.0.0.1:0")])
    let port = places.current[0].sockets[0].address.port
    for text in ["*:\(port)", "127.0.0.1:\(port)", "0.0.0.0:\(port)"] {
      let plan = try adopt(&places, [listener(text)])
      #expect(plan.opened == [0] && plan.closed.count == 1)
    }
  }

  private func inherited(_ count: Int, isShared: Bool = false) throws -> ListeningPlace {
    var options = ListenOptions(address: try SocketAddress(parsing: "127.0.0.1:0"))
    let sockets = try (0..<count).map { _ in
      let made = try Listener.bind(options, reusePort: !isShared)
      options.address = made.localAddress
      return SharedListener(made, isShared: isShared)
    }
    return ListeningPlace(name: "127.0.0.1:0", index: 4, sockets)
  }

  @Test func everySocketOfAnotherProcessHasAWorker() throws {
    var places = ListeningPlaces(workers: 2, inherited: [try inherited(5)])
    let before = descriptors(places)
    let plan = try adopt(&places, [listener("127.0.0.1:0")])
    #expect(plan.opened.isEmpty && descriptors(places) == before)
    let dealt = (0..<2).flatMap { places.current[0].sockets(of: $0, among: 2).map { $0.listener.descriptor } }
    #expect(dealt.sorted() == before[0].sorted())
  }

  @Test func aWorkerWithoutASocketGetsOne() throws {
    var places = ListeningPlaces(workers: 3, inherited: [try inherited(1)])
    _ = try adopt(&places, [listener("127.0.0.1:0")])
    #expect(places.current[0].sockets.count == 3 && Set(places.current[0].sockets.map(\.address)).count == 1)
  }

  @Test func whatIsOfNoUseIsToldByItsNumber() throws {
    var places = ListeningPlaces(workers: 1, inherited: [try inherited(1)])
    let plan = try adopt(&places, [listener("unix:\(scratch.file("s"))")])
    #expect(plan.closed.map(\.index) == [4])
  }

  @Test func reuseportStaysAsItWas() throws {
    var places = ListeningPlaces(workers: 2)
    _ = try adopt(&places, [listener("127.0.0.1:0")])
    let plan = try adopt(&places, [listener("127.0.0.1:0") { $0.reusesPort = false }])
    #expect(plan.notices.count == 1 && places.current[0].sockets.count == 2)
  }

  @Test func passedSocketsAreUsedOnceEach() throws {
    func passed(_ name: String) throws -> SharedListener {
      SharedListener(try Listener.bind(ListenOptions(address: SocketAddress(parsing: "127.0.0.1:0"))), isShared: true, passedName: name)
    }
    let sockets = [try passed("web"), try passed("web"), try passed("other")]
    var places = ListeningPlaces(workers: 2, passed: sockets)
    #expect(places.unused == ["web", "web", "other"])
    let plan = try adopt(&places, [listener("systemd:web"), listener(sockets[2].address.text)])
    #expect(plan.places.map(\.sockets.count) == [2, 1] && places.unused.isEmpty)
    #expect(places.current[0].sockets(of: 1, among: 2).count == 2, "all workers accept from each")
    #expect(throws: NetError.passedTwice(place: sockets[0].address.text, other: "systemd:web")) {
      _ = try places.plan([listener("systemd:web"), listener(sockets[0].address.text)], now: .now())
    }
    #expect(throws: NetError.notPassed(name: "nobody")) { _ = try places.plan([listener("systemd:nobody")], now: .now()) }
    // Left and found again.
    _ = try adopt(&places, [])
    #expect(places.unused.count == 3)
    _ = try adopt(&places, [listener("systemd:web")])
    #expect(places.current[0].sockets[0] === sockets[0])
  }
}
