// What an upstream says of its servers.

import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct ServerRowsTests {
  private func load(_ upstream: String) -> Configuration {
    Configuration.load(
      text: "listen *:80\nupstream app { \(upstream) }\nroute / { upstream app; require nobody }\n", name: "t.conf", environment: { _ in nil })
  }

  private func group(_ upstream: String) -> UpstreamGroup? { load(upstream).settings?.upstreams.first }

  private let two = "server http://10.0.0.1; server http://10.0.0.2"

  @Test func oneServerIsAGroupOfOne() {
    let group = group("server http://10.0.0.1")
    #expect(group?.members.count == 1 && group?.isShared == false && group?.balance == .roundRobin)
    #expect(group?.ejection == UpstreamGroup.Ejection(failures: 3, pause: .seconds(10)))
  }

  @Test func eachServerHasItsOwn() {
    let group = group(
      "server http://10.0.0.1:8080 weight 3; server https://b.example max_connections 20 backup; server unix:/run/app.sock; connect_timeout 1s")
    #expect(group?.members.map(\.options.place) == ["http://10.0.0.1:8080", "https://b.example:443", "unix:/run/app.sock"])
    #expect(group?.members.map(\.weight) == [3, 1, 1] && group?.members.map(\.isBackup) == [false, true, false])
    #expect(group?.members.map(\.maxConnections) == [nil, 20, nil])
    #expect(group?.members.allSatisfy { $0.options.connectTimeout == .seconds(1) && $0.options.name == "app" } == true)
  }

  @Test(arguments: [
    ("round-robin", UpstreamGroup.Balance.roundRobin), ("least-connections", .leastConnections), ("random-two", .randomTwo),
    ("hash client", .hash(.client)), ("hash user", .hash(.user)), ("hash header X-Key", .hash(.header(Array("X-Key".utf8)))),
    ("hash cookie sid", .hash(.cookie(Array("sid".utf8)))),
  ]) func everyBalanceIsTaken(_ text: String, _ balance: UpstreamGroup.Balance) {
    #expect(group("\(two); balance \(text)")?.balance == balance)
  }

  @Test func ejectionIsTaken() {
    #expect(group("\(two); eject 5 1m")?.ejection == UpstreamGroup.Ejection(failures: 5, pause: .seconds(60)))
    #expect(group("\(two); eject off").map { $0.ejection == nil } == true)
  }

  @Test(arguments: [
    ("1", UpstreamGroup.Retry(times: 1, on: [.connect, .reset])), ("2 on connect", UpstreamGroup.Retry(times: 2, on: .connect)),
    ("3 on connect reset 502 503 504", UpstreamGroup.Retry(times: 3, on: [.connect, .reset, .badGateway, .unavailable, .gatewayTimeout])),
    ("10 504", UpstreamGroup.Retry(times: 10, on: .gatewayTimeout)),
  ]) func retryIsTaken(_ text: String, _ retry: UpstreamGroup.Retry) {
    #expect(group("\(two); retry \(text)")?.retry == retry)
  }

  @Test func retryCanBeOff() {
    #expect(group("\(two); retry off").map { $0.retry == nil } == true)
    #expect(group(two)?.retry == UpstreamGroup.Retry(times: 2, on: [.connect, .reset]))
  }

  @Test func whatServersAreSparedArrives() {
    let quiet = group(two)
    #expect(quiet?.queue == nil && quiet?.slowStart == nil && quiet?.health == nil && quiet?.replayLimit == 64 << 10)
    #expect(group("\(two); eject 3 10s last")?.ejection == UpstreamGroup.Ejection(failures: 3, pause: .seconds(10), takesLast: true))
    #expect(group("\(two); queue 100 5s")?.queue == UpstreamGroup.Queue(places: 100, wait: .seconds(5)))
    #expect(group("\(two); slow_start 30s")?.slowStart == .seconds(30) && group("\(two); replay_buffer off")?.replayLimit == 0)
    #expect(group("\(two); replay_buffer 1m")?.replayLimit == 1 << 20)
    #expect(group("\(two); resolve 5s")?.members.allSatisfy { $0.options.resolveAfter == .seconds(5) } == true)
    #expect(group("\(two); queue off; slow_start off; health off")?.health == nil)
    // One server alone has them too.
    #expect(group("server http://10.0.0.1; queue 1 1s")?.isShared == true && group("server http://10.0.0.1; eject 3 1s last")?.isShared == true)
  }

  @Test func healthIsTaken() {
    var check = HealthCheck(.get, "/healthz?a=b")
    #expect(group("\(two); health GET /healthz?a=b")?.health == check)
    check.period = .seconds(1)
    check.timeout = .seconds(1)
    #expect(group("\(two); health GET /healthz?a=b every 1s")?.health == check)
    check = HealthCheck(.head, "/")
    check.period = .seconds(10)
    check.timeout = .milliseconds(500)
    check.expected = 204...204
    check.fall = 4
    check.rise = 1
    check.host = "app.internal:81"
    #expect(group("\(two); health HEAD / every 10s timeout 500ms expect 204 fall 4 rise 1 host app.internal:81")?.health == check)
  }

  @Test(arguments: [
    ("server http://10.0.0.1 weight 2 weight 3", "'weight' is said twice"), ("server http://10.0.0.1; server http://10.0.0.2 backup backup", "'backup' is said twice"),
    ("server http://10.0.0.1; retry 2 on", "'on' lacks its causes"), ("server http://10.0.0.1; retry 2 on reset reset", "'reset' is said twice"),
    ("server http://10.0.0.1; eject 3 10s first", "'first' is not 'last'"), ("server http://10.0.0.1; queue 5", "'5' is neither"),
    ("server http://10.0.0.1; queue 0 1s", "'0' is out of range"), ("server http://10.0.0.1; queue 20000 1s", "'20000' is out of range"),
    ("server http://10.0.0.1; replay_buffer 17m", "'17m' is out of range"), ("server http://10.0.0.1; resolve 0s", "'0s' is out of range"),
    ("server http://10.0.0.1; health POST /", "'POST' is none of"), ("server http://10.0.0.1; health GET", "'GET' lacks the path"),
    ("server http://10.0.0.1; health GET healthz", "'healthz' is no path"), ("server http://10.0.0.1; health GET \"/a b\"", "is no path"),
    ("server http://10.0.0.1; health GET /#x", "is no path"), ("server http://10.0.0.1; health GET / often", "'often' is none of"),
    ("server http://10.0.0.1; health GET / every", "'every' lacks its value"), ("server http://10.0.0.1; health GET / every 1s every 2s", "'every' is said twice"),
    ("server http://10.0.0.1; health GET / expect 399-200", "'399-200' is no status"), ("server http://10.0.0.1; health GET / expect 99", "'99' is no status"),
    ("server http://10.0.0.1; health GET / every 1s timeout 2s", "'timeout' is longer than 'every'"),
    ("server http://10.0.0.1; health GET / host \"a b\"", "is no host"),
  ]) func whatIsWrongWithThemIsSaid(_ upstream: String, _ words: String) {
    let configuration = load(upstream)
    #expect(configuration.settings == nil && configuration.diagnostics.rendered.contains(words), "\(configuration.diagnostics.rendered)")
  }

  @Test func anUpstreamHasABoundOfServers() {
    func servers(_ count: Int) -> String { (1...count).map { "server http://10.0.0.\($0)" }.joined(separator: "; ") }
    #expect(group(servers(64))?.members.count == 64)
    #expect(load(servers(65)).diagnostics.rendered.contains("an upstream has at most 64 servers"))
  }

  @Test(arguments: [
    ("server http://10.0.0.1 weight 0", "'0' is out of range: 1 to 1000"), ("server http://10.0.0.1 weight", "'weight' lacks its number"),
    ("server http://10.0.0.1 backup", "all servers of this upstream are backups"),
    ("server http://10.0.0.1 down", "'down' is none of 'weight', 'backup', 'max_connections'"),
    ("server http://10.0.0.1 max_connections x", "'x' is no number"),
    ("server http://10.0.0.1; server http://10.0.0.1:80", "this server stands here twice"),
    ("server http://10.0.0.1 http://10.0.0.2", "is none of 'weight'"),
    ("server http://10.0.0.1; server http://10.0.0.2; balance hash", "'hash' lacks what is hashed"),
    ("server http://10.0.0.1; server http://10.0.0.2; balance hash header", "'header' lacks its name"),
    ("server http://10.0.0.1; server http://10.0.0.2; balance hash header \"a b\"", "is no name of a header"),
    ("server http://10.0.0.1; server http://10.0.0.2; balance hash path", "'path' can't be hashed"),
    ("server http://10.0.0.1; server http://10.0.0.2; balance least", "'least' is none of"),
    ("server http://10.0.0.1; server http://10.0.0.2; balance random-two x", "'x' is too much"),
    ("server http://10.0.0.1; server http://10.0.0.2; eject 3", "'3' is neither"),
    ("server http://10.0.0.1; server http://10.0.0.2; eject 0 1s", "'0' is out of range"),
    ("server http://10.0.0.1; server http://10.0.0.2; eject 1 1ms", "'1ms' is out of range"),
    ("server http://10.0.0.1; server http://10.0.0.2; tls { verify off }", "'tls' is for a server whose URL begins with https://"),
    ("server http://10.0.0.1; server http://10.0.0.2; retry 0", "'0' is out of range: 1 to 10"),
    ("server http://10.0.0.1; server http://10.0.0.2; retry 2 on 500", "'500' is none of 'connect', 'reset', '502', '503', '504'"),
    ("server http://10.0.0.1; server http://10.0.0.2; retry connect", "'connect' is no number"),
    ("balance random-two", "this upstream has no server"),
  ]) func whatIsWrongIsSaid(_ upstream: String, _ words: String) {
    let configuration = load(upstream)
    #expect(configuration.settings == nil && configuration.diagnostics.rendered.contains(words), "\(configuration.diagnostics.rendered)")
  }

  /// The source's line stands in the diagnostic as well.
  @Test func noPasswordIsShown() {
    for upstream in [
      "server http://svc:s3cret@10.0.0.1", "server http://10.0.0.1 http://svc:s3cret@10.0.0.2", "server http://10.0.0.1 weight http://svc:s3cret@10.0.0.2",
      "server http://10.0.0.1; health GET http://svc:s3cret@10.0.0.1/", "server http://10.0.0.1; health GET / host svc:s3cret@10.0.0.1",
      "server http://10.0.0.1 " + (2...20).map { "http://svc:s3cret@10.0.0.\($0)" }.joined(separator: " "),
    ] {
      let rendered = load(upstream).diagnostics.rendered
      #expect(!rendered.isEmpty && !rendered.contains("s3cret"), "\(rendered)")
    }
  }

  /// TLS goes for those that have it.
  @Test func clearTextAndTLSMayBeMixed() {
    let group = group("server http://10.0.0.1; server https://10.0.0.2; tls { verify off }")
    #expect(group?.members.map(\.options.scheme) == [.http, .https] && group?.members[1].options.tls.verify == false)
  }
}
