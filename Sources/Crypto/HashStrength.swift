// Which of two hashes is the weaker one: what a login may replace (`rehash`).

extension PasswordHash.Kind {
  /// What a guesser with the best hardware for it is up against, whatever the parameters. From the bottom: kinds of one digest or a
  /// thousand (millions to billions of guesses a second on one graphics card); iterated digests, which such a card runs by the thousands
  /// at once; bcrypt, whose 4 KiB for each guess it has to keep close at hand; and what fills memory, which nobody buys cheaper than we do.
  var tier: Int {
    switch self {
    case .md5crypt, .apr1, .sha1, .saltedSHA1, .plain: 0
    case .sha256crypt, .sha512crypt, .pbkdf2SHA1, .pbkdf2SHA256, .pbkdf2SHA512: 1
    case .bcrypt: 2
    case .yescrypt, .scrypt7, .scrypt, .argon2id, .argon2i, .argon2d: 3
    }
  }
}

extension PasswordHash {
  /// Whether a login with this hash should replace it by a new one of `kind` at `cost` (nil is the kind's default).
  ///
  /// Weak kinds always; then a lower tier (see `Kind.tier`); the same kind where a guess is cheaper by estimate; another kind of the same
  /// tier only where a guess costs less than an eighth, so that estimates that are off by a little change nobody's hash. A higher tier is left
  /// alone, and so is what `make` itself has made with `kind` and `cost`. A decoy is nobody's and never weaker.
  public func isWeaker(than kind: NewKind, cost: UInt? = nil) -> Bool {
    guard !isDecoy, let new = kind.specimen(cost: cost) else { return false }
    if self.kind.isWeak { return true }
    if self.kind.tier != new.kind.tier { return self.kind.tier < new.kind.tier }
    let factor: UInt128 = self.kind == new.kind ? 1 : 8
    return expense.product * factor < new.expense.product
  }
}
