// What one password check may cost: who writes the user file, or sends another's hashes to be imported, doesn't decide that alone.

public import Crypto
public import Primitives

/// Held against the estimate that a hash's parameters give (`PasswordHash.Expense`), so that a file means the same on every machine.
public struct HashLimit: Equatable, Sendable {
  /// Of one core.
  public var time: Interval
  /// Bytes.
  public var memory: Int

  /// What `hash_limit` is without being set.
  public static let standard = HashLimit(time: .seconds(2), memory: 256 << 20)
  /// What it may be set to: nothing beyond is read at all.
  public static let times = Interval.milliseconds(10)...PasswordHash.greatestExpense.time
  public static let memories = (1 << 20)...Int(clamping: PasswordHash.greatestExpense.memory)

  public init(time: Interval, memory: Int) {
    self.time = time
    self.memory = memory
  }

  /// Why a check of that expense is not done, in words that follow "the hash"; nil when it is.
  public func refusal(of expense: PasswordHash.Expense) -> String? {
    if expense.time > time {
      return "would take about \(Self.text(expense.time)) of a processor at each login, and hash_limit allows \(Self.text(time))"
    }
    if expense.memory > UInt64(clamping: memory) {
      return "would take \(Self.text(expense.memory)) of memory at each login, and hash_limit allows \(Self.text(UInt64(clamping: memory)))"
    }
    return nil
  }

  private static func text(_ time: Interval) -> String {
    let milliseconds = time.wholeMilliseconds
    if milliseconds < 1000 { return "\(milliseconds) ms" }
    let tenths = (milliseconds % 1000 + 99) / 100
    if tenths == 10 { return "\(milliseconds / 1000 + 1) s" }
    return tenths == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds / 1000).\(tenths) s"
  }

  private static func text(_ bytes: UInt64) -> String {
    let mebibytes = bytes >> 20 + (bytes & 0xF_FFFF == 0 ? 0 : 1)
    return "\(mebibytes) MiB"
  }
}
