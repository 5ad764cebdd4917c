// Byte containers against a plain array that is treated alike.

import Primitives
import Testing

@Suite struct ByteBufferTests {
  @Test func aBufferHoldsWhatAnArrayWould() {
    var buffer = ByteBuffer()
    var model: [UInt8] = []
    var state: UInt64 = 42
    func next(_ n: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % n
    }
    for step in 0..<4000 {
      switch next(8) {
      case 0:
        buffer.append(UInt8(truncatingIfNeeded: step))
        model.append(UInt8(truncatingIfNeeded: step))
      case 1, 2:
        let bytes = (0..<next(400)).map { UInt8(truncatingIfNeeded: $0 &+ step) }
        buffer.append(bytes.span)
        model += bytes
      case 3, 4, 5:
        let n = next(buffer.count + 1)
        buffer.consume(n)
        model.removeFirst(n)
      case 6:
        let n = next(buffer.count + 1)
        buffer.truncate(to: n)
        model.removeLast(model.count - n)
      default:
        buffer.reserve(next(100))
        buffer.release()
      }
      #expect(buffer.count == model.count && buffer.isEmpty == model.isEmpty)
      if !model.isEmpty { #expect(buffer[0] == model[0] && buffer[model.count - 1] == model[model.count - 1]) }
      if step % 50 == 0 { #expect(buffer.array() == model) }
    }
    #expect(buffer.array() == model)
  }

  @Test func memoryIsTakenLateAndGivenBack() {
    var buffer = ByteBuffer()
    #expect(buffer.capacity == 0)
    buffer.append("")
    buffer.append([UInt8]())
    #expect(buffer.capacity == 0)
    buffer.append(1)
    let capacity = buffer.capacity
    #expect(capacity > 0)
    buffer.release()
    #expect(buffer.capacity == capacity)
    buffer.consume(1)
    buffer.release()
    #expect(buffer.capacity == 0 && buffer.isEmpty)
    let empty = buffer.span.count
    #expect(empty == 0)
    buffer.append("again")
    #expect(buffer.count == 5)
    buffer.removeAll()
    #expect(buffer.isEmpty && buffer.capacity > 0)
  }

  @Test func consumedRoomIsUsedBeforeMoreIsTaken() {
    var buffer = ByteBuffer(capacity: 256)
    let capacity = buffer.capacity
    for _ in 0..<100 {
      buffer.append(Array(repeating: 7, count: 200))
      buffer.consume(100)
      buffer.consume(100)
    }
    #expect(buffer.capacity == capacity)
  }

  @Test(arguments: [
    (UInt64(0), "0", "0"), (9, "9", "9"), (10, "10", "a"), (255, "255", "ff"), (256, "256", "100"), (4096, "4096", "1000"),
    (UInt64.max, "18446744073709551615", "ffffffffffffffff"), (10_000_000_000_000_000_000, "10000000000000000000", "8ac7230489e80000"),
  ])
  func numbersAreWritten(_ value: UInt64, _ decimal: String, _ hexadecimal: String) {
    var buffer = ByteBuffer()
    buffer.append(decimal: value)
    #expect(ASCII.string(buffer.span) == decimal)
    buffer.removeAll()
    buffer.append(hexadecimal: value)
    #expect(ASCII.string(buffer.span) == hexadecimal)
  }

  @Test func foreignMemoryIsWrittenAndRead() {
    var buffer = ByteBuffer()
    buffer.append("ab")
    let source: [UInt8] = [1, 2, 3]
    unsafe source.withUnsafeBytes { unsafe buffer.append(unsafeBytes: $0.baseAddress.unsafelyUnwrapped, count: 2) }
    #expect(buffer.array() == [0x61, 0x62, 1, 2])
    let written = unsafe buffer.withUnsafeFreeBytes(minimum: 1000) { memory in
      #expect(memory.count >= 1000)
      unsafe memory[0] = 9
      return 1
    }
    #expect(written == 1 && buffer.array() == [0x61, 0x62, 1, 2, 9])
    // As read(2) says that it failed.
    let failed = unsafe buffer.withUnsafeFreeBytes(minimum: 1) { _ in -1 }
    #expect(failed == -1 && buffer.count == 5)
  }

  @Test func textIsAppended() {
    var buffer = ByteBuffer()
    buffer.append(utf8: "é")
    buffer.append(utf8: "")
    buffer.append("x")
    #expect(buffer.array() == [0xC3, 0xA9, 0x78])
  }

  @Test func rangesOfAStoreStayWhereTheyAre() {
    var store = ByteStore()
    let first = store.append("GET")
    store.append(0x20)
    let second = store.append(Array("/path".utf8).span)
    let third = store.append([UInt8]())
    for _ in 0..<1000 { store.append("more") }
    let texts = [first, second, third].map { ASCII.string(store[$0]) }
    #expect(texts == ["GET", "/path", ""])
    #expect(store[3] == 0x20 && store.count == 9 + 4000)
    store.removeAll()
    #expect(store.count == 0)
    #expect(ByteStore([1, 2]).count == 2)
  }

  @Test func rangesCountForward() {
    #expect(ByteRange(3, 7).count == 4 && !ByteRange(3, 7).isEmpty)
    #expect(ByteRange().isEmpty && ByteRange(5, 5).isEmpty)
    #expect(ByteRange(0, Int(UInt32.max)).count == Int(UInt32.max))
  }
}
