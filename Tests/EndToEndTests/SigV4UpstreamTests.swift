// AWS Signature Version 4 towards the service behind, held against botocore's own.

import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized, .byEachEngine) struct SigV4Upstream {
    private static let secret = Secrets.keep("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    /// Prints the signature that botocore makes of a request that is given on standard input: head, and nothing else.
    private static let verifier = """
      import sys
      from botocore.auth import S3SigV4Auth
      from botocore.awsrequest import AWSRequest
      from botocore.credentials import Credentials
      lines = sys.stdin.read().split("\\r\\n")
      method, target, _ = lines[0].split(" ")
      fields = [tuple(line.split(": ", 1)) for line in lines[1:] if line]
      login = [v for n, v in fields if n.lower() == "authorization"]
      assert len(login) == 1 and login[0].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), login
      parts = dict(p.split("=", 1) for p in login[0].split(" ", 1)[1].split(", "))
      signed = parts["SignedHeaders"].split(";")
      # Everything that AWS wants signed.
      assert signed == sorted(signed) and all(n.lower() in signed for n, _ in fields if n.lower().startswith("x-amz-") or n.lower() == "host")
      request = AWSRequest(method=method, url="http://" + [v for n, v in fields if n.lower() == "host"][0] + target)
      for name, value in fields:
          if name.lower() in signed: request.headers[name] = value
      request.context["timestamp"] = request.headers["x-amz-date"]
      auth = S3SigV4Auth(Credentials("AKIDEXAMPLE", sys.argv[1]), "s3", "eu-central-1")
      auth._default_region_name, auth._region_name, auth._service_name = "eu-central-1", "eu-central-1", "s3"
      canonical = auth.canonical_request(request)
      signature = auth.signature(auth.string_to_sign(request, canonical), request)
      assert signature == parts["Signature"], (canonical, signature, parts)
      print("well")
      """

    private func expectSigned(_ message: Message) throws {
      let outcome = try Child.run("/usr/bin/python3", ["-I", "-c", Self.verifier, Self.secret], input: message.head, folder: "/")
      #expect(outcome.text == "well\n", "\(outcome.errors)\n\(message.headText)")
    }

    /// The page docs/recipes/sigv4.md.
    @Test func botocoreSignsTheSame() throws {
      let upstream = try RecordingUpstream(Answer.always(Answer.text("stored")))
      let more = try Recipe("sigv4").text(
        replacing: [
          "http://10.0.0.5:9000": "http://127.0.0.1:\(upstream.port)", "GATEWAYKEY": "AKIDEXAMPLE",
          "upstream store {": "upstream store {\nengine \(Engines.current)",
        ])
      try House.with(Setup(path: "/unused/", more: more, files: ["store.secret": Self.secret + "\n"])) { house throws in
        let targets = [
          "/bucket/key", "/bucket/a%20b/%E4?list-type=2&prefix=a%2Fb&delimiter=%2F", "/bucket/?acl", "/bucket//double/", "/bucket/x~y?versions&b=2&a=1",
        ]
        for target in targets {
          #expect(try house.ask("GET", target, [People.alice.authorization, "X-Amz-Date: forged", "x_amz_content_sha256: forged"]).status == 200)
        }
        let fields = [People.alice.authorization, "X-Amz-Checksum-Crc32: AAAAAA==", "x-amz-meta-a:  b  c", "Content-Length: 4"]
        #expect(try house.ask("PUT", "/bucket/key", fields, body: "body").status == 200)
        #expect(try house.ask("DELETE", "/bucket/key", [People.alice.authorization]).status == 200)
        // With our signature the store would copy what the route's rule is about, or give it to everybody.
        for name in ["X-Amz-Copy-Source", "x_amz_copy_source", "X-AMZ-ACL", "x-amz-grant-read", "x-amz-bypass-governance-retention"] {
          #expect(try house.ask("PUT", "/bucket/mine", [People.alice.authorization, "\(name): /bucket/admin/secret", "Content-Length: 0"]).status == 403, "\(name)")
        }
        // Presigned URLs say them so, and stores take them from there.
        for query in ["x-amz-acl=public-read", "a&X-Amz-Copy-Source=%2Fbucket%2Fadmin", "x%2Damz%2Dacl=x", "X-Amz-Signature=x", "a;x_amz_acl"] {
          #expect(try house.ask("PUT", "/bucket/mine?\(query)", [People.alice.authorization, "Content-Length: 0"]).status == 403, "\(query)")
        }
        // Not behind the body either, where some stores look, and where no signature reaches.
        let client = try house.client()
        let trailers = "x-amz-acl: public-read\r\nX_Amz_Copy_Source: /bucket/admin/secret\r\nx-amz-date: forged\r\nX-Sum: 1\r\n"
        let trailing = request("PUT", "/bucket/key", [People.alice.authorization, "Transfer-Encoding: chunked"]) + "4\r\nbody\r\n0\r\n\(trailers)\r\n"
        #expect(try client.exchange(trailing).status == 200)
        let seen = try upstream.requests(targets.count + 3)
        #expect(seen.count == targets.count + 3)
        #expect(seen[targets.count + 2].trailers.map(\.name) == ["X-Sum"])
        for message in seen {
          try expectSigned(message)
          #expect(!message.head.holds("forged") && !message.head.holds(People.alice.authorization), "\(message.headText)")
        }
        #expect(seen[targets.count]["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD")
      }
      try upstream.stop()
    }
  }
}
