// What the proxy was told to be, as values. Config fills them; a reload replaces them whole. Nothing here changes after that.

public import Auth
public import HTTP
public import HTTP2
public import Net
public import Upstream

/// One route of proxy.conf: which requests it covers, who may pass, and where they go.
public struct Route: Equatable, Sendable {
  /// Which hosts a route covers.
  public enum Host: Equatable, Hashable, Sendable {
    case any
    /// A name in lower case, without port.
    case name([UInt8])
    /// What stands behind `*`, with its dot, in lower case: `.example.com`.
    case suffix([UInt8])
  }

  /// What becomes of the client's Authorization field.
  public enum AuthorizationPolicy: Equatable, Sendable {
    case strip
    case pass
    /// Sent instead of the client's.
    case replace([UInt8])
  }

  /// Method tokens, as written; empty for any.
  public var methods: [[UInt8]] = []
  public var host = Host.any
  /// A canonical path: begins with `/`.
  public var path: [UInt8]
  /// Whether only this very path is covered, or also what lies beneath it.
  public var isExact = false
  public var requirement: Requirement
  /// Index into `Settings.upstreams`; nil where `terms.answer` says what is answered instead.
  public var upstream: Int?
  /// Most bytes of a request's body (413).
  public var bodyLimit: UInt64?
  /// Whether the path is forwarded byte for byte (`path raw`).
  public var isRaw = false
  public var allowsTrace = false
  public var authorization = AuthorizationPolicy.strip
  /// Which other protocols its requests may go on in.
  public var upgrade = UpgradePolicy.websocket
  /// Whether a CORS preflight passes without credentials (`preflight pass`).
  public var passesPreflights = false
  /// Whether a 401 to a script has no Basic challenge (`challenge silent-for-xhr`).
  public var isSilentForScripts = false
  /// Whether requests in clear text are refused.
  public var requiresTLS = false
  /// What its requests and responses are changed to.
  public var rewriting = RouteRewriting()
  public var terms = RouteTerms()
  /// Where it was written: `proxy.conf:30`.
  public var place = ""
  /// How the route is named in logs: as the config wrote it.
  public var label: String

  public init(path: [UInt8], requirement: Requirement, upstream: Int?, label: String) {
    self.path = path
    self.requirement = requirement
    self.upstream = upstream
    self.label = label
  }
}

/// `Strict-Transport-Security` (RFC 6797), what browsers are told of never coming in clear text again.
public struct TransportSecurity: Equatable, Sendable {
  /// For how long, in seconds; 0 takes back what was told before.
  public var seconds: UInt64
  public var includesSubdomains = false
  /// Whether browsers may be shipped with it.
  public var isPreloaded = false

  public init(seconds: UInt64) { self.seconds = seconds }

  /// The field's value.
  public var value: String { "max-age=\(seconds)\(includesSubdomains ? "; includeSubDomains" : "")\(isPreloaded ? "; preload" : "")" }

  /// The field's line, with its end.
  var line: [UInt8] { Array("Strict-Transport-Security: \(value)\r\n".utf8) }
}

/// The field in which trusted proxies write for whom they ask. One, since a proxy writes one of them and passes the other on as its client sent it: whoever
/// believed both would let clients choose.
public enum OriginField: Equatable, Sendable {
  /// `X-Forwarded-For`, and with it -Proto, -Host and -Port.
  case xForwardedFor
  /// `Forwarded` (RFC 7239), and nothing of X-Forwarded-*.
  case forwarded
}

/// Which fields tell the upstream who and from where.
public struct ForwardingOptions: Equatable, Sendable {
  /// Field names for the user and for the groups (joined by commas).
  public var userField = "X-Forwarded-User"
  public var groupsField = "X-Forwarded-Groups"
  /// Names of the fields that hold assertions of users, of all upstreams.
  public var assertionFields: [String] = []
  /// Whether RFC 7239's `Forwarded` is set beside `X-Forwarded-*`.
  public var setsForwarded = false
  /// Whether the subject, serial number and fingerprint of the client's certificate are told (`X-Forwarded-Client-Cert-…`).
  public var setsClientCertificate = false
  /// Peers whose `X-Forwarded-*` and `X-Request-Id` are appended to and kept.
  public var trustedProxies: [Network] = []
  /// In which field they say so.
  public var originField = OriginField.xForwardedFor

  public init() {}
}

/// Where the access log goes, and in which shape.
public struct AccessLogOptions: Equatable, Sendable {
  public enum Target: Equatable, Sendable {
    case off
    case standardOutput
    case file(path: String)
  }
  public enum Format: Equatable, Sendable {
    case combined
    case json
  }
  public var target = Target.standardOutput
  public var format = Format.combined

  public init() {}
}

/// Levels of the error log, syslog(3)'s numbers.
public enum LogLevel: Int, Comparable, Sendable, CaseIterable {
  case error = 3
  case warning = 4
  case notice = 5
  case info = 6
  case debug = 7

  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Where the admin socket is.
public enum AdminPlace: Equatable, Sendable {
  /// `standardPath`, where there is the folder for it.
  case standard
  case off
  case unix(path: String)

  public static let standardPath = "/run/gatehouse/admin.sock"
}

/// Everything that proxy.conf says, resolved.
public struct Settings: Sendable {
  public var listeners: [ListenerSettings] = []
  /// Worker threads; 0 for one a core.
  public var workers = 0
  /// The user file's path.
  public var usersPath: String?
  /// Apache's group file, whose groups are added to those of the user file.
  public var groupsPath: String?
  public var gatekeeper = GatekeeperOptions()
  /// Signed tokens; nil for none.
  public var tokens: TokenOptions?
  /// Whose tokens are accepted beside our own.
  public var issuers: [ForeignIssuer] = []
  /// nil: failures are not counted.
  public var lockout: LockoutOptions? = LockoutOptions()
  public var upstreams: [UpstreamGroup] = []
  public var routes: [Route] = []
  /// Whether a 401 to a script has no Basic challenge, where no route says so.
  public var isSilentForScripts = false
  public var forwarding = ForwardingOptions()
  /// Nil for saying nothing.
  public var transportSecurity: TransportSecurity?
  /// Where trusted proxies ask about requests of theirs; canonical. Nil where they can't.
  public var forwardAuthPath: [UInt8]?
  /// Where the public keys of assertions are had; canonical. Nil for nowhere.
  public var jwksPath: [UInt8]?
  public var accessLog = AccessLogOptions()
  public var logLevel = LogLevel.notice
  public var admin = AdminPlace.standard
  /// Whether a login replaces a hash that is weaker than new ones.
  public var rehashes = false
  /// Nil where nobody registers over HTTP.
  public var registration: RegistrationOptions?
  /// For all routes together, beside their own.
  public var rates: [RateLimit] = []
  /// HTML for answers of our own, by their status.
  public var errorPages: [Int: [UInt8]] = [:]
  public var http2 = HTTP2Options()
  public var limits = Limits()

  public init() {}
}
