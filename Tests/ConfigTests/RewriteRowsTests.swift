// What a route says of paths, Host, headers and cookies: taken, or refused with what to do instead.

import HTTP
import Primitives
import Testing

@testable import Config
@testable import Proxy

@Suite struct RewriteRowsTests {
  private func load(_ route: String, path: String = "/legacy/", top: String = "") -> Configuration {
    Configuration.load(
      text: "listen 127.0.0.1:80\n\(top)\nupstream app { server http://10.0.0.1 }\nroute \(path) { upstream app; require nobody\n\(route)\n}\n", name: "t.conf",
      environment: { _ in nil })
  }

  private func rewriting(_ route: String, path: String = "/legacy/") throws -> RouteRewriting {
    let configuration = load(route, path: path)
    #expect(configuration.diagnostics.rendered == "", "\(route)")
    return try #require(configuration.settings?.routes.first?.rewriting)
  }

  /// The only complaint's words and hint.
  private func complaint(_ route: String, path: String = "/legacy/", top: String = "") -> String {
    let all = load(route, path: path, top: top).diagnostics.all
    return all.map { "\($0.message) | \($0.hint ?? "")" }.joined(separator: "\n")
  }

  @Test func nothingSaidIsNothingChanged() throws {
    #expect(try rewriting("") == RouteRewriting())
    #expect(try rewriting("strip_prefix off; host keep; rewrite_location on") == RouteRewriting())
  }

  @Test func prefixesAreTaken() throws {
    for (line, path, stripped) in [
      ("strip_prefix on", "/legacy/", "/legacy"), ("strip_prefix on", "/legacy", "/legacy"), ("strip_prefix on", "/", ""), ("strip_prefix on", "= /a/b", "/a/b"),
      ("strip_prefix /legacy", "/legacy/admin/", "/legacy"), ("strip_prefix /legacy/", "/legacy/admin/", "/legacy"), ("strip_prefix /", "/legacy", ""),
    ] {
      #expect(try rewriting(line, path: path).stripped == bytes(stripped), "\(line) \(path)")
    }
    #expect(try rewriting("add_prefix /app/").added == bytes("/app") && rewriting("add_prefix /").added.isEmpty)
  }

  @Test(arguments: [
    ("strip_prefix /other", "is not what the route's paths begin with"), ("strip_prefix /leg", "is not what the route's paths begin with"),
    ("strip_prefix yes", "is not 'on', 'off' or a path"), ("strip_prefix /legacy/../x", "is not in canonical form"), ("add_prefix app", "is not a path"),
    ("add_prefix //app", "two slashes"), ("add_prefix /a%2f", "would be refused"), ("add_prefix /a?b", "is no path"),
    ("strip_prefix on; path raw", "forwards them byte for byte"),
    ("rewrite ^/a /b; path raw", "forwards them byte for byte"), ("strip_prefix on; strip_prefix off", "stands twice"),
  ]) func wrongPrefixesAreRefused(_ line: String, _ words: String) { #expect(complaint(line).contains(words), "\(complaint(line))") }

  @Test(arguments: [
    ("rewrite /a /b", "does not begin with '^'"), ("rewrite ^/(a /b", "has a '(' that is not closed"), ("rewrite ^/a b", "does not begin with '/'"),
    ("rewrite ^/a /$1", "says $1, and the pattern has 0 groups"), ("rewrite ^/(a) /$2", "says $2"), ("rewrite ^/a /$x", "a '$' before no digit"),
    ("rewrite ^/a \"/b c\"", "white space"), ("rewrite ^/a /../b", "is no canonical path"), ("rewrite ^/a /%2fb", "is no canonical path"),
    ("rewrite ^/a \"/b#c\"", "'#'"), ("rewrite ^/a{2}", "takes no block | a pattern or replacement with braces stands in quotes"),
    ("rewrite ^/a \"/{query}\"", "has a '{'"),
    ("rewrite ^/a \"/b?{user}\"", "has a '{'"), ("rewrite ^/a", "lacks the replacement"),
  ]) func wrongRewritesAreRefused(_ line: String, _ words: String) { #expect(complaint(line).contains(words), "\(complaint(line))") }

  @Test func hostsAreTaken() throws {
    #expect(try rewriting("host upstream").host == .upstream && rewriting("host app.internal:81").host == .name(bytes("app.internal:81")))
    #expect(complaint("host a/b").contains("is no host"))
  }

  @Test func fieldsAreTaken() throws {
    let rules = try rewriting(
      "request_header set X-A \"{user}\"; request_header add X-A b; response_header remove Server; request_header set X-Real-IP \"{remote_address}\"")
    #expect(rules.requestFields.map(\.name) == [bytes("X-A"), bytes("X-A"), bytes("X-Real-IP")] && rules.responseFields.map(\.name) == [bytes("Server")])
    #expect(rules.requestFields[0].template?.pieces == [.variable(.user)] && rules.requestFields[1].template?.pieces == [.text(bytes("b"))])
    let template = try FieldTemplate(bytes("{{a{ \"b\"} {header.X-Y}-{tls.sni}"))
    #expect(template.pieces == [.text(bytes("{a{ \"b\"} ")), .variable(.header(bytes("x-y"))), .text(bytes("-")), .variable(.tlsName)])
  }

  @Test(arguments: [
    ("request_header set Host a", "'host' says"), ("request_header remove host", "'host' says"), ("request_header set Content_Length 1", "belongs to the connection"),
    ("request_header set Transfer-Encoding x", "belongs to the connection"), ("request_header add Connection x", "belongs to the connection"),
    ("request_header set Upgrade x", "belongs to the connection"), ("request_header set Authorization x", "'authorization replace'"),
    ("request_header set X-Forwarded-User x", "'user_header'"), ("request_header set x_forwarded_groups x", "'groups_header'"),
    ("request_header set X-Forwarded-For x", "'trusted_proxies'"), ("request_header set X-Forwarded-Anything x", "told in any case"),
    ("request_header set Forwarded x", "told in any case"), ("request_header set X-Request-Id x", "told in any case"), ("request_header set Via x", "each proxy adds"),
    ("request_header set X-Original-URL /x", "'rewrite' changes that"), ("request_header set Destination /x", "judged and mapped"),
    ("request_header set Remote-User \"{header.X-User}\"", "of nothing that clients write"), ("request_header remove Remote-User", "of nothing that clients write"),
    ("response_header set Content-Length 1", "belongs to the connection"), ("response_header remove Connection", "belongs to the connection"),
    ("response_header set Strict-Transport-Security x", "'hsts' says it"),
    ("request_header set X-A \"{header.Authorization}\"", "may hold credentials"), ("request_header set X-A \"{header.cookie}\"", "may hold credentials"),
    ("response_header set X-A \"{header.Proxy-Authorization}\"", "may hold credentials"), ("request_header set X-A \"{header.Remote_User}\"", "anybody can write it"),
    ("request_header set X-A \"{header.X-Forwarded-User}\"", "anybody can write it"), ("request_header set X-A \"{header.X-Key}\"", "'api_key_header'"),
    ("request_header set X-A \"{usr}\"", "did you mean {user}?"), ("request_header set X-A \"{remote_addres}\"", "did you mean {remote_address}?"),
    ("request_header set X-A \"{zzzzzzz}\"", "there are: user, groups"), ("request_header set X-A \"{user\"", "is not closed"),
    ("request_header set X-A {user}", "stands in quotes"), ("request_header set X-A", "takes the value"), ("request_header remove X-A b", "'remove' takes no value"),
    ("request_header set \"X A\" b", "is no name of a header"), ("request_header drop X-A", "is none of 'set', 'add', 'remove'"),
    ("request_header set X-A \" b\"", "outer white space"), ("request_header set X-A \"\"", "is empty"),
    ("request_header set X-A a; request_header set x_a b", "already"),
    ("request_header set X-A a; request_header remove X-A", "already"),
    ("cookie domain b/c", "is neither 'remove' nor a host name"), ("cookie path x", "is no path of a cookie"), ("cookie path \"/a;b\"", "is no path of a cookie"),
    ("cookie secure off", "never taken back"), ("cookie same_site loose", "is none of 'lax', 'strict', 'none'"), ("cookie samesite lax", "did you mean 'same_site'?"),
    ("cookie path /a; cookie path /b", "stands twice"), ("cookie same_site none", "browsers refuse"), ("rewrite_location maybe", "neither 'on' nor 'off'"),
  ]) func whatHasAnOwnerOrNoSenseIsRefused(_ line: String, _ words: String) {
    let said = complaint(line, top: "api_key_header X-Key")
    #expect(said.contains(words) && !said.contains("\n"), "\(line): \(said)")
  }

  @Test func cookiesAreTaken() throws {
    let rules = try rewriting("cookie domain remove; cookie secure on; cookie http_only on; cookie same_site none; cookie path /p").cookies
    #expect(rules.domain == .remove && rules.isSecure && rules.isHTTPOnly && rules.sameSite == CookieRules.SameSite.none && rules.path == bytes("/p"))
  }

  @Test func checkSaysWhatIsChangedAndNoValue() {
    let summary = load("strip_prefix on; add_prefix /app; host upstream; request_header set X-Key s3cret; rewrite ^/a /b; cookie secure on").summary
    #expect(summary.contains("without /legacy, 1 rewrite, beneath /app, host of the server, request headers changed: X-Key, cookies changed"))
    #expect(!summary.contains("s3cret"))
  }

  @Test func aWayAroundAnotherRoutesRuleIsWarnedOf() {
    func warnings(_ routes: String) -> [String] {
      let text = "listen 127.0.0.1:80\nupstream a { server http://10.0.0.1 }\nupstream b { server http://10.0.0.2 }\n\(routes)\n"
      return Configuration.load(text: text, name: "t.conf", environment: { _ in nil }).diagnostics.warnings.map(\.message).filter { $0.contains("guards") }
    }
    let admin = "route /admin/ { upstream a; require from 10.0.0.0/8; require user x }\nusers users\n"
    let said = ["by '/legacy/admin/' requests reach what '/admin/' guards by another rule"]
    #expect(warnings(admin + "route /legacy/ { upstream a; require nobody; strip_prefix on }") == said)
    #expect(warnings(admin + "route / { upstream a; require nobody; add_prefix /admin }") == ["by '/' requests reach what '/admin/' guards by another rule"])
    // To another service, by a rule of its own, and elsewhere in the same service.
    #expect(warnings(admin + "route /legacy/ { upstream b; require nobody; strip_prefix on }").isEmpty)
    let own = "route /legacy/admin/ { upstream a; require user x; strip_prefix /legacy }"
    let both = warnings(admin + "route /legacy/ { upstream a; require nobody; strip_prefix on }\n" + own)
    #expect(both == said + said, "another rule all the same, by either route: \(both)")
    // A route for a part of the requests leaves the rest a way around; the same rule for all of them leaves none.
    let rule = "require from 10.0.0.0/8; require user x"
    let part = "route GET /legacy/admin/ { upstream a; \(rule); strip_prefix /legacy }"
    #expect(warnings(admin + "route /legacy/ { upstream a; require nobody; strip_prefix on }\n" + part) == said)
    let whole = "route /legacy/admin/ { upstream a; \(rule); strip_prefix /legacy }"
    #expect(warnings(admin + "route /legacy/ { upstream a; require nobody; strip_prefix on }\n" + whole).isEmpty)
    #expect(warnings(admin + "route /legacy/ { upstream a; require nobody; strip_prefix on; add_prefix /app }").isEmpty)
  }

  /// What services take for who somebody is can't be made of what he writes.
  @Test(arguments: ["{query}", "{path}", "{host}", "{method}", "{tls.sni}", "{header.x-a}", "a {user} {query}"]) func identityIsOursAlone(_ value: String) {
    func complaints(_ value: String) -> String {
      let text =
        "listen 127.0.0.1:80\nupstream a { server http://10.0.0.1 }\nroute / { upstream a; require nobody; request_header set Remote-User \"\(value)\" }"
      return Configuration.load(text: text, name: "t.conf", environment: { _ in nil }).diagnostics.rendered
    }
    #expect(complaints(value).contains("of nothing that clients write") && complaints("{user} {remote_address} {tls.version}").isEmpty)
  }

  @Test func whatTheEnvironmentHoldsIsNotShown() {
    let text = "listen 127.0.0.1:80\nupstream a { server http://10.0.0.1 }\nroute / { upstream a; require nobody; request_header set X-Key \"${KEY}\" }"
    for secret in ["pa{usr}ss", "pa{header.a b}ss", "pa{ss", "pass\u{e9}", " pass", "pa{header.Cookie}ss"] {
      let said = Configuration.load(text: text, name: "t.conf", environment: { _ in secret }).summary
      #expect(!said.contains("pa") || !said.contains("ss}") && !said.contains("usr") && !said.contains("pa{"), "\(said)")
    }
  }

  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
}
