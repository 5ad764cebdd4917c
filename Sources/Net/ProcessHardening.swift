// What the process asks of the kernel for itself at start: more descriptors, fewer ways to be looked into.

internal import CLinux

public enum ProcessHardening {
  /// Raises the soft limit of descriptors (RLIMIT_NOFILE) to the hard one, and answers the one in force. The soft default of 1024 is
  /// there for programs that use select(2).
  @discardableResult
  public static func raiseDescriptorLimit() throws(NetError) -> UInt64 {
    var limit: UInt64 = 0
    try NetError.check(unsafe gh_raise_descriptor_limit(&limit), "raise the limit of open files")
    return limit
  }

  /// Passwords pass through our memory: no core file holds it, and no other process of the user reads it (RLIMIT_CORE 0,
  /// PR_SET_DUMPABLE 0).
  public static func forbidDumps() throws(NetError) {
    try NetError.check(gh_forbid_dumps(), "forbid core dumps")
  }
}
