// What OpenSSL's allocator keeps of the buffers of records: its functions as they are called by OpenSSL, which in this process has its own already.

import COpenSSL
import Glibc
import Testing

/// The lists are a thread's: each test has one of its own, which ends with it.
private func onNewThread(_ work: @escaping @Sendable () -> Void) {
  // Makes the key, whose destructor is to empty the lists.
  _ = keyed
  var thread = pthread_t()
  let box = unsafe Unmanaged.passRetained(Box(work))
  let code = unsafe pthread_create(&thread, nil, { unsafe Unmanaged<Box>.fromOpaque($0!).takeRetainedValue().work(); return nil }, box.toOpaque())
  #expect(code == 0)
  pthread_join(thread, nil)
}

private final class Box {
  let work: () -> Void
  init(_ work: @escaping () -> Void) { self.work = work }
}

private let keyed = unsafe pthread_key_create(gh_record_key(), { unsafe gh_record_end($0) }) == 0

private func allocate(_ size: Int) -> UnsafeMutableRawPointer? { unsafe gh_openssl_malloc(size, "", 0) }
private func release(_ block: UnsafeMutableRawPointer?) { unsafe gh_openssl_free(block, "", 0) }
private var kept: UInt32 { unsafe gh_record_blocks_here().pointee.count }

@Suite struct TLSMemoryTests {
  /// The buffer to read into and the one to write from differ in size: either serves for the other.
  @Test func aBufferOfARecordIsUsedAgain() {
    onNewThread {
      let first = unsafe allocate(16_704)
      unsafe release(first)
      #expect(kept == 1)
      let second = unsafe allocate(16_472)
      #expect(unsafe second == first && kept == 0)
      // All of it is there, whichever was asked for first.
      unsafe memset(second!, 0x5A, Int(GH_RECORD_BLOCK))
      unsafe release(second)
    }
  }

  @Test func noMoreThanAFewAreKept() {
    onNewThread {
      let blocks = unsafe (0..<9).map { _ in unsafe allocate(Int(GH_RECORD_LEAST)) }
      #expect(unsafe Set(blocks).count == 9 && !blocks.contains(nil))
      for unsafe block in unsafe blocks { unsafe release(block) }
      #expect(kept == UInt32(GH_RECORD_KEPT))
    }
  }

  @Test(arguments: [1, 100, Int(GH_RECORD_LEAST) - 1, Int(GH_RECORD_BLOCK) + 64, 1 << 20]) func othersGo(_ size: Int) {
    onNewThread {
      unsafe release(allocate(size))
      #expect(kept == 0)
    }
  }

  /// As OpenSSL's own functions have it: nothing is asked for, nothing is given; and nothing may be given back.
  @Test func nothingIsNothing() {
    onNewThread {
      #expect(unsafe allocate(0) == nil)
      release(nil)
      #expect(kept == 0)
    }
  }

  @Test func whatGrowsKeepsItsBytes() {
    onNewThread {
      let small = unsafe gh_openssl_realloc(nil, 10, "", 0)!
      unsafe _ = memset(small, 7, 10)
      let large = unsafe gh_openssl_realloc(small, Int(GH_RECORD_BLOCK), "", 0)!
      #expect((0..<10).allSatisfy { unsafe large.load(fromByteOffset: $0, as: UInt8.self) == 7 })
      let gone = unsafe gh_openssl_realloc(large, 0, "", 0)
      #expect(unsafe gone == nil)
      #expect(kept == 1)
    }
  }

  @Test func anEndingThreadKeepsNothing() {
    onNewThread {
      let blocks = unsafe (0..<3).map { _ in unsafe allocate(16_704) }
      for unsafe block in unsafe blocks { unsafe release(block) }
      #expect(kept == 3)
      // What the key calls when the thread ends.
      unsafe gh_record_end(gh_record_blocks_here())
      #expect(kept == 0)
    }
  }
}
