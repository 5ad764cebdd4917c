// Messages between threads: order, and one wake-up for many.

import Glibc
import Net
import Primitives
import Testing

@Suite struct MailboxTests {
  @Test func manyPostsWakeOnce() throws {
    let mailbox = try Mailbox<Int>()
    for i in 0..<1000 { mailbox.post(i) }
    // The eventfd's counter is the number of times it was written.
    var counter: UInt64 = 0
    #expect(unsafe read(mailbox.descriptor, &counter, 8) == 8)
    #expect(counter == 1)
    #expect(mailbox.drain() == Array(0..<1000))
  }

  @Test func drainedMailboxIsSilentAndWakesAgain() throws {
    let mailbox = try Mailbox<Int>()
    #expect(!isReadable(mailbox.descriptor))
    mailbox.post(1)
    #expect(isReadable(mailbox.descriptor))
    #expect(mailbox.drain() == [1])
    #expect(!isReadable(mailbox.descriptor))
    #expect(mailbox.drain() == [])
    mailbox.post(2)
    #expect(isReadable(mailbox.descriptor))
    #expect(mailbox.drain() == [2])
  }

  @Test func nothingIsLostBetweenThreads() throws {
    let mailbox = try Mailbox<UInt64>()
    let threads = 4
    let each = 5000
    var posting: [Net.Thread] = []
    for thread in 0..<threads {
      posting.append(
        try Threads.spawn(name: "poster") {
          for i in 0..<each { mailbox.post(UInt64(thread) << 32 | UInt64(i)) }
        })
    }
    var poller = try Poller(capacity: 1)
    try poller.add(mailbox.descriptor, .read, EventToken(kind: 1))
    var next = [UInt64](repeating: 0, count: threads)
    var received = 0
    var messages: [UInt64] = []
    while received < threads * each {
      // A lost wake-up shows as a wait that ends by its deadline.
      guard poller.collect() == 1 else {
        Issue.record("a message was posted and nobody was woken")
        break
      }
      mailbox.drain(into: &messages)
      for message in messages {
        #expect(message & 0xFFFF_FFFF == next[Int(message >> 32)], "each thread's messages come in its order")
        next[Int(message >> 32)] += 1
      }
      received += messages.count
    }
    for thread in posting { thread.join() }
    #expect(received == threads * each)
    #expect(mailbox.drain().isEmpty)
  }
}
