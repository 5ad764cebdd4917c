// What the environment says of passed sockets: whom it is for, how many there are, what they are called.

import Glibc
import Testing

@testable import Net

@Suite struct SocketActivationTests {
  private func read(_ pid: String?, _ count: String?, _ names: String?) throws(NetError) -> [SocketActivation.Passed] {
    try SocketActivation.read(pid: pid, count: count, names: names, ourPID: 42)
  }

  @Test func descriptorsCountFromThree() throws {
    #expect(try read("42", "2", "web:local").map(\.descriptor) == [3, 4])
    #expect(try read("42", "2", "web:local").map(\.name) == ["web", "local"])
    #expect(try read("42", "0", nil).isEmpty)
  }

  @Test func missingNamesAreUnknown() throws {
    #expect(try read("42", "2", nil).map(\.name) == ["unknown", "unknown"])
    #expect(try read("42", "3", "web:").map(\.name) == ["web", "unknown", "unknown"])
    #expect(try read("42", "1", "web:more").map(\.name) == ["web"])
  }

  @Test(arguments: [nil, "", "41", "x", "42 ", "-42"] as [String?])
  func whatIsForAnotherProcessIsNotTaken(pid: String?) throws {
    #expect(try read(pid, "2", nil).isEmpty)
  }

  @Test(arguments: ["", "x", "-1", "5000", "99999999999", "1 "])
  func aNumberThatIsNoneIsAnError(count: String) {
    #expect(throws: NetError.self) { try read("42", count, nil) }
  }

  @Test func takingLeavesNothingForChildren() async {
    await #expect(processExitsWith: .success) {
      let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      precondition(dup2(socket, 3) == 3 && fcntl(3, F_GETFD) & FD_CLOEXEC == 0)
      for (name, value) in [("LISTEN_PID", "\(getpid())"), ("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "web"), ("LISTEN_PIDFDID", "7")] {
        precondition(unsafe setenv(name, value, 1) == 0)
      }
      let passed = try SocketActivation.take()
      precondition(passed == [.init(descriptor: 3, name: "web")])
      precondition(fcntl(3, F_GETFD) & FD_CLOEXEC != 0)
      for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"] { precondition(unsafe getenv(name) == nil) }
      let again = try SocketActivation.take()
      precondition(again.isEmpty)
    }
  }

  @Test func namesAreThoseOfASocketUnit() {
    #expect(SocketActivation.isName("gatehouse.socket") && SocketActivation.isName("web"))
    for name in ["", "a:b", "a b", "a\n", "ä", String(repeating: "x", count: 256)] { #expect(!SocketActivation.isName(name)) }
  }
}
