// Fields by which a client asks a service to take its request for one of another method.

public enum MethodOverride {
  private static let names = ["x-http-method-override", "x-http-method", "x-method-override"].map { Array($0.utf8) }

  /// Whether `name` is one that many frameworks obey, in any spelling that they take for it.
  public static func isName(_ name: Span<UInt8>) -> Bool {
    for candidate in names where FieldName.areAliases(name, candidate.span) { return true }
    return false
  }
}
