// A pipe between two sockets: what goes through it is never copied into our memory (splice(2)). For large bodies in clear text.

internal import CLinux
internal import Glibc

/// Belongs to one worker. Filled from one socket when it is empty, and emptied into another.
public final class SplicePipe {
  private let output: FileDescriptor
  private let input: FileDescriptor
  /// Bytes in it.
  public private(set) var count = 0
  /// Bytes that it holds at most.
  public private(set) var capacity: Int
  /// Bytes that it is asked to hold. Kernel memory, and only while they are on their way. Not more: the more is taken from a socket at
  /// once, the more room the kernel makes for what is to come, also where the one who is to take it does not read.
  public static let usual = 256 << 10
  /// For a flow that has proved fast (`LowWaterMark`).
  public static let wide = 1 << 20
  /// One that holds less costs more than copying does.
  public static let least = 64 << 10

  /// Throws when there are no descriptors left, or when the kernel grants less than `least`: whoever has many pipes already is given one or
  /// two pages for each further one (pipe(7), pipe-user-pages-soft).
  public init(asking size: Int = SplicePipe.usual) throws(NetError) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) {
      unsafe gh_pipe_create($0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Int32.self))
    }
    try NetError.check(result, "make a pipe")
    output = FileDescriptor(owning: ends.0)
    input = FileDescriptor(owning: ends.1)
    let granted = gh_pipe_resize(ends.1, Int32(size))
    capacity = Int(granted)
    if capacity < Self.least { throw .system(doing: "make a pipe that holds enough", errno: granted < 0 ? -granted : ENOBUFS) }
  }

  /// Asks for another capacity. Refused (pipe(7), pipe-max-size, pipe-user-pages-soft), it stays as it is.
  public func resize(to size: Int) {
    let granted = gh_pipe_resize(input.raw, Int32(size))
    if granted > 0 { capacity = Int(granted) }
  }

  public var isEmpty: Bool { count == 0 }

  /// Takes up to `limit` (1 or more) bytes from `socket`. Only an empty pipe is filled: of one that isn't, "nothing there" and "no room"
  /// could not be told apart.
  public func fill(from socket: Int32, atMost limit: Int) -> IOResult {
    precondition(count == 0 && limit > 0, "an empty pipe is filled with something")
    let n = gh_splice(socket, input.raw, min(limit, capacity))
    if n > 0 { count = n }
    return n == 0 ? .closed : Self.result(n)
  }

  /// Gives what it holds to `socket`, as far as that takes it.
  public func drain(to socket: Int32) -> IOResult {
    let n = gh_splice(output.raw, socket, count)
    if n > 0 { count -= n }
    return Self.result(n)
  }

  private static func result(_ n: Int) -> IOResult {
    if n >= 0 { return .bytes(n) }
    return n == -Int(EAGAIN) ? .wouldBlock : .failed(Int32(truncatingIfNeeded: -n))
  }
}
