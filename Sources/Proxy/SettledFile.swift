// Reads a file when it holds still. `htpasswd` truncates the user file and writes it anew in place: a reader that looks in that instant
// would see no users, or half of them.

import Auth
import Glibc
import Primitives

/// A file that authentication goes by (users, keys, …), looked at again and again. Belongs to the main thread.
final class SettledFile<Value: Sendable> {
  /// What became of a look.
  enum Look {
    /// It is being written, or was a moment ago: look again after `FileSettling.time`.
    case changing
    /// It is what was last read.
    case unchanged
    case value(Value)
    /// Why it can't be used. What was read before should stay in force.
    case failed(String)
  }

  /// The file's path, or nil when there is none, which makes an empty table.
  var path: String?
  /// Read at the look before; used when it is still the same at the next.
  private var candidate: FileReading?
  private var inForce: FileLook?
  /// What it looked like when it was last taken, or given up; nil when it was not there.
  private var lastSeen: FileLook?
  private var looks = 0
  /// Whether it may be missing from the start, which is then as good as an empty one.
  private let mayBeMissing: Bool
  private var isKnownMissing = false
  private var isStale = false
  /// It was complained about, and looks as it did then.
  private var isGivenUp = false
  /// While reading at a start or a reload: what is known of it already.
  private var atHand: FileAtHand<Value>?
  /// Whether what was read at the last start or reload was what was known already.
  private(set) var wasAtHand = false

  /// How the file is called in messages: `users`, `keys`.
  private let subject: String
  /// What there is without a file.
  private let none: () -> Value
  private let parse: (_ bytes: [UInt8], _ path: String) throws -> Value
  /// Whether the last line has to end.
  private let endsWithLine: Bool

  init(
    _ subject: String, path: String?, endsWithLine: Bool = true, mayBeMissing: Bool = false, none: @escaping @autoclosure () -> Value,
    parse: @escaping (_ bytes: [UInt8], _ path: String) throws -> Value
  ) {
    self.subject = subject
    self.path = path
    self.endsWithLine = endsWithLine
    self.mayBeMissing = mayBeMissing
    self.none = none
    self.parse = parse
  }

  /// Whether the file looks other than at the end of the last reading. One stat(2): for the changes that nobody tells us, such as those of
  /// a network file system, or of a file that we may not read.
  func looksChanged() -> Bool {
    guard let path else { return false }
    return (try? UserFile(path: path).look()) != lastSeen
  }

  /// The next looks read the file although it may not have changed: what it is read with has.
  func readAgain() {
    isStale = true
    isGivenUp = false
  }

  /// Looks once.
  func look() -> Look {
    guard let path else { return .unchanged }
    let file = UserFile(path: path)
    do throws(DurableFileError) {
      let now = try file.look()
      if isGivenUp && now == lastSeen { return .unchanged }
      isGivenUp = false
      if now == inForce && !isStale {
        candidate = nil
        looks = 0
        lastSeen = now
        return .unchanged
      }
      guard let reading = candidate, reading.settling(at: now, endsWithLine: endsWithLine) == .settled else {
        let isUnfinished = candidate?.settling(at: now, endsWithLine: endsWithLine) == .unfinished
        candidate = try file.read()
        return isUnfinished
          ? wait("\(subject) \(path): the last line has no end; is it being written, or was it cut short?")
          : wait("\(subject) \(path): it keeps changing")
      }
      if reading.bytes.isEmpty && inForce != nil && looks < FileSettling.patience {
        // Truncated, to be written anew? The last user's removal looks the same, so it takes effect, but not at once.
        looks += 1
        return .changing
      }
      return take(reading, path)
    } catch {
      if mayBeMissing, inForce == nil, case .missing = error {
        candidate = nil
        looks = 0
        lastSeen = nil
        if isKnownMissing { return .unchanged }
        isKnownMissing = true
        return .value(none())
      }
      // A rename leaves no gap, but a removal before a copy does.
      candidate = nil
      if isGivenUp && lastSeen == nil { return .unchanged }
      return wait("\(subject) \(error)")
    }
  }

  /// Takes into use what we have written ourselves a moment ago, which need not hold still. `changing` when it is already something else.
  func takeWritten(_ bytes: [UInt8]) -> Look {
    guard let path, let reading = try? UserFile(path: path).read(), reading.bytes == bytes else { return .changing }
    return reading.look == inForce ? .unchanged : take(reading, path)
  }

  /// Reads the file at a start or a reload: waits until it holds still, which one that was last changed seconds ago does.
  ///
  /// - Parameters:
  ///   - atHand: what some bytes came to: taken when the file has these.
  ///   - pause: waits between two looks.
  func readSettled(
    atHand: FileAtHand<Value>? = nil, now: Timestamp = .now(), pause: () -> Void = FileSettling.pause
  ) throws(ServerFailure) -> Value {
    wasAtHand = false
    guard let path else { return none() }
    self.atHand = atHand
    defer { self.atHand = nil }
    inForce = nil
    candidate = nil
    looks = 0
    isKnownMissing = false
    isGivenUp = false
    if let reading = try? UserFile(path: path).read(), reading.look.isOld(at: now) { candidate = reading }
    while true {
      switch look() {
      case .value(let value): return value
      case .failed(let reason): throw ServerFailure(reason)
      case .unchanged, .changing: pause()
      }
    }
  }

  private func wait(_ reason: String) -> Look {
    looks += 1
    if looks < FileSettling.patience { return .changing }
    looks = 0
    isGivenUp = true
    // Given up until the file changes again.
    lastSeen = path.flatMap { try? UserFile(path: $0).look() }
    return .failed(reason)
  }

  private func take(_ reading: FileReading, _ path: String) -> Look {
    candidate = nil
    looks = 0
    isStale = false
    // Also when it can't be used: it is not to be tried again until it changes.
    inForce = reading.look
    lastSeen = reading.look
    if let atHand, atHand.bytes == reading.bytes {
      wasAtHand = true
      return .value(atHand.value)
    }
    do {
      return .value(try parse(reading.bytes, path))
    } catch {
      return .failed("\(subject) \(path): \(error)")
    }
  }
}

enum FileSettling {
  /// How long a file must hold still.
  static let time = Interval.milliseconds(100)
  /// Lets that pass.
  static func pause() { usleep(UInt32(time.nanoseconds / 1000)) }
  /// Looks at a file that is missing, torn or never still before it is given up: 3 s.
  static let patience = 30
}
