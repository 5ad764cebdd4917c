// Each test of a suite, once with our own HTTP/1.1 and once with libcurl's: what is promised is promised by both.

import Testing
import Upstream

enum Engines {
  /// What `Bench` uses where the test does not say.
  @TaskLocal static var current = UpstreamOptions.Engine.automatic
}

/// Runs every test of a suite with each engine in turn.
struct ByEachEngine: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? { testCase == nil ? nil : self }

  func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
    for engine in [UpstreamOptions.Engine.http1, .libcurl] {
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
