// swift-tools-version: 6.2
import PackageDescription

// The rooms of the house and who may import whom: docs/ARCHITECTURE.md. A cycle does not compile, and
// `--explicit-target-dependency-import-check error` (used by deploy/test) refuses an import that is not listed here.

let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

/// Vending a `Span` from a type of our own needs this experimental feature; it stays inside Primitives.
let lifetimes: [SwiftSetting] = [.enableExperimentalFeature("Lifetimes")]

let package = Package(
  name: "gatehouse",
  products: [
    .executable(name: "gatehouse", targets: ["gatehouse"]),
    // For the nested packages (Fuzz, Benchmarks), which can only depend on products.
    .library(name: "Primitives", targets: ["Primitives"]),
    .library(name: "HTTP", targets: ["HTTP"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "CLinux", linkerSettings: [.linkedLibrary("crypt")]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),

    .target(name: "Primitives", swiftSettings: strict + lifetimes),
    .target(name: "HTTP", dependencies: ["Primitives"], swiftSettings: strict),
    .target(name: "HTTP2", dependencies: ["Primitives", "HTTP", "CNGHTTP2"], swiftSettings: strict),
    .target(name: "Crypto", dependencies: ["Primitives", "COpenSSL", "CArgon2", "CLinux"], swiftSettings: strict),
    .target(name: "Auth", dependencies: ["Primitives", "HTTP", "Crypto"], swiftSettings: strict),
    .target(name: "Net", dependencies: ["Primitives", "CLinux", "COpenSSL"], swiftSettings: strict),
    .target(name: "Login", dependencies: ["Primitives", "HTTP", "Crypto"], swiftSettings: strict),
    .target(name: "Upstream", dependencies: ["Primitives", "HTTP", "HTTP2", "Net", "CCurl", "Auth", "Login"], swiftSettings: strict),
    .target(name: "Proxy", dependencies: ["Primitives", "HTTP", "HTTP2", "Auth", "Net", "Login", "Upstream"], swiftSettings: strict),
    .target(name: "Config", dependencies: ["Primitives", "HTTP", "HTTP2", "Proxy", "Auth", "Net", "Login", "Upstream"], swiftSettings: strict),
    .executableTarget(
      name: "gatehouse",
      dependencies: [
        "Primitives", "HTTP", "Config", "Proxy", "Net", "Auth", "Crypto", "Upstream",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    .testTarget(name: "PrimitivesTests", dependencies: ["Primitives"], swiftSettings: strict),
    .testTarget(name: "HTTPTests", dependencies: ["Primitives", "HTTP"], swiftSettings: strict),
    .testTarget(name: "HTTP2Tests", dependencies: ["Primitives", "HTTP", "HTTP2"], swiftSettings: strict),
    .testTarget(name: "CryptoTests", dependencies: ["Primitives", "Crypto"], swiftSettings: strict),
    .testTarget(name: "AuthTests", dependencies: ["Primitives", "HTTP", "Crypto", "Auth"], swiftSettings: strict),
    .testTarget(name: "NetTests", dependencies: ["Primitives", "Net", "COpenSSL"], swiftSettings: strict),
    .testTarget(name: "LoginTests", dependencies: ["Primitives", "Crypto", "Login"], swiftSettings: strict),
    .testTarget(name: "UpstreamTests", dependencies: ["Primitives", "HTTP", "Auth", "Net", "Login", "Upstream"], swiftSettings: strict),
    .testTarget(
      name: "ProxyTests", dependencies: ["Primitives", "HTTP", "HTTP2", "Auth", "Net", "Upstream", "Proxy"],
      swiftSettings: strict),
    .testTarget(
      name: "ConfigTests", dependencies: ["Primitives", "HTTP", "HTTP2", "Auth", "Net", "Login", "Upstream", "Proxy", "Config"],
      swiftSettings: strict),
    .testTarget(name: "GatehouseTests", dependencies: ["gatehouse", "Primitives", "Crypto", "Net"], swiftSettings: strict),
    // What the end-to-end tests speak TLS and HTTP/2 with: apart from what they test.
    .target(name: "CFront", path: "Tests/CFront", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto"), .linkedLibrary("nghttp2")]),
    .testTarget(name: "EndToEndTests", dependencies: ["CFront"], swiftSettings: strict),
    .testTarget(name: "TidyTests", dependencies: ["Config"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
