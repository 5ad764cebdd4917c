// The picture that `check` prints.

import Testing

@testable import Config

@Suite struct DescribeTests {
  @Test func exampleIsPictured() throws {
    let (configuration, scratch) = try ReferenceTests.loadExample()
    let summary = configuration.summary.replacing(scratch.path, with: "/etc/gatehouse")
      .replacing(/\d+ days left/, with: "many days left")
    #expect(
      summary == """
        Listeners
          127.0.0.1:8080                 HTTP, no TLS
          unix:/run/gatehouse/http.sock  HTTP, mode 660, owner 0, group 0
          [::]:8081                      HTTP, no TLS, redirected to https, port 8443, by way of lo
          127.0.0.1:8443                 HTTPS, TLS 1.2 to 1.3, client certificates accepted by /etc/gatehouse/tls/clients.pem, \
        their users from san email *@example.com
                                         www.example.com *.example.com: ECDSA, P-256, many days left, self-signed, stapled

        Routes, most specific first
          GET = /healthz                  PUBLIC                     to legacy
          = /ping                         PUBLIC                     answered 200
          /reports/                       PUBLIC IN PART             to legacy     preflights pass, no Basic challenge to scripts
            require all { not group guests; any { from 10.0.0.0/8 ::1; all { valid-user; scope reports }; user alice; group admin; \
        certificate cn build-agent } }
            require all { nobody; from 10.1.0.0/16 }
          /welcome/                       PUBLIC                     files         beneath /etc/gatehouse/site
          /archive/                       valid-user                 to archive
          /account/                       valid-user                 to account
          /environ/                       valid-user                 to environ
          /export/                        valid-user                 to legacy     closed while /run/gatehouse/export.closed is there, 50 requests at once, \
        2 of one user, 10r/m of a user, 5 at once, 4m taken ahead, 1m of uploads in memory first, connect 2s, response 5m, idle 30s, total 1h
          /people/                        valid-user                 to people     without /people
          /bearer/                        valid-user                 to bearer
          /issued/                        valid-user                 to issued
          /posted/                        valid-user                 to posted
          /domain/                        valid-user                 to domain
          /signed/                        valid-user                 to signed
          /beyond/                        valid-user                 to beyond
          /legacy/                        valid-user                 to legacy     without /legacy, 1 rewrite, beneath /app, \
        request headers changed: X-Department Accept-Encoding, response headers changed: X-Frame-Options, cookies changed
          GET,HEAD *.example.com /files/  valid-user                 to secure     raw path
          /admin/                         user alice or group admin  to legacy     bodies up to 10m, Authorization replaced
          /video/                         valid-user                 to legacy     1m a second, uploads at 512k a second
          /scans/                         group admin                to scans
          /words/                         valid-user                 to words      without /words
          /netrc/                         valid-user                 to netrc
          /store/                         valid-user                 to store      host of the server
          /hole/                          valid-user                 to hole       without /hole
          /boot/                          valid-user                 to boot       without /boot
          /corp/                          valid-user                 to corp
          /old/                           PUBLIC                     redirected    308 to https://{host}/new{path}{query}
          /app/                           valid-user                 to several
          /key/                           valid-user                 to key
          /far/                           valid-user                 to far
          /                               valid-user                 to legacy

        Upstreams
          legacy   http://127.0.0.1:9000                      connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker
          secure   https://legacy.example.com:8443            connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; \
        TLS verified by /etc/gatehouse/tls/ca.pem as legacy.internal, with our certificate /etc/gatehouse/tls/client.pem, by a pinned key
          several  http://10.0.0.1:8080                       connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; 3 servers, in turn, \
        out for 10s after 3 failures in a row, sent again up to 2 times; this one: weight 2
                   http://10.0.0.2:8080                       50 requests at once
                   http://10.0.0.3:8080                       backup
          far      http://far.example.com:8080                connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; found at 10.0.0.5:8080; \
        from 10.0.0.9; through http://proxy.example.com:3128 as gate
          beyond   http://beyond.example.com:8080             connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; \
        through https://proxy.example.com:3129
          account  http://10.0.0.5:8080                       connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by basic, \
        1 account of users, as gateway for others (/etc/gatehouse/legacy.password, /etc/gatehouse/legacy.accounts)
          netrc    http://10.0.0.6:80                         connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by basic, \
        as svc for everybody (/etc/gatehouse/netrc)
          environ  http://10.0.0.7:80                         connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by basic, \
        as svc for everybody (the environment)
          store    http://10.0.0.9:80                         connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by aws_sigv4, \
        as AKIDEXAMPLE for everybody (/etc/gatehouse/legacy.token)
          corp     http://10.0.0.13:80                        connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; \
        logged in by ntlm in CORP, as svc for everybody (/etc/gatehouse/legacy.password)
          bearer   http://10.0.0.8:80                         connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by bearer, \
        one account for everybody (/etc/gatehouse/legacy.token)
          issued   http://10.0.0.11:80                        connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by bearer, \
        as gateway for everybody, by tokens of https://login.example.com/oauth2/token (/etc/gatehouse/legacy.token)
          posted   http://10.0.0.13:80                        connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by bearer, \
        as gateway for everybody, by tokens of http://127.0.0.1:8200/token (the environment)
          domain   http://intranet.example.com:80             connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; logged in by negotiate, \
        as gateway@EXAMPLE.COM for everybody, to HTTP/intranet.example.com@EXAMPLE.COM (/etc/gatehouse/gateway.keytab)
          signed   http://10.0.0.12:80                        connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; \
        users asserted in X-Gatehouse-Assertion by ES256, from gatehouse for signed, 60s each
          key      http://10.0.0.10:80                        connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; \
        logged in by header X-API-Key, one account for everybody (/etc/gatehouse/legacy.token)
          archive  sftp://archive.example.com:22/srv/archive  connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; files, read only, \
        as gatehouse by the key /etc/gatehouse/ssh/archive.key, its key known from /etc/gatehouse/ssh/known_hosts
          scans    sftp://10.0.0.9:2222/scans                 connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; files, WRITABLE, \
        as scanner, its key SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s
          people   ldaps://10.0.0.12:636/dc=example           connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; \
        directory searched by uid mail, gives cn mail telephoneNumber of (objectClass=inetOrgPerson), one level, 20 entries at most, anonymous; \
        TLS verified by the system's authorities
          words    dict://10.0.0.13:2628                      connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; dictionary, database wn
          hole     gopher://10.0.0.14:70/pub                  connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; gopher, \
        65536 KiB at most, which calls itself gopher.example.com
          boot     tftp://10.0.0.15:69/images                 connect 5s, response 1m, idle 1m; kept 4s, 1024 connections a worker; tftp, read only, \
        16384 KiB at most, blocks of 512 bytes

        Users
          /etc/gatehouse/users
          1 user: 1 {SHA}
          groups also from /etc/gatehouse/groups
          verified passwords are remembered for 5m, 65536 at most
          locked out for 10m after 10 failures within 1m; 1 network exempt
          realm "Authentication Required"

        Tokens
          /etc/gatehouse/token.keys: made at the first start
          good for 10m, 24h at most; renewed within 12h of the password
          given out at /api/token

        Tokens of other issuers
          https://login.example.com/  RS256 ES256  1 key (EC, P-256)         for gatehouse; user from preferred_username; groups from realm_access roles; \
        users of the user file; clocks 1m apart at most
          ANY ISSUER                  HS256        1 key (secret, 32 bytes)  FOR ANY AUDIENCE; user from sub; users of the user file; clocks 1m apart at most

        Registration
          /api/users  closed, 5 tries of an address in 1h
          passwords   8 characters at least, stored as yescrypt, none of /etc/gatehouse/passwords.txt
          admins      members of admin

        Logs
          access  standard output, combined
          errors  standard error, notice and above

        Identity
          user      X-Forwarded-User
          groups    X-Forwarded-Groups
          origin    X-Forwarded-For, -Proto, -Host, -Port
          asked at  /auth, by trusted proxies
          keys      /gatehouse/jwks.json, by everybody
          browsers  https alone for 365 days
          trusted   127.0.0.1 ::1

        Error pages
          401 403-404 429 500-599

        Limits
          request      line 8k, header 32k in 100 lines
          waiting      header 10s, body 30s, sending 1m
          connections  16384 a worker, 10000 requests each, idle 75s, drained 30s
          http2        128 requests at once, 200 resets, 64k of a body
          hashing      half of the processors, 1024 waiting for 20s at most, 2s and 256m each
          rate         1000r/s of an address, 2000 at once

        Workers
          one for each processor

        Admin socket
          unix:/run/gatehouse/admin.sock

        /etc/gatehouse/proxy.conf: can be used
        """)
  }

  @Test func whatServersAndRatesDoBeyondTheUsualIsSaid() {
    let servers = "upstream app { server http://a; server http://b; retry 2 on connect 503; slow_start 10s }"
    let text = "listen *:80\n\(servers)\nroute / { upstream app; require nobody; rate 2r/h by token; rate 5r/d burst 9 }\n"
    let summary = Configuration.load(text: text, name: "t.conf", environment: { _ in nil }).summary
    #expect(summary.contains("sent again up to 2 times (connect 503), less to one that is back for 10s"), "\(summary)")
    #expect(summary.contains("2r/h of a token, 2 at once, 5r/d of an address, 9 at once"), "\(summary)")
    #expect(!summary.contains("Error pages"))
  }

  @Test func verdictCounts() {
    func verdict(_ text: String) -> String {
      String(Configuration.load(text: text, name: "t.conf", environment: { _ in nil }).summary.split(separator: "\n").last ?? "")
    }
    let good = "listen 127.0.0.1:1; upstream u { server http://a }\nroute / { upstream u; require nobody }\n"
    #expect(verdict(good) == "t.conf: can be used")
    #expect(verdict(good + "upstream v { server http://a }") == "t.conf: can be used, with 1 warning")
    #expect(verdict("") == "t.conf: can't be used: 2 errors")
  }
}
