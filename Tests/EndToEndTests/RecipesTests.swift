// The examples of docs/recipes, run as they stand there: each page has a test here or in the suite of its subject.

import Foundation
import Testing

extension EndToEnd {
  @Suite struct Recipes {
    @Test func severalServers() throws {
      let servers = try ["a", "b", "c"].map { try FrontServer.nginx("location = /healthz { return 204; } location / { return 200 \($0); }") }
      let recipe = try Recipe("several-servers").text(replacing: [
        "http://10.0.0.1:8080": servers[0].url, "http://10.0.0.2:8080": servers[1].url, "http://10.0.0.3:8080": servers[2].url, "every 2s": "every 100ms",
      ])
      try House.with(Setup(top: "admin unix:admin.sock", path: "/unused/", more: recipe)) { house throws in
        func answers(_ count: Int) throws -> Set<String> { Set(try (0..<count).map { _ in try house.curl("-u", People.alice.pair, "/app/").text }) }
        #expect(try answers(8) == ["a", "b"])
        try servers[0].stop()
        try servers[1].stop()
        #expect(try answers(8) == ["c"])
        try eventually("both are found out") {
          let status = try Gatehouse.run(["status", "--config", "proxy.conf"], in: house.scratch).text
          return status.components(separatedBy: "out until its health checks succeed").count == 3
        }
      }
      try servers[2].stop()
    }
  }
}
