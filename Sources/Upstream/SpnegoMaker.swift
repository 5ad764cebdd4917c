// The door to the GSS-API library that libcurl brings along: makes Kerberos tokens. May wait for a KDC, so it is called on threads that nobody waits for.

import CCurl
import Login
import Primitives

/// Why there is no token: the library's own words.
struct SpnegoFailure: Error {
  var reason: String
}

/// Makes tokens of one account for one service, whose tickets are held in memory. One thread's.
@safe final class SpnegoMaker {
  private let account: Account
  private let login: KerberosLogin
  private var gss = gh_gss()
  private let isThere: Bool

  init(_ account: Account, _ login: KerberosLogin) {
    self.account = account
    self.login = login
    isThere = unsafe gh_gss_load(&gss) == 1
  }

  /// - Parameters:
  ///   - number: of the tickets.
  ///   - cache: which cache they are in; for a new one they are fetched.
  func token(_ number: Int, cache: Int) -> Result<SpnegoToken, SpnegoFailure> {
    guard isThere else { return .failure(SpnegoFailure(reason: "there is no GSS-API library (libgssapi_krb5.so.2)")) }
    // Its time is in it.
    let begun = Instant.now()
    var token = unsafe gh_gss_buffer()
    let most = 256
    var why = [CChar](repeating: 0, count: most)
    // One cache each, which no other program or account has.
    let place = "MEMORY:gatehouse-\(unsafe UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))-\(cache)"
    let isMade = unsafe gh_gss_token(
      &gss, "FILE:" + login.keytab, place, String(decoding: account.name, as: UTF8.self), login.service, login.isHostBased ? 1 : 0, &token, &why, most)
    guard isMade == 1, let start = unsafe token.value else {
      let words = String(decoding: why.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return .failure(SpnegoFailure(reason: words.isEmpty ? "GSS-API says no reason" : words))
    }
    let bytes = unsafe UnsafeBufferPointer(start: UnsafePointer(start.assumingMemoryBound(to: UInt8.self)), count: token.length)
    let line = unsafe KerberosLogin.line(Span(_unsafeElements: bytes))
    unsafe gh_gss_release(&gss, &token)
    return .success(SpnegoToken(line: line, number: number, usableUntil: begun.advanced(by: TicketState.lifetime)))
  }
}
