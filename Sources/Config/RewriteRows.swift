// What a route changes of requests and responses: paths, Host, fields, addresses of the service, cookies. The rows; reading them is RewriteReading's.

import HTTP
import Primitives
import Proxy

extension Table {
  static let rewriteRows: [Row] = [
    Row(
      "strip_prefix", in: .route, takes: "on|off|PATH", 1...1, standard: "off", elsewhere: ["handle_path", "uri", "stripPrefix"],
      doc: "Takes the route's own path, or the PATH that it lies beneath, away from the begin of paths before they are forwarded; the service is told it as "
        + "`X-Forwarded-Prefix`, and addresses in its answers get it back (`rewrite_location`)."
    ) { reading, directive in reading.stripPrefix(directive) },
    Row(
      "add_prefix", in: .route, takes: "PATH", 1...1, elsewhere: ["addPrefix"],
      doc: "Puts PATH before what is forwarded, after `strip_prefix` and `rewrite`: where the service has what the route's clients see at its top."
    ) { reading, directive in reading.addPrefix(directive) },
    Row(
      "rewrite", in: .route, takes: "PATTERN REPLACEMENT", 1...2, block: .optional, isRepeatable: true,
      elsewhere: ["RewriteRule", "replacePathRegex", "http-request"],
      doc: "Forwards another path where the regular expression PATTERN, which begins with `^`, matches the canonical path that `strip_prefix` left: the first of several "
        + "that matches, with its groups as `$1` to `$9`; who may pass was decided by the path that came, and the query stays unless REPLACEMENT has a `?`."
    ) { reading, directive in reading.rewrite(directive) },
    Row(
      "host", in: .route, takes: "keep|upstream|NAME", 1...1, standard: "keep", elsewhere: ["ProxyPreserveHost", "passHostHeader"],
      doc: "Which `Host` the service is told: the client's, the one of the server in its `upstream`, or NAME; `X-Forwarded-Host` always tells the client's."
    ) { reading, directive in reading.hostPolicy(directive) },
    Row(
      "request_header", in: .route, takes: "set|add NAME VALUE | remove NAME", 2...3, block: .optional, isRepeatable: true,
      elsewhere: ["proxy_set_header", "header_up", "RequestHeader", "headers"],
      doc: "A header that the service is sent instead of the client's (`set`), beside it (`add`), or not (`remove`); in VALUE, which stands in quotes then, "
        + "`{user}` and other variables are replaced, and where nothing is left no header is sent."
    ) { reading, directive in reading.fieldEdit(directive, isRequest: true) },
    Row(
      "response_header", in: .route, takes: "set|add NAME VALUE | remove NAME", 2...3, block: .optional, isRepeatable: true,
      elsewhere: ["add_header", "proxy_hide_header", "header_down", "Header"],
      doc: "The same for what the service answers; answers of Gatehouse's own are left alone."
    ) { reading, directive in reading.fieldEdit(directive, isRequest: false) },
    Row(
      "rewrite_location", in: .route, takes: "on|off", 1...1, standard: "on", elsewhere: ["proxy_redirect", "ProxyPassReverse"],
      doc: "Whether `Location`, `Content-Location`, `Refresh` and `Link` that name the service by its own address, or lack the stripped prefix, are told as the "
        + "client sees it, and the domain and path of cookies with them."
    ) { reading, directive in
      reading.onOff(directive.arguments[0]).map { reading.routeInHand?.rewriting.mapsReferences = $0 }
    },
    Row(
      "cookie", in: .route, takes: "domain remove|NAME | path PATH | secure on | http_only on | same_site lax|strict|none", 2...2, isRepeatable: true,
      elsewhere: ["proxy_cookie_domain", "proxy_cookie_path", "proxy_cookie_flags", "ProxyPassReverseCookieDomain", "ProxyPassReverseCookiePath"],
      doc: "An attribute that every cookie of the service gets, whatever the service says of it."
    ) { reading, directive in reading.cookieRule(directive) },
  ]
}
