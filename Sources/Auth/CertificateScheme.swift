// Certificates as credentials, beside Basic and tokens: what one comes to by the users of now, which is asked for every request and
// remembered nowhere.

internal import HTTP
internal import Primitives

/// What the connection's certificate comes to. Indirect, since it is part of what is passed around with every request, and hardly ever
/// anything.
indirect enum CertificateHolder: Sendable {
  /// There is none.
  case nobody
  /// It is good, and nobody's in particular.
  case somebody
  /// It is this user's, who may log in.
  case user(User)
  /// It counts for nothing.
  case refused(Refusal)

  var counts: Bool {
    switch self {
    case .nobody, .refused: false
    case .somebody, .user: true
    }
  }
}

extension Gatekeeper {
  /// The context with what its certificate comes to. Never a guess: nobody can try certificates, and who shows one that is good no longer
  /// is no guesser.
  func appraised(_ context: RequestContext) -> RequestContext {
    guard context.certificateLogsIn, let shown = context.certificate else { return context }
    var context = context
    context.holder = holder(of: shown, context)
    return context
  }

  private func holder(of shown: ShownCertificate, _ context: RequestContext) -> CertificateHolder {
    guard shown.certificate.isGood(at: context.now) else { return .refused(Refusal(.expiredCertificate)) }
    switch shown.owner {
    case .notAsked, .nobody: return .somebody
    case .unclear: return .refused(Refusal(.certificateWithoutUser))
    case .user(let name):
      guard let user = users.user(named: name.span) else {
        return .refused(Refusal(.unknownUser, user: UserName.isLoggable(name.span) ? name : []))
      }
      switch user.standing(at: context.now) {
      case .active: return .user(user)
      case .locked: return .refused(Refusal(.locked, user: user.name))
      case .expired: return .refused(Refusal(.expired, user: user.name))
      }
    }
  }

  /// Whether the certificate is another user's than who has proved himself otherwise: then nobody is believed. A ticket is made to be
  /// handed on.
  func contradicts(_ context: RequestContext, _ user: User, _ credential: Credential) -> Bool {
    guard let shown = context.certificate, case .user(let name) = shown.owner, name != user.name else { return false }
    if case .token(let token) = credential, case .ticket = token.kind { return false }
    return true
  }
}

extension RequestContext {
  /// The certificate, where it counts.
  var good: PeerCertificate? { holder.counts ? certificate?.certificate : nil }
}
