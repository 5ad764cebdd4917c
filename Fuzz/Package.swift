// swift-tools-version: 6.2
import PackageDescription

// Apart from the house itself: a libFuzzer executable has no main of its own, and would break its `swift build` at link.

let package = Package(
  name: "fuzz",
  dependencies: [.package(name: "gatehouse", path: "..")],
  targets: [
    .executableTarget(
      name: "FuzzHTTP",
      dependencies: [.product(name: "HTTP", package: "gatehouse"), .product(name: "Primitives", package: "gatehouse")],
      swiftSettings: [
        .strictMemorySafety(),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .treatAllWarnings(as: .error),
        // libFuzzer brings main.
        .unsafeFlags(["-parse-as-library"]),
      ],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])])
  ],
  swiftLanguageModes: [.v6]
)
