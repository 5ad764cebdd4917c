// AWS Signature Version 4: the vectors that AWS publishes, and the canonical forms.

import Primitives
import Testing

@testable import Login

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct SigV4Tests {
  private let scope = SigV4Scope(region: bytes("us-east-1"), service: bytes("service"))
  private let s3 = SigV4Scope(region: bytes("us-east-1"), service: bytes("s3"))
  private let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  private func account(_ scope: SigV4Scope, _ key: String = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY") throws -> Account {
    var secret = bytes(key)
    return try Account(.awsSigV4(scope), name: bytes("AKIDEXAMPLE"), secret: Secret(moving: &secret))
  }

  /// aws-sig-v4-test-suite: get-vanilla, get-vanilla-query-order-key-case, get-utf8 and post-vanilla.
  @Test(arguments: [
    ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("GET", "/%E1%88%B4", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
  ]) func publishedSignaturesComeOut(_ method: String, _ target: String, _ expected: String) throws {
    let fields = [
      SigV4Field(name: bytes("host"), value: bytes("example.amazonaws.com")), SigV4Field(name: bytes("x-amz-date"), value: bytes("20150830T123600Z")),
    ]
    // The suite's paths are encoded once.
    let place = target.contains("%") ? SigV4Scope(region: scope.region, service: bytes("service")) : scope
    let path = target == "/%E1%88%B4" ? "/\u{1234}" : target
    let found = SigV4.signature(
      try account(place), place, method: bytes(method), target: bytes(path), fields: fields, payload: bytes(emptyHash), time: bytes("20150830T123600Z"))
    #expect(String(decoding: found.signature, as: UTF8.self) == expected)
    #expect(String(decoding: found.names, as: UTF8.self) == "host;x-amz-date")
  }

  @Test(arguments: [
    ("/a%20b/c", "/a%20b/c", "/a%2520b/c"), ("/a//b/", "/a//b/", "/a/b/"), ("/%e4%2f", "/%E4/", "/%25e4%252f"), ("/a+b=c@d", "/a%2Bb%3Dc%40d", "/a%2Bb%3Dc%40d"),
    ("/~user/x.y-z_", "/~user/x.y-z_", "/~user/x.y-z_"),
  ]) func pathsAreEncodedAsTheServiceDoes(_ path: String, _ ofS3: String, _ ofOthers: String) {
    #expect(String(decoding: SigV4.canonicalPath(bytes(path), isS3: true), as: UTF8.self) == ofS3)
    #expect(String(decoding: SigV4.canonicalPath(bytes(path), isS3: false), as: UTF8.self) == ofOthers)
  }

  @Test(arguments: [
    ("b=2&a=1", "a=1&b=2"), ("a=2&a=1", "a=1&a=2"), ("acl", "acl="), ("prefix=a/b&x=%7e", "prefix=a%2Fb&x=~"), ("a=b=c", "a=b%3Dc"), ("", ""), ("a-b=1&a=2", "a=2&a-b=1"),
  ]) func queriesAreSortedAndEncoded(_ query: String, _ expected: String) {
    #expect(String(decoding: SigV4.canonicalQuery(bytes(query)), as: UTF8.self) == expected)
  }

  @Test func timesAreUTC() {
    for (seconds, text) in [
      (0, "19700101T000000Z"), (1_440_938_160, "20150830T123600Z"), (951_782_400, "20000229T000000Z"), (1_709_251_199, "20240229T235959Z"),
      (4_102_444_800, "21000101T000000Z"),
    ] as [(Int64, String)] {
      #expect(String(decoding: SigV4.timeText(Timestamp(seconds: seconds)), as: UTF8.self) == text)
    }
  }

  @Test func aLineHasNoSecretAndSaysWhatIsSigned() throws {
    let fields = [SigV4Field(name: bytes("x-amz-acl"), value: bytes("private")), SigV4Field(name: bytes("host"), value: bytes("b.example"))]
    let lines = SigV4.lines(
      try account(s3), s3, method: bytes("PUT"), target: bytes("/key"), fields: fields, hasBody: true, at: Timestamp(seconds: 1_440_938_160))
    let text = ASCII.string(lines.span)
    #expect(text.contains("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n") && text.contains("x-amz-date: 20150830T123600Z\r\n"))
    #expect(text.contains("Credential=AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-acl;x-amz-content-sha256;x-amz-date, Signature="))
    #expect(!text.contains("wJalr"))
  }
}
