// A counting semaphore between threads, for a pool whose threads wait for work.

internal import CLinux
internal import Glibc
public import Primitives

/// sem_overview(7): counts up from any thread, and makes a thread wait for it to be above zero.
@safe public final class Semaphore: @unchecked Sendable {
  // Its address must not change while threads wait at it, so it has memory of its own; the kernel and glibc guard the access.
  private let semaphore: UnsafeMutablePointer<sem_t>

  /// Begins at 0.
  public init() {
    unsafe semaphore = .allocate(capacity: 1)
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    unsafe sem_destroy(semaphore)
    unsafe semaphore.deallocate()
  }

  /// Counts up by one and lets one waiting thread go on.
  public func signal() {
    unsafe _ = sem_post(semaphore)
  }

  /// Waits until the count is above zero and counts down by one.
  public func wait() {
    while unsafe sem_wait(semaphore) != 0 && errno == EINTR {}
  }

  /// The same, but not beyond `deadline`. False when that passed first.
  public func wait(until deadline: Instant) -> Bool {
    if deadline == .distantFuture {
      wait()
      return true
    }
    return unsafe gh_semaphore_wait_until(semaphore, deadline.nanoseconds) == 0
  }
}
