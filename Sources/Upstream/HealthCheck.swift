// How the servers of an upstream are asked whether they are well. Values only; `HealthProber` asks.

public import Primitives

/// What is asked of each server, how often, and what counts.
public struct HealthCheck: Equatable, Sendable {
  public enum Method: Equatable, Sendable {
    case get
    case head
  }

  public var method: Method
  /// Origin form (RFC 9112 section 3.2.1): a path, and perhaps a query. No control character or space.
  public var target: String
  /// From the beginning of one check to that of the next.
  public var period = Interval.seconds(5)
  /// For a whole check.
  public var timeout = Interval.seconds(2)
  /// Statuses of a server that is well, 200 to 599.
  public var expected = 200...399
  /// Checks in a row that have to fail until it gets no requests. The first check of a server decides alone.
  public var fall = 3
  /// Checks in a row that have to succeed until it gets requests again.
  public var rise = 2
  /// The Host that is asked for; nil for the server's own address.
  public var host: String?

  public init(_ method: Method, _ target: String) {
    self.method = method
    self.target = target
  }

  /// What checks have said of one server.
  struct Record {
    private(set) var isWell = true
    private var isFirst = true
    /// Checks in a row that said otherwise than `isWell`.
    private var against = 0

    /// One more check. True when by that the server is well, or no longer, and it was not so before.
    mutating func note(_ succeeded: Bool, _ check: HealthCheck) -> Bool {
      defer { isFirst = false }
      if succeeded == isWell {
        against = 0
        return false
      }
      against += 1
      guard isFirst || against >= (isWell ? check.fall : check.rise) else { return false }
      against = 0
      isWell = succeeded
      return true
    }
  }
}
