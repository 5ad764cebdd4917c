// Who waits for which password check, and who is next: a line of checks for each client address, served in turn. No threads and no clock.

import Auth
import Primitives

/// The waiting checks of a `HashPool`, and those that run. Every step takes the same time for any number of them.
struct HashQueue {
  struct Job {
    let check: PasswordCheck
    let address: UInt64
    /// Which entry of the address's line it is.
    fileprivate let ticket: UInt64
    let expiry: Instant
    /// Who is to be told, those among them who have left since: they are not there to hear it.
    fileprivate(set) var waiters: [HashPool.Waiter]
    fileprivate var gone = 0
    fileprivate var runs = false
  }

  /// One stay of a check in the queue: an equal check that comes after it has been answered has another.
  struct Place: Equatable {
    fileprivate let key: PasswordCheck.Key
    fileprivate let ticket: UInt64
  }

  enum Entry {
    /// An equal check waits or runs already.
    case joined(Place)
    /// It has a place, which may have been another's: whose waiters are to be told.
    case queued(Place, displaced: Job?)
    case refused
  }

  /// One address's checks, oldest first.
  private struct Line {
    /// Withdrawn ones stay among them for a while: their jobs are gone, or have another ticket.
    var places: [Place] = []
    var first = 0
    /// Those that wait.
    var count = 0
  }

  private var jobs: [PasswordCheck.Key: Job] = [:]
  private var lines: [UInt64: Line] = [:]
  /// Each address that has a line, once.
  private var turn: [UInt64] = []
  /// Addresses by the length of their lines, and the greatest length: whose place is taken when there is none left.
  private var byLength: [Int: Set<UInt64>] = [:]
  private var longest = 0
  /// Checks that wait.
  private(set) var waiting = 0
  private var tickets: UInt64 = 0
  private let capacity: Int
  /// Places that one address may have.
  private let share: Int

  init(capacity: Int) {
    self.capacity = capacity
    share = Limits.hashQueueShare(of: capacity)
  }

  /// Queues a check, or joins an equal one.
  ///
  /// One address may fill its share of the places. When all are taken, the newest check of the address that has most of them gives way to one
  /// of an address that has at least two fewer: a few addresses full of guesses keep nobody out.
  mutating func enter(_ check: PasswordCheck, address: UInt64, _ waiter: HashPool.Waiter, expiry: Instant) -> Entry {
    if let job = jobs[check.key] {
      // Joining costs no hash, only memory, and that is bounded by the connections that wait.
      jobs[check.key]?.waiters.append(waiter)
      return .joined(Place(key: check.key, ticket: job.ticket))
    }
    let own = lines[address]?.count ?? 0
    guard own < share else { return .refused }
    var displaced: Job?
    if waiting >= capacity {
      guard longest > own + 1, let victim = byLength[longest]?.first else { return .refused }
      displaced = removeNewest(of: victim)
    }
    tickets += 1
    jobs[check.key] = Job(check: check, address: address, ticket: tickets, expiry: expiry, waiters: [waiter])
    if lines[address] == nil {
      lines[address] = Line()
      turn.append(address)
    }
    let place = Place(key: check.key, ticket: tickets)
    lines[address]?.places.append(place)
    changeLength(of: address, by: 1)
    return .queued(place, displaced: displaced)
  }

  /// One of those who waited at `place` is gone; with the last of them a check that does not run yet goes too. Nothing happens when that check has
  /// been answered: an equal one that waits by now is somebody else's.
  /// They are counted, not looked for: two workers' connections may have equal slots and serials, and there may be thousands.
  mutating func leave(_ place: Place) {
    let key = place.key
    guard jobs[key]?.ticket == place.ticket else { return }
    jobs[key]?.gone += 1
    guard let job = jobs[key], !job.runs, job.gone >= job.waiters.count else { return }
    jobs[key] = nil
    changeLength(of: job.address, by: -1)
    tidy(job.address)
  }

  /// The next check to be run. It stays known until `finish`, so that equal ones still join it.
  mutating func takeNext() -> Job? {
    while !turn.isEmpty {
      let address = turn.removeFirst()
      guard let count = lines[address]?.count, count > 0, let key = removeOldest(of: address) else {
        lines[address] = nil
        continue
      }
      changeLength(of: address, by: -1)
      if count == 1 { lines[address] = nil } else { turn.append(address) }
      jobs[key]?.runs = true
      return jobs[key]
    }
    return nil
  }

  /// The check has been run, or is given up: who is to be told.
  mutating func finish(_ key: PasswordCheck.Key) -> Job? { jobs.removeValue(forKey: key) }

  // MARK: Lines

  private func waits(_ place: Place) -> Bool {
    guard let job = jobs[place.key] else { return false }
    return job.ticket == place.ticket && !job.runs
  }

  private mutating func removeOldest(of address: UInt64) -> PasswordCheck.Key? {
    while let line = lines[address], line.first < line.places.count {
      let place = line.places[line.first]
      lines[address]?.first += 1
      if waits(place) {
        tidy(address)
        return place.key
      }
    }
    return nil
  }

  private mutating func removeNewest(of address: UInt64) -> Job? {
    while let place = lines[address]?.places.popLast() {
      guard waits(place) else { continue }
      changeLength(of: address, by: -1)
      return jobs.removeValue(forKey: place.key)
    }
    return nil
  }

  /// Lets go of places that nobody has any more, once they are most of the line.
  private mutating func tidy(_ address: UInt64) {
    guard let line = lines[address], line.places.count > 2 * line.count + 16 else { return }
    let kept = line.places[line.first...].filter { waits($0) }
    lines[address]?.places = kept
    lines[address]?.first = 0
  }

  private mutating func changeLength(of address: UInt64, by step: Int) {
    guard let length = lines[address]?.count else { return }
    lines[address]?.count = length + step
    waiting += step
    byLength[length]?.remove(address)
    if byLength[length]?.isEmpty == true { byLength[length] = nil }
    if length + step > 0 { byLength[length + step, default: []].insert(address) }
    if length + step > longest { longest = length + step }
    // The step is one, so that the next shorter length is where this address is now, or nothing waits.
    if length == longest && byLength[length] == nil { longest = length + step }
  }
}
