// Threads: names, niceness, and failures while starting.

import FoundationEssentials
import Glibc
import Primitives
import Testing

@testable import Net

@Suite struct ThreadsTests {
  struct Broken: Error, Equatable { var why: String }

  @Test func threadRunsUnderItsNameAndNiceness() throws {
    let box = try Mailbox<(String, Int32)>()
    let thread = try Threads.spawn(name: "gatehouse-hash-pool", niceness: 5) {
      let name = (try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) ?? ""
      // 0 is the calling thread (setpriority(2), "C library/kernel differences").
      box.post((name, getpriority(__priority_which_t(0), 0)))
    }
    thread.join()
    thread.join()
    let (name, niceness) = try #require(box.drain().first)
    #expect(name == "gatehouse-hash-\n")
    #expect(niceness == 5)
    #expect(getpriority(__priority_which_t(0), 0) == 0, "the others are not touched")
  }

  @Test func failureToPrepareIsThrownWhereTheThreadWasWanted() {
    #expect(throws: Broken(why: "no luck")) {
      try Threads.spawn(name: "worker") { () throws -> Int in
        throw Broken(why: "no luck")
      } run: { _ in
        Issue.record("ran all the same")
      }
    }
  }

  @Test func preparedStateStaysOnItsThread() throws {
    final class Loop {
      // Not Sendable.
      var poller: Poller
      let thread = pthread_self()
      init() throws(NetError) { poller = try Poller(capacity: 1) }
    }
    let box = try Mailbox<Bool>()
    let thread = try Threads.spawn(name: "worker") {
      try Loop()
    } run: { loop in
      box.post(loop.thread == pthread_self())
    }
    thread.join()
    #expect(box.drain() == [true])
  }

  @Test func machineHasAProcessor() {
    #expect(Processors.count >= 1)
  }

  @Test(
    arguments: [
      // cgroup 2: "max" is no quota; parts of a processor count as one; the least of the group and those above it holds.
      ("0::/\n", ["/sys/fs/cgroup/cpu.max": "max 100000\n"], nil),
      ("0::/\n", ["/sys/fs/cgroup/cpu.max": "200000 100000\n"], 2),
      ("0::/\n", ["/sys/fs/cgroup/cpu.max": "50000 100000\n"], 1),
      ("0::/\n", ["/sys/fs/cgroup/cpu.max": "250000 100000\n"], 3),
      (
        "0::/a/b\n", ["/sys/fs/cgroup/a/b/cpu.max": "400000 100000\n", "/sys/fs/cgroup/a/cpu.max": "300000 100000\n"], 3
      ),
      // In a container the path is the host's and the files are at the mount's root.
      ("0::/docker/1234\n", ["/sys/fs/cgroup/cpu.max": "150000 100000\n"], 2),
      // cgroup 1.
      (
        "4:cpu,cpuacct:/x\n0::/y\n",
        ["/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "400000\n", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"], 4
      ),
      (
        "4:cpu:/x\n",
        ["/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"], nil
      ),
      ("", [:], nil),
      ("rubbish\n0::/\n", ["/sys/fs/cgroup/cpu.max": "rubbish"], nil),
      ("0::/\n", ["/sys/fs/cgroup/cpu.max": "100000 0\n"], nil),
    ] as [(String, [String: String], Int?)])
  func controlGroupsQuotaIsHeeded(membership: String, files: [String: String], expected: Int?) {
    #expect(Processors.quota(membership: membership) { files[$0] } == expected)
  }

  @Test func limitsAreRaisedAndDumpsForbidden() async {
    await #expect(processExitsWith: .success) {
      var limit = rlimit()
      precondition(unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0)
      let hard = limit.rlim_max
      limit.rlim_cur = min(hard, 100)
      precondition(unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0)
      let raised = try ProcessHardening.raiseDescriptorLimit()
      precondition(raised == UInt64(hard))
      precondition(unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0 && limit.rlim_cur == hard)
      try ProcessHardening.forbidDumps()
      precondition(unsafe getrlimit(__rlimit_resource_t(4), &limit) == 0 && limit.rlim_max == 0)
    }
  }
}
