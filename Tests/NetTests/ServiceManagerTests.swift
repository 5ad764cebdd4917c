// What the service manager is told, over a socket of our own.

import Glibc
import Primitives
import Testing

@testable import Net

/// A datagram socket such as systemd listens on; a path with '@' in front is abstract.
final class DatagramReceiver {
  let descriptor: FileDescriptor

  init(path: String) {
    descriptor = FileDescriptor(owning: socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    let abstract = bytes.first == 0x40
    if abstract { bytes[0] = 0 }
    let length = socklen_t(2 + bytes.count + (abstract ? 0 : 1))
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let result = unsafe withUnsafePointer(to: address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor.raw, $0, length) }
    }
    #expect(result == 0)
  }

  func next() -> String? {
    guard becomes(descriptor.raw, POLLIN) else { return nil }
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = unsafe recv(descriptor.raw, &bytes, bytes.count, 0)
    return count >= 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }
}

@Suite struct ServiceManagerTests {
  @Test func stateArrivesAtASocketInTheFileSystem() {
    let scratch = Scratch()
    let receiver = DatagramReceiver(path: scratch.file("notify"))
    #expect(ServiceManager.notify("READY=1\nSTATUS=3 listeners", socket: scratch.file("notify")))
    #expect(receiver.next() == "READY=1\nSTATUS=3 listeners")
  }

  @Test func stateArrivesAtAnAbstractSocket() {
    let name = "@gatehouse-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    let receiver = DatagramReceiver(path: name)
    #expect(ServiceManager.notify("STOPPING=1", socket: name))
    #expect(receiver.next() == "STOPPING=1")
  }

  @Test(arguments: [
    "/nonexistent/notify", "@gatehouse-nobody-listens", "relative", "", "vsock:2:1", "/" + String(repeating: "x", count: 200),
  ])
  func socketThatCannotTakeItIsNoFailure(socket: String) {
    #expect(!ServiceManager.notify("READY=1", socket: socket))
  }

  @Test func environmentNamesTheSocketAndReloadsCarryTheTime() async {
    await #expect(processExitsWith: .success) {
      precondition(unsafe unsetenv("NOTIFY_SOCKET") == 0)
      precondition(!ServiceManager.notify("READY=1"))
      let scratch = Scratch()
      let receiver = DatagramReceiver(path: scratch.file("notify"))
      precondition(unsafe setenv("NOTIFY_SOCKET", scratch.file("notify"), 1) == 0)
      let before = Instant.now().nanoseconds / 1000
      precondition(ServiceManager.notifyReloading())
      guard let text = receiver.next() else { preconditionFailure("nothing came") }
      let lines = text.split(separator: "\n")
      precondition(lines.count == 2 && lines[0] == "RELOADING=1" && lines[1].hasPrefix("MONOTONIC_USEC="))
      guard let time = UInt64(lines[1].dropFirst(15)) else { preconditionFailure("no time") }
      precondition(time >= before && time <= Instant.now().nanoseconds / 1000)
    }
  }
}
