// Connections within this machine send without a clock, whatever it gives to others.

import Glibc
import Testing

@testable import Net

@Suite struct PacingTests {
  private func address(_ text: String) throws -> SocketAddress { try SocketAddress(parsing: text) }

  @Test(arguments: ["127.0.0.1:0", "[::1]:0"]) func connectionsWithinThisMachineAreNotPaced(_ text: String) throws {
    let listener = try Listener.bind(ListenOptions(address: try address(text)))
    #expect(!Pacing.isOn(listener.descriptor))
    let client = try Stream.connect(to: listener.localAddress)
    while true {
      switch listener.accept() {
      case .accepted(let socket, _):
        #expect(!Pacing.isOn(socket.raw))
        withExtendedLifetime(client) {}
        return
      case .wouldBlock: sched_yield()
      case .exhausted(let errno): throw NetError.system(doing: "accept", errno: errno)
      case .failed(let errno): throw NetError.system(doing: "accept", errno: errno)
      }
    }
  }

  /// What the machine was told stands.
  @Test func othersAreAsTheMachineHasThem() throws {
    let listener = try Listener.bind(ListenOptions(address: .any(port: 0)))
    #expect(Pacing.isOn(listener.descriptor) == Pacing.isUsual)
  }

  @Test(arguments: [
    ("127.0.0.1:1", true), ("127.255.0.9:1", true), ("128.0.0.1:1", false), ("[::1]:1", true), ("[::]:1", false), ("[::2]:1", false),
    ("[::ffff:127.0.0.1]:1", true), ("[::ffff:126.0.0.1]:1", false), ("[1::1]:1", false), ("*:1", false), ("unix:/tmp/127.0.0.1", false),
  ]) func loopbackIsTold(_ text: String, _ expected: Bool) throws {
    #expect(try address(text).isLoopback == expected)
  }

  @Test func loopbackIsToldOfWhatIsConnectedTo() {
    func isPaced(_ family: Int32, towards bytes: [UInt8], at offset: Int) -> Bool {
      let socket = Glibc.socket(family, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(socket) }
      var address = [UInt8](repeating: 0, count: 28)
      address[0] = UInt8(family)
      address.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
      unsafe address.withUnsafeBytes { unsafe Pacing.end(socket, towards: $0.baseAddress.unsafelyUnwrapped) }
      return Pacing.isOn(socket)
    }
    let zeros = [UInt8](repeating: 0, count: 10)
    #expect(!isPaced(AF_INET, towards: [127, 1, 2, 3], at: 4))
    #expect(isPaced(AF_INET, towards: [126, 1, 2, 3], at: 4) == Pacing.isUsual)
    #expect(!isPaced(AF_INET6, towards: zeros + [0, 0, 0, 0, 0, 1], at: 8))
    #expect(isPaced(AF_INET6, towards: zeros + [0, 0, 0, 0, 1, 1], at: 8) == Pacing.isUsual)
    #expect(!isPaced(AF_INET6, towards: zeros + [0xFF, 0xFF, 127, 0, 0, 1], at: 8))
    #expect(isPaced(AF_INET6, towards: zeros + [0xFF, 0xFF, 10, 0, 0, 1], at: 8) == Pacing.isUsual)
  }
}
