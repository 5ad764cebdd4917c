// Suites about what passes between client and service run twice: with our own HTTP/1.1 towards the service, and with libcurl's.

import Testing

enum Engines {
  /// The `engine` of a house's upstream.
  @TaskLocal static var current = "auto"
}

/// Runs every test of a suite with each engine in turn; over TLS with our own alone, for the engines do not know by what the client came.
struct ByEachEngine: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? nil : self }

  func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
    for engine in Front.current == .clear ? ["http1", "libcurl"] : ["http1"] {
      do {
        try await Engines.$current.withValue(engine) { try await function() }
      } catch {
        Issue.record(error, "with engine \(engine)")
      }
    }
  }
}

extension Trait where Self == ByEachEngine {
  static var byEachEngine: Self { ByEachEngine() }
}
