// What token endpoints are asked with, and what is taken for an answer.

import Login
import Primitives
import Testing

private func secret(_ text: String) -> Secret { Secret(copying: Array(text.utf8).span) }

private func parsed(_ text: String) throws -> (line: String, lifetime: Interval) {
  let token = try IssuedToken.parse(Array(text.utf8).span)
  var line = ""
  token.withLine { line = ASCII.string($0.span) }
  return (line, token.lifetime)
}

@Suite struct ClientCredentialsTests {
  private func asked(_ name: String, _ password: String, _ change: (inout TokenEndpoint) -> Void = { _ in }) throws -> (line: String, form: String) {
    var endpoint = TokenEndpoint(url: "https://login.example/token?key=hunter2")
    change(&endpoint)
    #expect(endpoint.place == "https://login.example/token")
    let account = try Account(.clientCredentials(endpoint), name: Array(name.utf8), secret: secret(password))
    account.withLine { line in
      let isEmpty = line.isEmpty
      #expect(isEmpty)
    }
    let request = account.tokenRequest(to: endpoint)
    return (request.withLine { ASCII.string($0.span) }, request.withForm { ASCII.string($0.span) })
  }

  /// RFC 6749 sections 2.3.1 and 4.4.2, and appendix B: the example of the latter.
  @Test func identifierAndSecretAreEncodedAsInAForm() throws {
    let plain = try asked("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw")
    #expect(plain.line == "Authorization: Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3" && plain.form == "grant_type=client_credentials")
    // a%3Ab:+%25%26%2B%C2%A3%E2%82%AC
    #expect(try asked("a:b", " %&+\u{A3}\u{20AC}").line == "Authorization: Basic YSUzQWI6KyUyNSUyNiUyQiVDMiVBMyVFMiU4MiVBQw==")
    let posted = try asked("a&b=c", "x y&z") { endpoint in
      endpoint.authentication = .post
      endpoint.parameters = [("scope", "a b"), ("audience", "https://api.example/?x=1&y")].map {
        TokenEndpoint.Parameter(name: Array($0.0.utf8), value: Array($0.1.utf8))
      }
    }
    #expect(posted.line == "")
    #expect(
      posted.form == "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fapi.example%2F%3Fx%3D1%26y&client_id=a%26b%3Dc&client_secret=x+y%26z")
  }

  @Test(arguments: ["", "a\nb", "a\u{0}", "a\u{7F}"]) func oddIdentifiersAndSecretsAreRefused(_ text: String) {
    let scheme = LoginScheme.clientCredentials(TokenEndpoint(url: "https://login.example/token"))
    #expect(throws: AccountFault.self) { try Account(scheme, name: Array(text.utf8), secret: secret("s")) }
    #expect(throws: AccountFault.self) { try Account(scheme, name: Array("n".utf8), secret: secret(text)) }
  }

  @Test func onlyTheSameIsTheSame() throws {
    func account(_ url: String, _ name: String, _ password: String) throws -> Account {
      try Account(.clientCredentials(TokenEndpoint(url: url)), name: Array(name.utf8), secret: secret(password))
    }
    let one = try account("https://a.example/", "n", "s")
    #expect(one.isSame(as: try account("https://a.example/", "n", "s")))
    for other in [try account("https://b.example/", "n", "s"), try account("https://a.example/", "m", "s"), try account("https://a.example/", "n", "t")] {
      #expect(!one.isSame(as: other))
    }
  }

  @Test(arguments: [
    (#"{"access_token":"aZ09-._~+/=","token_type":"Bearer","expires_in":3600}"#, 3600), (#"{"access_token":"aZ09-._~+/=","token_type":"bEARER"}"#, 300),
    (#" {"token_type":"bearer","x":{"y":[1]},"expires_in":"3599","access_token":"aZ09-._~+\/="} "#, 3599),
    (#"{"access_token":"aZ09-._~+/=","token_type":"Bearer","expires_in":1e15}"#, 86_400),
    (#"{"access_token":"aZ09-._~+/=","token_type":"Bearer","expires_in":1.5}"#, 1),
  ]) func aTokenIsTaken(_ text: String, _ seconds: UInt64) throws {
    let token = try parsed(text)
    #expect(token.line == "Authorization: Bearer aZ09-._~+/=\r\n" && token.lifetime == .seconds(seconds))
  }

  @Test(arguments: [
    ("", "not JSON"), ("<html>", "not JSON"), ("[1]", "without an 'access_token'"), (#"{"token_type":"Bearer"}"#, "without an 'access_token'"),
    (#"{"access_token":"hunter2"}"#, "another type than Bearer"), (#"{"access_token":"hunter2","token_type":"mac"}"#, "another type than Bearer"),
    (#"{"access_token":7,"token_type":"Bearer"}"#, "no string"), (#"{"access_token":"","token_type":"Bearer"}"#, "no header may hold"),
    (#"{"access_token":"hunter2\r\nX-Forwarded-User: root","token_type":"Bearer"}"#, "no header may hold"),
    (#"{"access_token":"hunter2 x","token_type":"Bearer"}"#, "no header may hold"), (#"{"access_token":"hunter2\u0000","token_type":"Bearer"}"#, "no header may hold"),
    (#"{"access_token":"hunter2","token_type":"Bearer","expires_in":0}"#, "expired already"),
    (#"{"access_token":"hunter2","token_type":"Bearer","expires_in":-5}"#, "expired already"),
    (#"{"access_token":"hunter2","token_type":"Bearer","expires_in":"soon"}"#, "no number"),
    (#"{"access_token":"hunter2","access_token":"hunter3","token_type":"Bearer"}"#, "not JSON"),
    (#"{"access_token":"\#(String(repeating: "x", count: 17_000))","token_type":"Bearer"}"#, "more than 16384 bytes"),
  ]) func whatIsNoTokenIsNot(_ text: String, _ words: String) {
    do throws(AccountFault) {
      _ = try IssuedToken.parse(Array(text.utf8).span)
      Issue.record("taken: \(text)")
    } catch {
      #expect(error.reason.contains(words) && !error.reason.contains("hunter"), "\(error.reason)")
    }
  }

  @Test(arguments: [
    (#"{"error":"invalid_client","error_description":"hunter2"}"#, "answered 401 (invalid_client)"), (#"{"error":"two words"}"#, "answered 401"), ("", "answered 401"),
    (#"{"error":"a\nb"}"#, "answered 401"), ("{\"error\":\"\(String(repeating: "x", count: 65))\"}", "answered 401"),
  ]) func aRefusalSaysNoMoreThanItsWord(_ text: String, _ words: String) { #expect(IssuedToken.refusal(401, Array(text.utf8).span) == words) }
}
