// Signals, taken by a descriptor.

import Glibc
import Net
import Primitives
import Testing

@Suite struct SignalsTests {
  /// Runs `body` on a thread of its own, so that what it blocks stays its own, and answers what it answered.
  private func onThread(_ body: @escaping @Sendable () -> [Signal?]) throws -> [Signal?] {
    let box = try Mailbox<[Signal?]>()
    try Threads.spawn(name: "signals") { box.post(body()) }.join()
    return box.drain().first ?? []
  }

  @Test func signalIsReadInsteadOfInterrupting() throws {
    let seen = try onThread {
      guard (try? Signals.block(Signal.allCases)) != nil, let reader = try? SignalReader(Signal.allCases) else { return [] }
      var seen = [reader.next()]
      for signal in Signal.allCases {
        // To this thread alone: the process's other threads have not blocked it.
        pthread_kill(pthread_self(), signal.rawValue)
        guard isReadable(reader.descriptor) else { return seen }
        seen.append(reader.next())
      }
      seen.append(reader.next())
      return seen
    }
    #expect(seen == [nil] + Signal.allCases.map(Optional.some) + [nil])
  }

  @Test func repeatedSignalBeforeReadingComesOnce() throws {
    let seen = try onThread {
      guard (try? Signals.block([.hangup])) != nil, let reader = try? SignalReader([.hangup]) else { return [] }
      pthread_kill(pthread_self(), Signal.hangup.rawValue)
      pthread_kill(pthread_self(), Signal.hangup.rawValue)
      return [reader.next(), reader.next()]
    }
    #expect(seen == [.hangup, nil])
  }

  @Test func threadsStartedAfterBlockingInheritIt() throws {
    let seen = try onThread {
      guard (try? Signals.block([.user1])) != nil, let box = try? Mailbox<Signal?>() else { return [] }
      let inner = try? Threads.spawn(name: "inner") {
        pthread_kill(pthread_self(), Signal.user1.rawValue)
        let reader = try? SignalReader([.user1])
        box.post(reader?.next())
      }
      inner?.join()
      return box.drain()
    }
    #expect(seen == [.user1])
  }
}
