// The door of this room: a config file in, settings or complaints out.

public import Auth
internal import Net
public import Proxy

/// A config that was read, for better or worse.
public struct Configuration: Sendable {
  /// The name of the file as it was given.
  public let name: String
  /// What to run by; nil when there are errors.
  public let settings: Settings?
  /// Errors and warnings, in the order in which they were found.
  public let diagnostics: Diagnostics
  /// The user file's path, also where something else is wrong: what edits users needs no more than that. Nil when none could be read out.
  public let usersPath: String?
  /// What a check of a stored hash may cost, also where something else is wrong.
  public let hashLimit: HashLimit
  /// The user file as it was when the config was read; nil when there is none that can be used.
  public let users: UserTable?
  /// What of it the server need not read anew.
  public let atHand: FilesAtHand
  /// The keys of each `jwt` block of the settings, as they were then.
  let keySets: [ForeignKeySet?]
  /// What stands in the certificates of listeners, by their address.
  let certificates: [String: [TLSCertificate]]
  /// What it says about tokens, also where something else is wrong; nil when it says nothing, or not where the keys are.
  public let tokens: TokenOptions?
  /// The keys of tokens as they were then; nil when there is no file that can be used.
  public let tokenKeys: TokenKeys?
  /// Where the running server is asked, also where something else is wrong.
  public let admin: AdminPlace

  /// Reads the file at `path`, what it includes, and the user file that it names.
  ///
  /// - Parameter environment: where `${NAME}` looks, or the process's environment. Nil is "not set".
  public static func load(path: String, environment: ((String) -> String?)? = nil) -> Configuration {
    var inclusion = Inclusion(environment: environment ?? Self.processEnvironment)
    let directives = inclusion.load(path)
    return Configuration(name: path, directives, inclusion.diagnostics)
  }

  /// The same from a text, as if it stood in a file called `name` (relative paths are seen from its folder).
  public static func load(text: String, name: String, environment: ((String) -> String?)? = nil) -> Configuration {
    var inclusion = Inclusion(environment: environment ?? Self.processEnvironment)
    let directives = inclusion.load(text: Array(text.utf8), name: name)
    return Configuration(name: name, directives, inclusion.diagnostics)
  }

  private static func processEnvironment(_ name: String) -> String? {
    ProcessEnvironment.value(name)
  }

  private init(name: String, _ directives: [Directive]?, _ diagnostics: Diagnostics) {
    let reading = Reading(diagnostics: diagnostics)
    var users: UserTable?
    var tokenKeys: TokenKeys?
    if let directives {
      reading.readTop(directives)
      (users, tokenKeys) = reading.finish(name: name)
    }
    self.name = name
    self.users = users
    atHand = reading.atHand
    keySets = reading.issuers.map(\.set)
    certificates = reading.certificates
    self.tokenKeys = tokenKeys
    self.diagnostics = reading.diagnostics
    admin = reading.settings.admin
    usersPath = reading.settings.usersPath
    hashLimit = reading.settings.limits.hashLimit
    tokens = reading.settings.tokens
    settings = reading.diagnostics.hasErrors ? nil : reading.settings
  }
}
