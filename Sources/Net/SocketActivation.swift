// Sockets that systemd, or whoever starts us in its manner, has bound for us: sd_listen_fds(3)'s protocol, without its library.

internal import Glibc

/// What was passed to this process.
public enum SocketActivation {
  /// A descriptor and the name that it has in LISTEN_FDNAMES.
  public struct Passed: Equatable, Sendable {
    public var descriptor: Int32
    public var name: String
  }

  /// More than anybody passes on; beyond it the number is taken for a mistake.
  private static let most = 4096
  private static let variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"]

  /// Takes what the environment says was passed, and takes it out of the environment, so that no program that we start believes it. To be called
  /// once, before there are threads: getenv(3) and unsetenv(3) know no others. Every descriptor is close-on-exec afterwards.
  public static func take() throws(NetError) -> [Passed] {
    let values = variables.map { name in unsafe getenv(name).map { unsafe String(cString: $0) } }
    for name in variables { _ = unsafe unsetenv(name) }
    let passed = try read(pid: values[0], count: values[1], names: values[2], ourPID: getpid())
    for one in passed { _ = fcntl(one.descriptor, F_SETFD, FD_CLOEXEC) }
    return passed
  }

  /// Reads the variables' values. Nothing where they are missing or meant for another process.
  static func read(pid: String?, count: String?, names: String?, ourPID: Int32) throws(NetError) -> [Passed] {
    guard let pid, let count, let theirPID = Int32(pid), theirPID == ourPID else { return [] }
    guard let count = Int32(count), count >= 0, count <= most else {
      throw .badAddress(text: "LISTEN_FDS=\(count)", why: "that is no number of passed sockets")
    }
    let words = names.map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) } ?? []
    return (0..<count).map { i in
      let name = Int(i) < words.count && !words[Int(i)].isEmpty ? words[Int(i)] : "unknown"
      return Passed(descriptor: 3 + i, name: name)
    }
  }

  /// Whether FileDescriptorName= (systemd.socket(5)) may be this.
  static func isName(_ name: String) -> Bool {
    (1...255).contains(name.utf8.count) && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }
  }
}
