// What the operator says about an upstream: its servers, and how requests are shared out among them. Values only.

public import Login
public import Primitives

/// One of an upstream's servers.
public struct UpstreamMember: Equatable, Sendable {
  /// How to reach it, and what goes for all servers of its upstream.
  public var options: UpstreamOptions
  /// How many requests it gets beside the others: 1 to 1000.
  public var weight = 1
  /// Gets requests only while none of the others can take one.
  public var isBackup = false
  /// Requests under way at once, of all workers together; nil for as many as each worker may have connections.
  public var maxConnections: Int?

  public init(_ options: UpstreamOptions) {
    self.options = options
  }
}

/// A service behind the proxy: one server, or several that do the same.
public struct UpstreamGroup: Equatable, Sendable {
  /// Who gets the next request, of those that can take one.
  public enum Balance: Equatable, Sendable {
    /// One after the other, by weight.
    case roundRobin
    /// Who has the fewest requests under way for its weight.
    case leastConnections
    /// Of two drawn by weight the one with fewer requests under way for its weight: nearly as even as `leastConnections`, and who has just come
    /// back is not overrun.
    case randomTwo
    /// Always the same for the same key, as long as it can take requests; when a server comes or goes, only the keys that were its own move
    /// (highest random weight). Without the key, as `roundRobin`.
    case hash(HashKey)
  }

  /// What of a request names its server.
  public enum HashKey: Equatable, Sendable {
    /// The client's address.
    case client
    case user
    /// The value of the first field of that name.
    case header([UInt8])
    /// The value of that cookie.
    case cookie([UInt8])
  }

  /// When a server that fails gets no more requests for a time.
  public struct Ejection: Equatable, Sendable {
    /// Failures in a row, at least 1.
    public var failures: Int
    /// The first time; twice as long each time that it fails again, up to 32 times as long.
    public var pause: Interval
    /// Whether the last server that serves, or the only one, is ejected too: requests then fail at once, instead of waiting for it one after the other.
    public var takesLast = false

    public init(failures: Int, pause: Interval, takesLast: Bool = false) {
      self.failures = failures
      self.pause = pause
      self.takesLast = takesLast
    }

    /// For how long, by how often it has been ejected in a row before.
    func pause(after ejections: Int) -> Interval { Interval(nanoseconds: pause.nanoseconds << UInt64(min(max(ejections, 0), 5))) }
  }

  /// When a request that a server failed goes to another.
  public struct Retry: Equatable, Sendable {
    public struct Causes: OptionSet, Sendable {
      public let rawValue: UInt8
      public init(rawValue: UInt8) { self.rawValue = rawValue }
      /// No connection came about: nothing of the request was sent.
      public static let connect = Causes(rawValue: 1)
      /// The connection ended, or broke, before a byte of the answer.
      public static let reset = Causes(rawValue: 2)
      public static let badGateway = Causes(rawValue: 4)
      public static let unavailable = Causes(rawValue: 8)
      public static let gatewayTimeout = Causes(rawValue: 16)

      /// What an answer of that status is.
      public init(status: Int) {
        switch status {
        case 502: self = .badGateway
        case 503: self = .unavailable
        case 504: self = .gatewayTimeout
        default: self = []
        }
      }
    }

    /// Further servers that are asked, at least 1.
    public var times: Int
    public var causes: Causes

    public init(times: Int, on causes: Causes) {
      self.times = times
      self.causes = causes
    }
  }

  /// How requests wait while all servers that serve are full.
  public struct Queue: Equatable, Sendable {
    /// How many, of all workers together; at least 1.
    public var places: Int
    /// For how long.
    public var wait: Interval

    public init(places: Int, wait: Interval) {
      self.places = places
      self.wait = wait
    }
  }

  /// The name in proxy.conf, for routes and logs.
  public var name: String
  /// 1 to `mostMembers`, each at another place.
  public var members: [UpstreamMember]
  public var balance = Balance.roundRobin
  /// Nil for never. Nobody is ejected who is the last.
  public var ejection: Ejection? = Ejection(failures: 3, pause: .seconds(10))

  /// Nil for never.
  public var retry: Retry? = Retry(times: 2, on: [.connect, .reset])
  /// Bytes of a request's body that are kept so that another server can be sent them too. 0: such requests are not sent again.
  public var replayLimit = 64 << 10
  /// Nil: requests fail at once when all servers are full.
  public var queue: Queue?
  /// How long a server that is back gets fewer requests than it would, ever more of them. Nil for not at all.
  public var slowStart: Interval?
  /// How each server is asked whether it is well. Nil: it isn't.
  public var health: HealthCheck?

  /// Whom a request has been sent to is remembered in 64 bits.
  public static let mostMembers = 64

  /// As whom we log in there; nil where we don't.
  public var login: UpstreamLogin?
  /// By what it can check who the user is; nil where it is not told so.
  public var assertion: UserAssertion?

  public init(name: String, members: [UpstreamMember]) {
    self.name = name
    self.members = members
  }

  /// Of one server.
  public init(_ options: UpstreamOptions) {
    self.init(name: options.name, members: [UpstreamMember(options)])
  }

  /// Whether requests are counted and shared out, and not just sent to the one place that there is.
  public var isShared: Bool {
    members.count > 1 || members[0].maxConnections != nil || queue != nil || health != nil || ejection?.takesLast ?? false
  }
}

extension UpstreamOptions {
  /// Where the server is, as proxy.conf says it: a URL, or `unix:` and a path.
  public var place: String {
    if let files { return files.place(address) }
    return switch address {
    case .unix(let path): "unix:\(path)"
    case .host(let host, let port): "\(scheme == .https ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
  }
}
