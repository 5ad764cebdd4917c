// What proxy.conf says about users who are made, looked at and changed over HTTP.

public import Auth
import Primitives

public struct RegistrationOptions: Equatable, Sendable {
  /// Who may make a user.
  public enum Policy: Equatable, Sendable {
    /// Nobody.
    case closed
    /// Anybody.
    case open
    /// Whoever has a code of this file, which is used up by it.
    case invite(path: String)
    /// Members of this group.
    case group([UInt8])
    /// Anybody; the user is locked until somebody unlocks him.
    case approval
  }

  /// Canonical, without a closing slash, and not the root.
  public var path = Array("/api/users".utf8)
  public var policy = Policy.closed
  /// Least number of characters of a password that is set over HTTP.
  public var minimumPassword = 6
  /// A list of passwords that nobody may choose: its file.
  public var refusedPath: String?
  /// For each client address (IPv6: each network of 64 bits); nil is without end.
  public var rate: Rate? = Rate(count: 5, per: .seconds(3600))
  public var maker = PasswordMaker.standard
  /// Whose members may look at any user.
  public var admins: [UInt8]?
  /// Names, in lower case, that a stranger may not take though nobody has them: those that some rule lets through by name.
  public var reserved: Set<[UInt8]> = []

  public init() {}
}
