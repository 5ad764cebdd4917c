// Whether somebody who has proved who he is may do what he asks for: the last question, and the same one asked in advance (`gatehouse check
// --as`), without a right that could come of it.

internal import HTTP
internal import Primitives

extension Gatekeeper {
  /// Why an authenticated user is not let through; nil when he is. To anybody else, the answer would tell who may.
  func objection(
    to user: User, _ credential: Credential, _ method: Span<UInt8>, _ path: Span<UInt8>, _ requirement: Requirement,
    _ context: RequestContext
  ) -> Refusal? {
    if context.judgesScope, let scope = credential.scope, !scope.covers(method: method, path: path) {
      return Refusal(.outOfScope, user: user.name)
    }
    return requirement.permits(user, by: credential, from: context.client, showing: context.good) ? nil : Refusal(.notPermitted, user: user.name)
  }

  /// What would be decided if somebody proved himself so.
  public struct Rehearsed: Sendable {
    /// Why not, or nil when he would be let through.
    public var refusal: Refusal?
    /// By which line of the requirement, or what the lines lack. Empty where it did not come to that.
    public var sources: [Requirement.Source]
  }

  /// - Parameters:
  ///   - name: the user's, or nil for somebody without credentials.
  ///   - scopeWords: of the token that he would bring; nil for a password.
  public func rehearse(
    _ name: [UInt8]?, scopeWords: [[UInt8]]?, method: Span<UInt8>, path: Span<UInt8>, _ requirement: Requirement, _ context: RequestContext
  ) -> Rehearsed {
    guard let name else {
      let reasons = requirement.reasons(.nobody, from: context.client)
      return Rehearsed(refusal: reasons.isMet ? nil : Refusal(.noCredentials), sources: reasons.sources)
    }
    if !requirement.asksWho && requirement.permitsNobody(from: context.client) {
      return Rehearsed(refusal: nil, sources: requirement.reasons(.nobody, from: context.client).sources)
    }
    guard let user = users.user(named: name.span) else { return Rehearsed(refusal: Refusal(.unknownUser, user: name), sources: []) }
    switch user.standing(at: context.now) {
    case .active: break
    case .locked: return Rehearsed(refusal: Refusal(.locked, user: name), sources: [])
    case .expired: return Rehearsed(refusal: Refusal(.expired, user: name), sources: [])
    }
    let credential = scopeWords.map { words in
      Credential.token(
        VerifiedToken(
          kind: .foreign, user: user, identifier: [], issued: context.now, expires: context.now, firstLogin: context.now, scopeWords: words)
      )
    }
    let refusal = objection(to: user, credential ?? .password, method, path, requirement, context)
    return Rehearsed(refusal: refusal, sources: requirement.reasons(.user(user, credential ?? .password), from: context.client).sources)
  }
}
