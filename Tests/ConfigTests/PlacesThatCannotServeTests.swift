// What `serve` would stumble over is said by `check`: addresses that exclude each other, logs and sockets that can't be made.

import Foundation
import Testing

@testable import Config

@Suite struct PlacesThatCannotServeTests {
  private func complaints(_ top: String) -> [String] {
    let text = "\(top)\nupstream a { server http://b }\nroute / { upstream a; require nobody }\n"
    return Configuration.load(text: text, name: "proxy.conf") { _ in nil }.diagnostics.all.map { "\($0.severity.rawValue): \($0.message)" }
  }

  @Test(arguments: [
    ("*:8080", "127.0.0.1:8080", true), ("127.0.0.1:8080", "8080", true), ("*:8080", "[::1]:8080", true),
    ("0.0.0.0:8080", "127.0.0.1:8080", true), ("[::]:8080", "[::1]:8080", true), ("0.0.0.0:8080", "[::1]:8080", false),
    ("*:8080", "127.0.0.1:8081", false), ("127.0.0.1:8080", "127.0.0.2:8080", false), ("*:0", "127.0.0.1:0", false),
  ])
  func anAddressThatStandsForAllExcludesTheOthers(_ one: String, _ other: String, _ excludes: Bool) {
    let found = complaints("log off\nlisten \(one)\nlisten \(other)")
    #expect(found.contains { $0.contains("exclude each other") } == excludes, "\(found)")
  }

  @Test func aLogThatIsAFolderIsAnError() {
    #expect(complaints("listen 127.0.0.1:1\nlog /tmp") == ["error: '/tmp' is a folder, and a log is a file"])
  }

  @Test func aSocketWithoutItsFolderIsAWarning() {
    #expect(
      complaints("log off\nlisten unix:/nowhere/at/all/x.sock") == [
        "warning: the socket's folder can't be used: there is no folder '/nowhere/at/all'"
      ])
  }

  @Test func aLinkToNothingIsCalledSo() throws {
    let link = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-link-\(UUID().uuidString)").path
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/nowhere/at/all")
    defer { try? FileManager.default.removeItem(atPath: link) }
    #expect(
      complaints("log off\nlisten 127.0.0.1:1\nusers \(link)") == ["error: '\(link)' can't be read: it is a symbolic link to nothing"])
  }
}
