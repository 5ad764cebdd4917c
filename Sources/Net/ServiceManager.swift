// Telling systemd, or whoever started us in its manner, how we are: sd_notify(3)'s protocol, without its library.

internal import CLinux
internal import Glibc
internal import Primitives

public enum ServiceManager {
  /// Sends one state, such as `READY=1`, `STOPPING=1`, `STATUS=text` or several parted by newlines, to the socket that NOTIFY_SOCKET names.
  /// False when there is none, or it does not take it: nothing depends on it.
  @discardableResult
  public static func notify(_ state: String) -> Bool {
    guard let socket = unsafe getenv("NOTIFY_SOCKET") else { return false }
    return notify(state, socket: unsafe String(cString: socket))
  }

  /// Says that a reload has begun, with the time that the protocol asks for; `notify("READY=1")` ends it.
  @discardableResult
  public static func notifyReloading() -> Bool {
    notify("RELOADING=1\nMONOTONIC_USEC=\(Instant.now().nanoseconds / 1000)")
  }

  /// `socket` is an absolute path, or `@` and a name in the abstract namespace; others (such as vsock) are not for us.
  static func notify(_ state: String, socket: String) -> Bool {
    guard socket.hasPrefix("/") || socket.hasPrefix("@") else { return false }
    return unsafe gh_socket_notify(socket, socket.utf8.count, state, state.utf8.count) == 0
  }
}
