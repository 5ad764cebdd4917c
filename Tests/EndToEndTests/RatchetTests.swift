// `Benchmarks/count --check` as deploy/test runs it, on figures that are given instead of measured: what it lets through and what it says.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct RatchetTests {
    private static let folder =
      URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path + "/Benchmarks"

    private let scratch: Scratch

    init() throws {
      scratch = try Scratch()
      try scratch.write(
        #"{ "GET": { "instructions": 20000, "allocations": 0 }, "POST": { "instructions": 40000, "allocations": 3 } }"#, to: "committed")
    }

    private func count(_ arguments: String...) throws -> Outcome {
      try Child.run(
        "/usr/bin/env", ["python3", Self.folder + "/count", "--figures", scratch["committed"]] + arguments, folder: scratch.path)
    }

    /// The check of a measurement in which GET took so much and POST what it took before.
    private func check(_ instructions: Double, _ allocations: Double) throws -> Outcome {
      try scratch.write(
        """
        { "GET": { "instructions": \(instructions), "allocations": \(allocations) }, "POST": { "instructions": 40000, "allocations": 3 } }
        """, to: "measured")
      return try count("--check", "--measured", scratch["measured"])
    }

    @Test func theSameFiguresPass() throws {
      let outcome = try check(20000, 0)
      #expect(outcome.code == 0, "\(outcome.text)")
      #expect(outcome.text.contains("all figures are within a twentieth"))
    }

    @Test func aTwentiethMoreOrLessPassesAndNoMore() throws {
      #expect(try check(21000, 0.25).code == 0)
      #expect(try check(19000, 0).text.contains("all figures are within a twentieth"))
      #expect(try check(21001, 0).code == 1)
      #expect(try check(20000, 0.3).code == 1)
    }

    @Test func whatGrewIsNamedWithHowMuchAndHowToAcceptIt() throws {
      let outcome = try check(23000, 0)
      #expect(outcome.code == 1)
      for part in ["WORSE: GET: instructions a request 20,000 → 23,000 (+15.0 %)", "Benchmarks/count --write"] {
        #expect(outcome.text.contains(part), "\(outcome.text)")
      }
      #expect(!outcome.text.contains("POST"))
    }

    @Test func anAllocationWhereThereWasNoneFails() throws {
      let outcome = try check(20000, 1)
      #expect(outcome.code == 1)
      #expect(outcome.text.contains("WORSE: GET: allocations a request 0.0 → 1.0"), "\(outcome.text)")
    }

    @Test func whatShrankPassesAndIsAskedFor() throws {
      let outcome = try check(18000, 0)
      #expect(outcome.code == 0)
      #expect(outcome.text.contains("better: GET: instructions a request 20,000 → 18,000 (-10.0 %)"), "\(outcome.text)")
      #expect(outcome.text.contains("Benchmarks/count --write"))
    }

    @Test func aKindThatIsOnOneSideOnlyFails() throws {
      try scratch.write(
        #"{ "GET": { "instructions": 1, "allocations": 0 }, "PUT": { "instructions": 1, "allocations": 0 } }"#, to: "measured")
      let outcome = try count("--check", "--measured", scratch["measured"])
      #expect(outcome.code == 1)
      #expect(outcome.text.contains("POST: is committed and was not measured"))
      #expect(outcome.text.contains("PUT: was measured and has no committed figure"))
    }

    @Test(arguments: [
      nil, "", "no JSON", "[]", "{}", #"{ "GET": 1 }"#, #"{ "GET": { "instructions": 1 } }"#,
      #"{ "GET": { "instructions": "1", "allocations": 0 } }"#,
      #"{ "GET": { "instructions": -1, "allocations": 0 } }"#, #"{ "GET": { "instructions": NaN, "allocations": 0 } }"#,
    ])
    func figuresThatAreMissingOrNoFiguresAreSaid(_ text: String?) throws {
      try scratch.write(#"{ "GET": { "instructions": 1, "allocations": 0 } }"#, to: "measured")
      try FileManager.default.removeItem(atPath: scratch["committed"])
      if let text { try scratch.write(text, to: "committed") }
      let outcome = try count("--check", "--measured", scratch["measured"])
      #expect(outcome.code == 2, "\(outcome.text)")
      #expect(outcome.text.contains("no figures to go by: \(scratch["committed"]): "), "\(outcome.text)")
    }

    @Test func whatIsWrittenPassesAfterwards() throws {
      #expect(try check(23000, 2).code == 1)
      #expect(try count("--write", "--measured", scratch["measured"]).code == 0)
      #expect(try count("--check", "--measured", scratch["measured"]).code == 0)
    }

    @Test func theCommittedFiguresCanBeRead() throws {
      let figures = Self.folder + "/count.json"
      #expect(try Child.run("/usr/bin/env", ["python3", Self.folder + "/count", "--check", "--measured", figures]).code == 0)
    }
  }
}
