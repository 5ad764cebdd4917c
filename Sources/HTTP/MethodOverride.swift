// Fields and parameters by which a client asks a service to take its request for one of another method.

import Primitives

public enum MethodOverride {
  private static let names = ["x-http-method-override", "x-http-method", "x-method-override"].map { Array($0.utf8) }
  /// Of queries: what Symfony, Laravel, Rails and their like obey, and the fields' names, which some take from there too.
  private static let parameters = [Array("_method".utf8)] + names

  /// Whether `name` is one that many frameworks obey, in any spelling that they take for it.
  public static func isName(_ name: Span<UInt8>) -> Bool {
    for candidate in names where FieldName.areAliases(name, candidate.span) { return true }
    return false
  }

  /// Whether a query has a parameter of such a name.
  public static func isAsked(inQuery query: Span<UInt8>) -> Bool {
    if query.isEmpty { return false }
    for candidate in parameters {
      if case .absent = QueryParameter.find(candidate.span, in: query) { continue }
      return true
    }
    return false
  }
}
