// Reading what the kernel tells by small files: /proc, /sys.

internal import Glibc

public enum KernelFile {
  /// The first 4 KiB of a file of the kernel's, or nil.
  static func text(_ path: String) -> String? {
    let raw = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return nil }
    let file = FileDescriptor(owning: raw)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file.raw, $0.baseAddress, $0.count) }
    return count >= 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }

  /// The number that such a file begins with, or nil.
  static func number(_ path: String) -> Int? { text(path).flatMap { Int($0.prefix { !$0.isWhitespace }) } }

  /// Whether the machine lets servers take data with a connection's first packet (net.ipv4.tcp_fastopen, bit 2).
  public static var servesFastOpen: Bool { (number("/proc/sys/net/ipv4/tcp_fastopen") ?? 0) & 2 != 0 }
}
