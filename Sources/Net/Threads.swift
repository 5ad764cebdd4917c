// Threads of our own: started with a name and a niceness, joined, never detached and forgotten.

internal import CLinux
internal import Glibc
internal import Synchronization

public enum Threads {
  /// Starts a thread that runs `body`.
  ///
  /// `name` is cut to 15 bytes and shows in `top -H`. `niceness` 0 to 19 is the thread's own on Linux, not the process's. Objects that are
  /// not Sendable are created inside `body` and stay there. Throws when the system has no thread to give.
  public static func spawn(
    name: String, niceness: Int32 = 0, _ body: @escaping @Sendable () -> Void
  ) throws(NetError) -> Thread {
    let start = ThreadStart(name: name, niceness: niceness, body: body)
    let argument = unsafe Unmanaged.passRetained(start)
    var id = pthread_t()
    let result = unsafe pthread_create(&id, nil, threadMain, argument.toOpaque())
    guard result == 0 else {
      unsafe argument.release()
      throw .system(doing: "start thread \(name)", errno: result)
    }
    return Thread(id)
  }

  /// Starts a thread whose setting up may fail: waits until `prepare` has run on it, and throws what it threw (the thread is over
  /// then). What `prepare` makes lives on that thread alone, where `run` gets it.
  public static func spawn<State: ~Copyable>(
    name: String, niceness: Int32 = 0,
    prepare: @escaping @Sendable () throws -> State,
    run: @escaping @Sendable (consuming State) -> Void
  ) throws -> Thread {
    let gate = Gate()
    let thread = try spawn(name: name, niceness: niceness) {
      let state: State
      do {
        state = try prepare()
      } catch {
        gate.open(error)
        return
      }
      gate.open(nil)
      run(state)
    }
    if let error = gate.wait() {
      thread.join()
      throw error
    }
    return thread
  }

  /// Names the calling thread; see `spawn`.
  public static func nameCurrent(_ name: String) {
    _ = unsafe gh_thread_set_name(String(decoding: name.utf8.prefix(15), as: UTF8.self))
  }
}

/// A running thread.
public final class Thread: Sendable {
  private let id: Mutex<pthread_t?>

  fileprivate init(_ id: pthread_t) {
    self.id = Mutex(id)
  }

  deinit {
    // Nobody can join it any more; the system takes it back when it ends.
    id.withLock { if let id = $0 { _ = pthread_detach(id) } }
  }

  /// Waits until the thread has ended. At once when it was joined before.
  public func join() {
    let id = self.id.withLock { id in
      defer { id = nil }
      return id
    }
    if let id { _ = pthread_join(id, nil) }
  }
}

/// What a thread is told at its birth.
private final class ThreadStart: Sendable {
  let name: String
  let niceness: Int32
  let body: @Sendable () -> Void

  init(name: String, niceness: Int32, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.niceness = niceness
    self.body = body
  }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument = unsafe argument else { return nil }
  let start = unsafe Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
  Threads.nameCurrent(start.name)
  // A wish: without it the thread works, if less politely.
  if start.niceness != 0 { _ = gh_thread_set_niceness(start.niceness) }
  start.body()
  return nil
}

/// Opened once, with an error or without; waited at by one.
@safe private final class Gate: @unchecked Sendable {
  // Safe to share: `error` is written before sem_post and read after sem_wait, which order memory.
  private let semaphore: UnsafeMutablePointer<sem_t>
  private var error: (any Error)?

  init() {
    unsafe semaphore = .allocate(capacity: 1)
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    unsafe sem_destroy(semaphore)
    unsafe semaphore.deallocate()
  }

  func open(_ error: (any Error)?) {
    self.error = error
    unsafe sem_post(semaphore)
  }

  func wait() -> (any Error)? {
    while unsafe sem_wait(semaphore) != 0 {}
    return error
  }
}
