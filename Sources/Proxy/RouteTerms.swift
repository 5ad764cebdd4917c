// What a route may ask beyond who may pass and where to: answers of its own instead of an upstream's, maintenance, bounds. As values, as proxy.conf says them.

public import Primitives

/// What answers a route's requests where no upstream does.
public enum RouteAnswer: Equatable, Sendable {
  /// The same for everybody.
  case respond(FixedAnswer)
  case redirect(RedirectTemplate)
  /// Files beneath this folder (absolute), by the request's whole path.
  case root(folder: String)
}

/// An answer that is known beforehand.
public struct FixedAnswer: Equatable, Sendable {
  /// Largest content, here and of error pages.
  public static let mostBytes = 128 << 10

  /// 200 to 599, without those that mean something to the protocol.
  public var status: Int
  /// A field's value.
  public var type: [UInt8]
  public var content: [UInt8]

  public init(status: Int, type: [UInt8], content: [UInt8]) {
    self.status = status
    self.type = type
    self.content = content
  }
}

/// A file whose being there closes a route.
public struct MaintenanceOptions: Equatable, Sendable {
  /// Absolute; it may be empty.
  public var path: String
  /// HTML; nil for the usual words.
  public var page: [UInt8]?

  public init(path: String, page: [UInt8]? = nil) {
    self.path = path
    self.page = page
  }
}

/// How many requests may come in a time, of whom.
public struct RateLimit: Equatable, Sendable {
  /// Whose requests are counted together.
  public enum Key: Equatable, Sendable {
    /// One client's network (`ClientAddress.networkKey`), before anybody is asked who he is.
    case address
    /// One user's; where nobody was asked, one network's.
    case user
    /// One token's or API key's; of who came without, all of the user's.
    case token
  }

  public var rate: Rate
  /// How many may come at once, 1 or more; the others as the rate gives them back.
  public var burst: Int
  public var key = Key.address

  public init(_ rate: Rate, burst: Int, by key: Key = .address) {
    self.rate = rate
    self.burst = burst
    self.key = key
  }
}

/// Times that a route has of its own instead of its upstream's; nil where it has not.
public struct RouteTimes: Equatable, Sendable {
  /// Shorter than the upstream's, which libcurl keeps: until the request went out.
  public var connect: Interval?
  public var response: Interval?
  public var idle: Interval?
  /// From the grant to the response's last byte.
  public var total: Interval?

  public init() {}
}

/// All of it.
public struct RouteTerms: Equatable, Sendable {
  public var answer: RouteAnswer?
  public var maintenance: MaintenanceOptions?
  /// Requests at once, all workers together.
  public var maxInFlight: Int?
  /// The same of one user; where nobody was asked, of one network.
  public var maxInFlightOfUser: Int?
  public var rates: [RateLimit] = []
  public var times = RouteTimes()
  /// Bytes of a response's content in a second.
  public var bandwidth: Int?
  /// Bytes of a response that are taken from the upstream ahead of its client.
  public var buffer: Int?
  /// Bytes of a request's content in a second.
  public var uploadBandwidth: Int?
  /// Bytes of a request's content that are in memory before the upstream is asked for anything, or all of it.
  public var uploadBuffer: Int?

  public init() {}
}
