// What the load generator was asked to do: the command line, read by hand so that the package depends on nothing.

/// `load --port N [options]`; see `usage`.
struct Options {
  /// Of connections: what each one costs a server to keep, and what we may open from one address.
  static let mostConnections = 20_000

  var port: UInt16 = 0
  var connections = 64
  /// Ends after so many responses; nil for no such end.
  var requests: Int?
  /// Ends after so long; nil for no such end.
  var seconds: Double?
  /// Requests a second that are due whatever becomes of them; nil for as many as there are responses.
  var rate: Double?
  var path = "/some/path?q=1"
  /// `name:password`, the same with every request.
  var user: String?
  /// A bearer token, the same with every request.
  var bearer: String?
  /// Names to guess passwords for: a new password with every request. One in two guesses is for a name that nobody has.
  var guesses: [String] = []
  /// Bytes that each request uploads; nil for a GET.
  var body: Int?
  var isChunked = false
  /// Each connection comes from its own address, 127.0.1.1 and upwards, instead of from 127.0.0.1.
  var spreadsAddresses = false
  /// Each request has a connection of its own.
  var isFresh = false
  /// Each connection asks once and then stays open until standard input ends; nil, or how many may wait for their answer at once.
  var hold: Int?

  static let usage = """
    usage: load --port N [--connections N] [--requests N | --seconds S] [--rate R] [--path PATH]
                [--user NAME:PASSWORD | --bearer TOKEN | --guess NAME,NAME,...] [--body BYTES [--chunked]] [--spread] [--fresh | --hold N]

    Keeps one request outstanding on each of N keep-alive connections to 127.0.0.1:PORT, and prints what came back as one line of JSON.
    Ends after so many responses, after so many seconds, or when its standard input ends.

      --rate R     R requests a second are due, on whichever connection is idle. Latencies count from the moment in which a request was due,
                   not from that in which it could be sent; those that are not answered a second after the end count with their age.
      --fresh      each request has a connection of its own
      --hold N     each connection asks once, N at a time; the report comes then, and they stay open until standard input ends
      --body N     each request is a POST of N bytes
      --spread     each connection has its own source address
    """

  init?(_ arguments: [String]) {
    var rest = arguments[...]
    while let name = rest.popFirst() {
      switch name {
      case "--spread": spreadsAddresses = true
      case "--fresh": isFresh = true
      case "--chunked": isChunked = true
      default:
        guard let value = rest.popFirst(), take(name, value) else { return nil }
      }
    }
    if port == 0 || [user != nil, bearer != nil, !guesses.isEmpty].count(where: { $0 }) > 1 { return nil }
    if rate != nil && seconds == nil || hold != nil && (isFresh || rate != nil) || isChunked && body == nil { return nil }
    if let hold {
      requests = connections
      self.hold = min(hold, connections)
    }
  }

  private mutating func take(_ name: String, _ value: String) -> Bool {
    func count(_ range: ClosedRange<Int>) -> Int? { Int(value).flatMap { range.contains($0) ? $0 : nil } }
    func positive() -> Double? { Double(value).flatMap { $0 > 0 && $0 < 1e9 ? $0 : nil } }
    switch name {
    case "--port":
      guard let n = UInt16(value) else { return false }
      port = n
    case "--connections":
      guard let n = count(1...Self.mostConnections) else { return false }
      connections = n
    case "--requests":
      guard let n = count(1...Int.max) else { return false }
      requests = n
    case "--seconds":
      guard let n = positive() else { return false }
      seconds = n
    case "--rate":
      guard let n = positive() else { return false }
      rate = n
    case "--body":
      guard let n = count(0...(1 << 40)) else { return false }
      body = n
    case "--hold":
      guard let n = count(1...Self.mostConnections) else { return false }
      hold = n
    case "--path": path = value
    case "--user": user = value
    case "--bearer": bearer = value
    case "--guess": guesses = value.split(separator: ",").map(String.init)
    default: return false
    }
    return true
  }
}
