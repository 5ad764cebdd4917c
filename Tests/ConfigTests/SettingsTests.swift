// What is written in a config arrives in the settings.

import Auth
import Net
import Login
import Primitives
import Proxy
import Testing
import Upstream

@testable import Config

@Suite struct SettingsTests {
  private func settings(_ text: String, environment: [String: String] = [:]) throws -> Settings {
    let configuration = Configuration.load(text: text, name: "t.conf", environment: { environment[$0] })
    return try #require(configuration.settings, "\(configuration.diagnostics.rendered)")
  }

  private func settings(adding line: String, in place: Place) throws -> Settings {
    try settings(try #require(Minimal.text(adding: line, in: place)))
  }

  @Test(arguments: [
    ("hsts 365d", "max-age=31536000"), ("hsts 0", "max-age=0"),
    ("hsts 1h preload subdomains", "max-age=3600; includeSubDomains; preload"),
  ])
  func browsersAreToldHowLong(_ line: String, _ value: String) throws {
    let security = try #require(try settings(adding: line, in: .top).transportSecurity)
    #expect(security.value == value)
    #expect(try settings(adding: "hsts off", in: .top).transportSecurity == nil)
  }

  @Test func aRouteThatIsServedByTLSAloneStillSaysWhoMayPass() throws {
    let settings = try settings(adding: "route /x { upstream u; require tls; require nobody }", in: .top)
    let route = try #require(settings.routes.first { $0.label == "/x" })
    #expect(route.requiresTLS && route.requirement == .nobody)
  }

  @Test func exampleArrivesWhole() throws {
    let (configuration, scratch) = try ReferenceTests.loadExample()
    let settings = try #require(configuration.settings)
    #expect(settings.listeners.map(\.socket.address.text) == ["127.0.0.1:8080", "unix:/run/gatehouse/http.sock", "[::]:8081", "127.0.0.1:8443"])
    #expect(settings.listeners.map(\.redirectPort) == [nil, nil, 8443, nil])
    #expect(settings.listeners[1].socket.unixMode == 0o660)
    #expect(settings.usersPath == scratch.path + "/users")
    #expect(configuration.usersPath == settings.usersPath)
    #expect(configuration.users?.users.count == 1)
    let upstreams = [
      "legacy", "secure", "several", "far", "beyond", "account", "netrc", "environ", "store", "corp", "bearer", "issued", "posted", "domain", "signed",
      "key", "archive", "scans", "people", "words", "hole", "boot",
    ]
    #expect(settings.upstreams.map(\.name) == upstreams)
    #expect(settings.upstreams.map(\.members.count).prefix(3) == [1, 1, 3] && settings.upstreams[2].members[0].weight == 2)
    func fileServer(_ name: String) -> FileServer? { settings.upstreams.first { $0.name == name }?.members[0].options.files }
    let (archive, scans) = (fileServer("archive"), fileServer("scans"))
    #expect(archive?.kind == .sftp && archive?.account?.name == "gatehouse" && archive?.keyFile == scratch.path + "/ssh/archive.key")
    #expect(archive?.hostKey == .knownHosts(path: scratch.path + "/ssh/known_hosts") && archive?.isWritable == false)
    #expect(scans?.hostKey == .sha256("uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s") && scans?.isWritable == true && scans?.root == ["scans"])
    let (people, words, hole, boot) = (fileServer("people")?.lookup, fileServer("words")?.lookup, fileServer("hole")?.lookup, fileServer("boot")?.lookup)
    #expect(people?.keys == ["uid", "mail"] && people?.attributes == ["cn", "mail", "telephoneNumber"] && people?.scope == .one && people?.mostEntries == 20)
    #expect(people?.filter == "(objectClass=inetOrgPerson)" && words?.database == "wn" && hole?.menuHost == "gopher.example.com")
    #expect(boot?.blockSize == 512 && boot?.mostBytes == 16 << 20)
    #expect(settings.upstreams[0].members[0].options.address == .host("127.0.0.1", port: 9000))
    #expect(settings.upstreams[1].members[0].options.scheme == .https)
    #expect(settings.upstreams[1].members[0].options.tls.certificateAuthority == scratch.path + "/tls/ca.pem")
    #expect(settings.upstreams[1].members[0].options.tls.clientCertificate == scratch.path + "/tls/client.pem")
    #expect(settings.upstreams[1].members[0].options.tls.clientKey == scratch.path + "/tls/client.key")
    #expect(settings.upstreams[1].members[0].options.tls.name == "legacy.internal")
    let labels = ["/", "/admin/", "GET,HEAD *.example.com /files/", "/reports/", "GET = /healthz"]
    let others = [
      "= /ping", "/old/", "/welcome/", "/export/", "/video/", "/archive/", "/scans/", "/people/", "/words/", "/hole/", "/boot/", "/app/",
      "/account/", "/netrc/", "/environ/", "/bearer/",
      "/store/", "/corp/", "/key/", "/issued/", "/posted/", "/domain/", "/signed/", "/far/", "/beyond/", "/legacy/",
    ]
    #expect(settings.routes.map(\.label) == labels + others)
    let schemes = ["basic", "basic", "basic", "aws_sigv4", "ntlm in CORP", "bearer", "bearer", "bearer", "negotiate", "header X-API-Key"]
    #expect(settings.upstreams.compactMap { $0.login?.scheme.name } == schemes)
    let (root, admin, files, health) = (settings.routes[0], settings.routes[1], settings.routes[2], settings.routes[4])
    #expect(root.requirement == .validUser && root.path == Array("/".utf8) && root.upstream == 0 && !root.isExact)
    #expect(admin.requirement == .anyOf(users: ["alice"], groups: ["admin"]))
    #expect(admin.bodyLimit == 10 << 20 && admin.authorization == .replace(Array("Bearer t0ken".utf8)))
    #expect(files.methods == [Array("GET".utf8), Array("HEAD".utf8)] && files.host == .suffix(Array(".example.com".utf8)) && files.isRaw)
    #expect(files.upstream == 1)
    #expect(health.isExact && health.requirement == .nobody && health.path == Array("/healthz".utf8))
  }

  @Test func everyTopLevelNumberArrives() throws {
    func value<V>(_ line: String, _ path: KeyPath<Settings, V>) throws -> V { try settings(adding: line, in: .top)[keyPath: path] }
    #expect(try value("workers 3", \.workers) == 3)
    #expect(try value("realm \"a \\\"b\\\"\"", \.gatekeeper.realm) == "a \"b\"")
    #expect(try value("cache off", \.gatekeeper.cacheLifetime) == .seconds(0))
    #expect(try value("cache 90s", \.gatekeeper.cacheLifetime) == .seconds(90))
    #expect(try value("cache_entries 100", \.gatekeeper.cacheEntries) == 100)
    #expect(try value("error_log debug", \.logLevel) == .debug)
    #expect(try value("log off", \.accessLog.target) == .off)
    #expect(try value("log stdout json", \.accessLog.format) == .json)
    #expect(try value("log /tmp/a.log", \.accessLog.target) == .file(path: "/tmp/a.log"))
    #expect(try value("user_header Remote-User", \.forwarding.userField) == "Remote-User")
    #expect(try value("groups_header X-G", \.forwarding.groupsField) == "X-G")
    #expect(try value("forwarded on", \.forwarding.setsForwarded))
    #expect(try value("trusted_proxies 10.0.0.0/8 ::1\ntrusted_proxies unix:", \.forwarding.trustedProxies.count) == 3)
    #expect(try value("request_line 16k", \.limits.requestLine) == 16_384)
    #expect(try value("header_size 64k", \.limits.fieldBytes) == 65_536)
    #expect(try value("header_count 50", \.limits.fieldCount) == 50)
    #expect(try value("header_timeout 1s", \.limits.headerTimeout) == .seconds(1))
    #expect(try value("body_timeout 1s", \.limits.bodyTimeout) == .seconds(1))
    #expect(try value("keepalive_timeout 1s", \.limits.keepAliveTimeout) == .seconds(1))
    #expect(try value("keepalive_requests 1", \.limits.keepAliveRequests) == 1)
    #expect(try value("send_timeout 1s", \.limits.sendTimeout) == .seconds(1))
    #expect(try value("connections 7", \.limits.connectionsPerWorker) == 7)
    #expect(try value("drain_timeout 0", \.limits.drainTimeout) == .seconds(0))
    #expect(try value("hash_threads 2", \.limits.hashThreads) == 2)
    #expect(try value("hash_queue 5", \.limits.hashQueue) == 5)
    #expect(try value("hash_wait 1s", \.limits.hashWait) == .seconds(1))
    #expect(try value("hash_limit 500ms 64m", \.limits.hashLimit) == HashLimit(time: .milliseconds(500), memory: 64 << 20))
  }

  @Test func everyUpstreamAndRouteValueArrives() throws {
    func upstream(_ line: String) throws -> UpstreamOptions { try settings(adding: line, in: .upstream).upstreams[0].members[0].options }
    #expect(try upstream("connect_timeout 250ms").connectTimeout == .milliseconds(250))
    #expect(try upstream("response_timeout 1s").responseTimeout == .seconds(1))
    #expect(try upstream("idle_timeout 1s").idleTimeout == .seconds(1))
    #expect(try upstream("keepalive_timeout 1s").reuseWithin == .seconds(1))
    #expect(try upstream("connections 9").maxConnections == 9)
    #expect(try settings(adding: "verify off", in: .upstreamTLS).upstreams[0].members[0].options.tls.verify == false)
    #expect(try settings(adding: "name a.example", in: .upstreamTLS).upstreams[0].members[0].options.tls.name == "a.example")
    func route(_ line: String) throws -> Route { try settings(adding: line, in: .route).routes[0] }
    #expect(try route("body_limit 0").bodyLimit == 0)
    #expect(try route("path raw").isRaw)
    #expect(try route("trace on").allowsTrace)
    #expect(try route("authorization pass").authorization == .pass)
  }

  @Test(arguments: [
    ("http://a", "http a 80"), ("https://a", "https a 443"), ("http://a:81/", "http a 81"), ("http://[::1]:9000", "http ::1 9000"),
    ("https://192.0.2.1", "https 192.0.2.1 443"), ("unix:/run/x.sock", "http unix /run/x.sock"),
  ])
  func serverIsRead(_ url: String, _ expected: String) throws {
    let (scheme, address) = try ServerURL.parse(url)
    let text =
      switch address {
      case .host(let host, let port): "\(scheme) \(host) \(port)"
      case .unix(let path): "\(scheme) unix \(path)"
      }
    #expect(text == expected)
  }

  @Test(arguments: [
    "a:80", "ftp://a", "http://", "http:///", "http://a:0", "http://a:65536", "http://a:", "http://a/path", "http://a?q", "http://u:p@a",
    "http://a b",
    "unix:", "unix:run/x", "unix:/\(String(repeating: "x", count: 107))", "HTTP://a", "http://[::1", "http://:80",
  ])
  func noServerIsRefused(_ url: String) {
    #expect(throws: ServerURL.Fault.self) { try ServerURL.parse(url) }
  }

  @Test func routeHeadsAreTold() throws {
    func head(_ words: String) throws -> Route {
      try settings("listen 127.0.0.1:0; upstream u { server http://a }\nroute \(words) { upstream u; require nobody }").routes[0]
    }
    #expect(try head("PROPFIND,MKCOL /dav/").methods.count == 2)
    #expect(try head("X-CUSTOM /").methods == [Array("X-CUSTOM".utf8)])
    #expect(try head("localhost /").host == .name(Array("localhost".utf8)))
    #expect(try head("Legacy.Example.COM. /").host == .name(Array("legacy.example.com".utf8)))
    #expect(try head("192.0.2.1 /").host == .name(Array("192.0.2.1".utf8)))
    #expect(try head("GET a.example = /x").isExact)
    #expect(try head("\"/with%20space\"").path == Array("/with%20space".utf8))
    #expect(try head("\"/a//b;c=d\"").path == Array("/a//b;c=d".utf8))
  }

  @Test func listenTakesAPortAlone() throws {
    let text = "listen 8080; listen *:8081; listen [::1]:8082; upstream u { server http://a }\nroute / { upstream u; require nobody }"
    #expect(
      try settings(text).listeners.map(\.socket.address) == [.any(port: 8080), .any(port: 8081), .ipv6(high: 0, low: 1, scope: 0, port: 8082)])
  }

  @Test func pathsAreRelativeToTheFileTheyAreWrittenIn() throws {
    let scratch = try Scratch()
    let main = try scratch.write("proxy.conf", "include conf.d/*.conf\n" + (try #require(Minimal.text(adding: "", in: .top))))
    try scratch.write("conf.d/a.conf", "users ../users")
    try scratch.write("users", "")
    #expect(Configuration.load(path: main).settings?.usersPath == scratch.path + "/conf.d/../users")
  }
}
