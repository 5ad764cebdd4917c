// What `listen` says of its socket.

import Net
import Proxy
import Testing

@testable import Config

@Suite struct SocketRowsTests {
  private let rest = "\nupstream legacy { server http://127.0.0.1:9000 }\nroute / { upstream legacy; require nobody }\n"

  private func load(_ listen: String) -> Configuration {
    Configuration.load(text: listen + rest, name: "t.conf", environment: { _ in nil })
  }

  private func socket(_ listen: String) -> ListenOptions? { load(listen).settings?.listeners.first?.socket }

  private func errors(_ listen: String) -> String { load(listen).diagnostics.rendered }

  @Test func nothingSaidIsTheStandard() {
    #expect(socket("listen 127.0.0.1:80") == ListenOptions(address: .ipv4(address: 0x7F00_0001, port: 80)))
  }

  @Test func everyDirectiveIsTaken() {
    let found = socket("listen *:80 { backlog 16; reuseport off; fastopen 5; interface eth0 }")
    #expect(found?.backlog == 16 && found?.reusesPort == false && found?.fastOpen == 5 && found?.interface == "eth0")
    let file = socket("listen unix:/run/s { mode 600; owner root; group 7; backlog 1 }")
    #expect(file?.unixMode == 0o600 && file?.unixOwner == 0 && file?.unixGroup == 7 && file?.backlog == 1)
    #expect(socket("listen unix:/run/s mode 600")?.unixMode == 0o600)
    #expect(socket("listen systemd:web")?.address == .passed(name: "web"))
  }

  @Test func dualStackIsEveryAddress() {
    #expect(socket("listen [::]:80 { v6only off }")?.address == .any(port: 80))
    #expect(socket("listen [::]:80 { v6only on }")?.address == .ipv6(high: 0, low: 0, scope: 0, port: 80))
    #expect(errors("listen *:80 { v6only off }").contains("'v6only' is for '[::]:PORT' alone"))
    #expect(errors("listen 0.0.0.0:80\nlisten [::]:80 { v6only off }").contains("exclude each other"))
  }

  @Test(arguments: [
    ("listen *:80 { mode 600 }", "only a Unix socket has a 'mode'"), ("listen *:80 { owner root }", "only a Unix socket has a 'owner'"),
    ("listen unix:/run/s { reuseport on }", "only a TCP socket has a 'reuseport'"),
    ("listen unix:/run/s { interface lo }", "only a TCP socket has a 'interface'"),
    ("listen systemd:web { backlog 5 }", "for its socket unit to say"), ("listen *:80 { backlog 0 }", "backlog"),
    ("listen *:80 { backlog 99999999999 }", "backlog"), ("listen *:80 { reuseport maybe }", "reuseport"),
    ("listen *:80 { interface a/b }", "no name of a network interface"),
    ("listen *:80 { interface \"\" }", "no name of a network interface"),
    ("listen *:80 { interface sixteencharacter }", "no name of a network interface"),
    ("listen unix:/run/s { owner no-such-user-here }", "no user of this machine"),
    ("listen unix:/run/s { group no-such-group-here }", "no group of this machine"),
    ("listen unix:/run/s { mode 888 }", "no mode of a file"),
    ("listen systemd:", "the name of a passed socket"), ("listen systemd:a:b", "the name of a passed socket"),
    ("listen systemd:a\nlisten systemd:a", "listened on twice"),
    ("listen *:80 { interface eth0 }\nlisten *:80 { interface eth0 }", "listened on twice"),
    ("listen *:80 { interface eth0 }\nlisten *:80", "exclude each other"),
  ])
  func whatMakesNoSenseIsRefused(listen: String, words: String) {
    #expect(socket(listen) == nil)
    #expect(errors(listen).contains(words), "\(errors(listen))")
  }

  @Test func writtenDefaultsChangeNothing() {
    for row in Table.socketRows {
      guard let standard = row.standard else { continue }
      let address = row.name == "mode" ? "unix:/run/s" : "[::]:80"
      let (said, plain) = (socket("listen \(address) { \(row.name) \(standard) }"), socket("listen \(address)"))
      #expect(said != nil && said == plain, "\(row.name)")
    }
  }

  @Test func oneAddressOnTwoInterfacesIsTwoPlaces() {
    #expect(load("listen *:80 { interface eth0 }\nlisten *:80 { interface eth1 }").settings?.listeners.count == 2)
  }
}
