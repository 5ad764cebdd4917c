// What proxy.conf says about users who are made, looked at and changed over HTTP.

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
  /// Whose members may look at any user.
  public var admins: [UInt8]?

  public init() {}
}
