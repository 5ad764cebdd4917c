// How many pipes a worker has, which are used again, and which are closed.

import Glibc
import Net
import Primitives
import Testing

@testable import Upstream

@Suite struct PipePoolTests {
  private let now = Instant(nanoseconds: 1_000_000_000_000)

  private func take(_ pool: inout PipePool) throws -> SplicePipe {
    let pipe = pool.take(at: now)
    return try #require(pipe)
  }

  @Test func thereAreNoMoreThanAllowed() throws {
    var none = PipePool(limit: 0)
    let nothing = none.take(at: now)
    #expect(nothing == nil && none.count == 0)
    var pool = PipePool(limit: 2)
    let first = try take(&pool)
    let second = try take(&pool)
    let third = pool.take(at: now)
    #expect(third == nil && pool.count == 2)
    pool.giveBack(first, at: now)
    let again = try take(&pool)
    let further = pool.take(at: now)
    #expect(again === first && further == nil)
    pool.giveBack(second, at: now)
    #expect(pool.count == 2)
  }

  @Test func oneWithARestIsNotUsedAgain() throws {
    var ends: [Int32] = [-1, -1]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    #expect(unsafe send(ends[1], [UInt8](repeating: 0x21, count: 100), 100, 0) == 100)
    var pool = PipePool(limit: 1)
    weak var used: SplicePipe?
    do {
      let pipe = try take(&pool)
      used = pipe
      #expect(pipe.fill(from: ends[0], atMost: 100) == .bytes(100))
      pool.giveBack(pipe, at: now)
    }
    #expect(used == nil && pool.count == 0, "closed, with what is in it")
    let next = try take(&pool)
    #expect(next.isEmpty)
  }

  @Test func thoseThatNobodyNeedsAreClosed() throws {
    var pool = PipePool(limit: 4)
    weak var old: SplicePipe?
    weak var new: SplicePipe?
    let later = now.advanced(by: .seconds(3))
    do {
      let pipes = [try take(&pool), try take(&pool)]
      (old, new) = (pipes[0], pipes[1])
      #expect(pool.due == nil)
      pool.giveBack(pipes[0], at: now)
      pool.giveBack(pipes[1], at: later)
    }
    #expect(pool.due == now.advanced(by: PipePool.patience))
    pool.prune(at: now.advanced(by: .seconds(9)))
    #expect(old != nil && new != nil && pool.count == 2)
    pool.prune(at: now.advanced(by: PipePool.patience))
    #expect(old == nil && new != nil && pool.count == 1 && pool.due == later.advanced(by: PipePool.patience))
    // The newest is used first, so that the others may grow old.
    let next = try take(&pool)
    #expect(next === new && pool.due == nil)
  }

  @Test func fewAreWidenedAndOnlyWhileTheyAreInUse() throws {
    var pool = PipePool(limit: PipePool.wideLimit + 2)
    let pipes = try (0..<pool.limit).map { _ in
      let pipe = pool.take(at: now)
      return try #require(pipe)
    }
    for pipe in pipes { pool.widen(pipe) }
    for pipe in pipes { pool.widen(pipe) }
    // Unless this user has all that one may have: then there are none.
    let wide = pipes.filter { $0.capacity == SplicePipe.wide }
    #expect(wide.count == pool.wideCount && wide.count <= PipePool.wideLimit)
    for pipe in pipes { pool.giveBack(pipe, at: now) }
    #expect(pool.wideCount == 0 && pool.count == pipes.count && pipes.allSatisfy { $0.capacity <= SplicePipe.usual })
  }
}
