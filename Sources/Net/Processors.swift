// How many processors this process may use: what `workers auto` means, in a container too.

internal import CLinux
internal import Glibc

public enum Processors {
  /// At least 1: the processors of the affinity mask (sched_getaffinity(2)), or fewer when a control group's quota is worth less,
  /// a part counted as a whole.
  public static var count: Int {
    let allowed = max(Int(gh_processor_count()), 1)
    guard let quota = quota(membership: KernelFile.text("/proc/self/cgroup"), read: KernelFile.text) else { return allowed }
    return max(1, min(allowed, quota))
  }

  /// The least quota of the process's control group and those above it, in processors rounded up; nil when there is none.
  ///
  /// `membership` is /proc/self/cgroup (cgroups(7)): `0::/path` for version 2, `N:cpu,cpuacct:/path` for version 1. In a container the path
  /// may be one that the container does not see, so the folders above it, up to the mount itself, are asked as well.
  static func quota(membership: String?, read: (String) -> String?) -> Int? {
    guard let membership else { return nil }
    var least: Int?
    for line in membership.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      if parts[1].isEmpty {
        each("/sys/fs/cgroup", parts[2]) { folder in
          guard let line = read("\(folder)/cpu.max") else { return }
          let numbers = line.split(whereSeparator: \.isWhitespace)
          if numbers.count == 2 { least = smaller(least, numbers[0], numbers[1]) }
        }
      } else if parts[1].split(separator: ",").contains("cpu") {
        for mount in ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"] {
          each(mount, parts[2]) { folder in
            guard let quota = read("\(folder)/cpu.cfs_quota_us"), let period = read("\(folder)/cpu.cfs_period_us") else { return }
            least = smaller(least, trimmed(quota), trimmed(period))
          }
        }
      }
    }
    return least
  }

  private static func each(_ mount: String, _ path: Substring, _ body: (String) -> Void) {
    var parts = path.split(separator: "/")
    while true {
      body(([mount] + parts.map(String.init)).joined(separator: "/"))
      if parts.popLast() == nil { break }
    }
  }

  /// "max" and -1 are no quota.
  private static func smaller(_ least: Int?, _ quota: Substring, _ period: Substring) -> Int? {
    guard let quota = Int(quota), let period = Int(period), quota > 0, period > 0 else { return least }
    let processors = quota / period + (quota % period == 0 ? 0 : 1)
    return min(least ?? processors, processors)
  }

  private static func trimmed(_ text: String) -> Substring {
    text.prefix { !$0.isWhitespace }
  }
}
