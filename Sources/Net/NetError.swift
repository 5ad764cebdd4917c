// What can go wrong when the process asks the kernel for something at start, at a reload, or in a loop's set-up.
// The data path does not throw: its calls answer enums (`IOResult`, `AcceptResult`).

internal import Glibc

/// A refusal by the kernel, or by this room on the kernel's behalf. Ours or the operator's fault, never a client's.
public enum NetError: Error, Equatable, Sendable {
  /// A system call failed; `doing` is what was attempted, as in "bind 127.0.0.1:80".
  case system(doing: String, errno: Int32)
  /// A text is no address to listen on or to connect to.
  case badAddress(text: String, why: String)
  /// Another process answers at this Unix socket.
  case inUse(path: String)
  /// A file that is no socket stands where a Unix socket is wanted. It is never removed.
  case notASocket(path: String)

  /// A port that only root may have, and who has the capability for it.
  case privilegedPort(doing: String)
  /// No socket was passed to us under this name.
  case notPassed(name: String)
  /// What was passed to us for `place` is listened on as `other` already.
  case passedTwice(place: String, other: String)
  /// A descriptor that was passed to us is nothing to listen on.
  case notListening(descriptor: Int32, why: String)

  static func check(_ result: Int32, _ doing: @autoclosure () -> String) throws(NetError) {
    if result < 0 { throw .system(doing: doing(), errno: -result) }
  }
}

extension NetError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .system(let doing, let errno): "\(doing): \(Self.text(ofErrno: errno))"
    case .badAddress(let text, let why): "\(text): \(why)"
    case .inUse(let path): "unix:\(path): another process is listening there"
    case .privilegedPort(let doing):
      """
      \(doing): Permission denied: ports below \(Self.firstFreePort) take the capability CAP_NET_BIND_SERVICE (AmbientCapabilities= of a systemd \
      unit, as in deploy/gatehouse.service; or 'setcap cap_net_bind_service=ep' for the binary), or a socket that systemd passes on
      """
    case .notPassed(let name): "systemd:\(name): no socket of that name was passed (FileDescriptorName= of a systemd socket unit)"
    case .passedTwice(let place, let other):
      "\(place): systemd passed one socket for it and for \(other): one 'listen' of the two has to go"
    case .notListening(let descriptor, let why): "the passed descriptor \(descriptor) can't be listened on: \(why)"
    case .notASocket(let path): "unix:\(path): a file that is not a socket is in the way; move it, or choose another path"
    }
  }

  /// net.ipv4.ip_unprivileged_port_start, whatever it is on this machine; its own default where it can't be read.
  private static var firstFreePort: String {
    KernelFile.number("/proc/sys/net/ipv4/ip_unprivileged_port_start").map { "\($0)" } ?? "1024"
  }

  /// The C library's text of an error number, such as "Permission denied".
  public static func text(ofErrno errno: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard unsafe strerror_r(errno, &buffer, buffer.count) == 0 else { return "error \(errno)" }
    let end = buffer.firstIndex(of: 0) ?? buffer.count
    return String(decoding: buffer[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
