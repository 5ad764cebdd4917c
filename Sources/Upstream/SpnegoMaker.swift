// The door to the GSS-API library that libcurl brings along: makes Kerberos tokens. May wait for a KDC, so it is called on threads that nobody waits for.

import CCurl
import Login
import Primitives
import Synchronization

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
  /// Of all that there have ever been: no two have a cache together, as those at the same place in memory would, one after the other.
  private static let makers = Atomic<Int>(0)
  private let serial = SpnegoMaker.makers.add(1, ordering: .relaxed).newValue
  /// Caches that may hold tickets.
  private var caches: [Int] = []

  init(_ account: Account, _ login: KerberosLogin) {
    self.account = account
    self.login = login
    isThere = unsafe gh_gss_load(&gss) == 1
  }

  deinit { forget(except: nil) }

  private func place(_ cache: Int) -> String { "MEMORY:gatehouse-\(serial)-\(cache)" }

  private func forget(except kept: Int?) {
    for cache in caches where cache != kept { unsafe gh_gss_forget(&gss, place(cache)) }
    caches.removeAll { $0 != kept }
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
    // One each, which no other program or account has.
    if !caches.contains(cache) { caches.append(cache) }
    let isMade = unsafe gh_gss_token(
      &gss, "FILE:" + login.keytab, place(cache), String(decoding: account.name, as: UTF8.self), login.service, login.isHostBased ? 1 : 0, &token, &why, most)
    guard isMade == 1, let start = unsafe token.value else {
      let words = String(decoding: why.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return .failure(SpnegoFailure(reason: words.isEmpty ? "GSS-API says no reason" : words))
    }
    // Those before are no use any more: see `TicketState`.
    if caches.count > 1 { forget(except: cache) }
    let bytes = unsafe UnsafeBufferPointer(start: UnsafePointer(start.assumingMemoryBound(to: UInt8.self)), count: token.length)
    let line = unsafe KerberosLogin.line(Span(_unsafeElements: bytes))
    unsafe gh_gss_release(&gss, &token)
    return .success(SpnegoToken(line: line, number: number, usableUntil: begun.advanced(by: TicketState.lifetime)))
  }
}
