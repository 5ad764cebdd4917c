// Connections within this machine are not paced: there is no path whose rate they could exceed.

internal import CLinux
internal import Glibc

/// BBR sends by the clock: a timer of high resolution for every few segments, which for a large body costs more than moving it does, on a
/// virtual machine above all. It is for paths with a bottleneck and other people's traffic on them, and loopback has neither. Where the
/// machine gives new connections BBR, those between loopback addresses have Reno instead. Any other choice of the operator's stands.
public enum Pacing {
  /// Whether new connections of this machine are paced. Asked once.
  static let isUsual: Bool = {
    let raw = gh_socket_create(AF_INET)
    guard raw >= 0 else { return false }
    let socket = FileDescriptor(owning: raw)
    return isOn(socket.raw)
  }()

  /// Of a TCP socket.
  static func isOn(_ socket: Int32) -> Bool { gh_tcp_is_paced(socket) != 0 }

  /// For a TCP socket that listens on a loopback address: connections inherit it. Refused, it is as it was, and only costs more.
  static func end(_ socket: Int32) {
    if isUsual { _ = gh_tcp_end_pacing(socket) }
  }

  /// For a socket that is about to connect to `address`, a sockaddr: nothing changes when that is not a loopback address.
  @unsafe public static func end(_ socket: Int32, towards address: UnsafeRawPointer) {
    if isUsual, unsafe gh_address_is_loopback(address) != 0 { end(socket) }
  }
}
