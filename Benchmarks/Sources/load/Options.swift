// What the load generator was asked to do: the command line, read by hand so that the package depends on nothing.

/// `load --port N [options]`; see `usage`.
struct Options {
  var port: UInt16 = 0
  var connections = 64
  /// Ends after so many responses; nil for no such end.
  var requests: Int?
  /// Ends after so long; nil for no such end.
  var seconds: Double?
  /// Time between a response and the next request of its connection, in milliseconds.
  var pause: Double = 0
  /// `name:password`, the same with every request.
  var user: String?
  /// A bearer token, the same with every request.
  var bearer: String?
  /// Names to guess passwords for: a new password with every request. One in two guesses is for a name that nobody has.
  var guesses: [String] = []
  /// Each connection comes from its own address, 127.0.1.1 and upwards, instead of from 127.0.0.1.
  var spreadsAddresses = false

  static let usage = """
    usage: load --port N [--connections N] [--requests N | --seconds S] [--pause MS] [--user NAME:PASSWORD | --bearer TOKEN | --guess NAME,NAME,...] [--spread]

    Keeps one request outstanding on each of N keep-alive connections to 127.0.0.1:PORT, and prints what came back as one line of JSON.
    Ends after so many responses, after so many seconds, or when its standard input ends.
    """

  init?(_ arguments: [String]) {
    var rest = arguments[...]
    while let name = rest.popFirst() {
      if name == "--spread" {
        spreadsAddresses = true
        continue
      }
      guard let value = rest.popFirst() else { return nil }
      switch name {
      case "--port":
        guard let n = UInt16(value) else { return nil }
        port = n
      case "--connections":
        guard let n = Int(value), (1...4000).contains(n) else { return nil }
        connections = n
      case "--requests":
        guard let n = Int(value), n > 0 else { return nil }
        requests = n
      case "--seconds":
        guard let n = Double(value), n > 0 else { return nil }
        seconds = n
      case "--pause":
        guard let n = Double(value), n >= 0 else { return nil }
        pause = n
      case "--user": user = value
      case "--bearer": bearer = value
      case "--guess": guesses = value.split(separator: ",").map(String.init)
      default: return nil
      }
    }
    if port == 0 || [user != nil, bearer != nil, !guesses.isEmpty].count(where: { $0 }) > 1 { return nil }
  }
}
