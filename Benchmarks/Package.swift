// swift-tools-version: 6.2
import PackageDescription

// Apart from the house itself, and without anything of it: what measures must not share the faults of what is measured.

let package = Package(
  name: "benchmarks",
  targets: [
    .target(name: "CEpoll"),
    .executableTarget(
      name: "load",
      dependencies: ["CEpoll"],
      swiftSettings: [
        .strictMemorySafety(),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .treatAllWarnings(as: .error),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
