// Names of users and groups as numbers, for files that are to belong to them. Asks the machine's user database, which may ask a directory
// server: only while a configuration is read.

internal import Glibc

public enum Accounts {
  /// The number of a user by name, or of a number itself; nil where there is no such user.
  public static func user(_ text: String) -> UInt32? {
    if let number = number(text) { return number }
    return unsafe lookUp { buffer in
      guard let room = buffer.baseAddress else { return (ENOMEM, nil) }
      var entry = unsafe passwd()
      var found: UnsafeMutablePointer<passwd>?
      let code = unsafe getpwnam_r(text, &entry, room, buffer.count, &found)
      return (code, unsafe found == nil ? nil : unsafe entry.pw_uid)
    }
  }

  /// The number of a group, likewise.
  public static func group(_ text: String) -> UInt32? {
    if let number = number(text) { return number }
    return unsafe lookUp { buffer in
      guard let room = buffer.baseAddress else { return (ENOMEM, nil) }
      var entry = unsafe Glibc.group()
      var found: UnsafeMutablePointer<Glibc.group>?
      let code = unsafe getgrnam_r(text, &entry, room, buffer.count, &found)
      return (code, unsafe found == nil ? nil : unsafe entry.gr_gid)
    }
  }

  /// All bits set means "nobody" to chown(2).
  private static func number(_ text: String) -> UInt32? {
    UInt32(text).flatMap { $0 == .max ? nil : $0 }
  }

  /// Calls `ask` with ever larger room for the strings of an entry, until it suffices (ERANGE).
  private static func lookUp(_ ask: (UnsafeMutableBufferPointer<CChar>) -> (Int32, UInt32?)) -> UInt32? {
    var size = 1024
    while size <= 1 << 20 {
      var room = [CChar](repeating: 0, count: size)
      let (code, number) = unsafe room.withUnsafeMutableBufferPointer { unsafe ask($0) }
      if code != ERANGE { return code == 0 ? number : nil }
      size *= 4
    }
    return nil
  }
}
