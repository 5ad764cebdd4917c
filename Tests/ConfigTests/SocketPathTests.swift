// Paths of Unix sockets in a configuration.

import Config
import Net
import Proxy
import Testing
import Upstream

@Suite struct SocketPathTests {
  @Test func aRelativeSocketLiesBesideTheConfiguration() throws {
    let text = """
      listen unix:run/http.sock
      upstream a { server unix:app.sock }
      route / { upstream a; require nobody }
      """
    let settings = try #require(Configuration.load(text: text, name: "/etc/gatehouse/proxy.conf").settings)
    #expect(settings.listeners.map(\.socket.address) == [.unix(path: "/etc/gatehouse/run/http.sock")])
    #expect(settings.upstreams.map(\.members[0].options.address) == [.unix(path: "/etc/gatehouse/app.sock")])
  }
}
