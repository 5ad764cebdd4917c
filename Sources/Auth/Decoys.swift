// Hashes that nobody's password matches, in the proportions of those in the user file: what unknown names are checked against.
//
// A constant decoy tells by its time where users have other kinds, and so does one drawn anew at each attempt. Here a name falls, by its
// keyed hash, on a point between 0 and the number of users, and the costs lie there one after another, each as wide as it has users. A user
// more or less moves the borders a little and few names change sides.

internal import Crypto

struct Decoys: Sendable {
  /// By cost. Never empty.
  let hashes: [PasswordHash]
  /// How many users have this cost or an earlier one.
  private let upTo: [UInt64]

  /// Which of `hashes` a name gets.
  func choose(_ nameHash: UInt64) -> Int {
    let point = nameHash.multipliedFullWidth(by: upTo[upTo.count - 1]).high
    var i = 0
    while upTo[i] <= point { i += 1 }
    return i
  }

  struct Builder {
    private var samples: [PasswordHash.Cost: (hash: PasswordHash, users: UInt64)] = [:]

    mutating func count(_ hash: PasswordHash) {
      samples[hash.cost, default: (hash, 0)].users += 1
    }

    func build() -> Decoys {
      if samples.isEmpty { return Decoys(hashes: [PasswordHash.defaultDecoy()], upTo: [1]) }
      var hashes: [PasswordHash] = []
      var upTo: [UInt64] = []
      var sum: UInt64 = 0
      for cost in samples.keys.sorted() {
        guard let sample = samples[cost] else { continue }
        sum += sample.users
        hashes.append(sample.hash.decoy())
        upTo.append(sum)
      }
      return Decoys(hashes: hashes, upTo: upTo)
    }
  }
}
