// Which account a request is logged in with: the upstream's one, or that of the user who asks. Decides nothing about who may pass.

import Primitives

/// All accounts at one upstream, as `authenticate` says. Made anew by each reading of the configuration, and equal to itself alone: connections and
/// nonces of accounts that a reload has brought are never those of the accounts before.
public final class UpstreamLogin: Sendable, Equatable {
  public let scheme: LoginScheme
  /// By the users' names here; nil where all share the one account.
  private let accounts: [[UInt8]: Account]?
  /// The upstream's one account; nil where each user has his own.
  private let shared: Account?
  /// Whether users without an account of their own get the one account.
  private let sharesWithOthers: Bool
  /// Whether requests of nobody (public routes) get the one account.
  private let sharesWithNobody: Bool
  /// Where they come from, for `check`.
  public let sources: String

  public init(
    _ scheme: LoginScheme, shared: Account?, accounts: [[UInt8]: Account]?, sharesWithOthers: Bool, sharesWithNobody: Bool, sources: String
  ) {
    self.scheme = scheme
    fields =
      switch scheme {
      case .header(let name): [name]
      case .awsSigV4: SigV4.fields
      case .basic, .bearer, .digest, .ntlm, .clientCredentials, .negotiate: []
      }
    self.shared = shared
    self.accounts = accounts
    self.sharesWithOthers = sharesWithOthers
    self.sharesWithNobody = sharesWithNobody
    self.sources = sources
  }

  /// The account for a request of `user`, who is nil for nobody. Nil: the request is not forwarded.
  public func account(for user: [UInt8]?) -> Account? {
    guard let user else { return sharesWithNobody ? shared : nil }
    guard let accounts else { return shared }
    return accounts[user] ?? (sharesWithOthers ? shared : nil)
  }

  /// The account that tokens are issued to by others; nil where they are no part of it.
  public var client: Account? { scheme.takesTokens ? shared : nil }

  /// The names of the fields in which we log in, beside Authorization: what a client writes there is not forwarded.
  public let fields: [[UInt8]]

  /// What `check` says of it: no secret.
  public var summary: String {
    var notes: [String] = []
    if let accounts { notes.append("\(accounts.count) \(accounts.count == 1 ? "account" : "accounts") of users") }
    if let shared {
      let name = shared.name.isEmpty ? "one account" : "as \(String(decoding: shared.name, as: UTF8.self))"
      notes.append(accounts == nil ? "\(name) for everybody" : sharesWithOthers ? "\(name) for others" : "\(name) for nobody else")
    }
    if accounts != nil && !(sharesWithOthers && shared != nil) { notes.append("other users refused") }
    if sharesWithNobody { notes.append("PUBLIC REQUESTS TOO") }
    if case .clientCredentials(let endpoint) = scheme { notes.append("by tokens of \(endpoint.place)") }
    if case .negotiate(let login) = scheme { notes.append("to \(login.service)") }
    return "logged in by \(scheme.name), \(notes.joined(separator: ", ")) (\(sources))"
  }

  public static func == (a: UpstreamLogin, b: UpstreamLogin) -> Bool { a === b }
}
