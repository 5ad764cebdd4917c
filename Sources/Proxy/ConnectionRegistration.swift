// Users who register and change their passwords: from a request that is whole to work for other threads, and from what those say to an answer.

import Auth
import HTTP
import Net
import Primitives

extension Connection {
  /// Makes a user, if the policy lets whoever asks.
  mutating func register(_ own: OwnRequest) {
    guard let options = snapshot.settings.registration, let rules = snapshot.passwords, let path = snapshot.settings.usersPath else {
      return
    }
    guard isJSON else {
      answer(.problem(415, "The content has to be application/json"))
      return
    }
    let invites: String? = if case .invite(let path) = options.policy { path } else { nil }
    let form: RegistrationForm
    do throws(FormFault) {
      form = try RegistrationForm(own.body, takesInvite: invites != nil)
    } catch {
      answer(.problem(400, error.detail))
      return
    }
    let name = form.name
    if let fault = RegistrationName.fault(name.span) {
      answer(.problem(400, fault))
      return
    }
    record.claimedUser = own.user == nil ? name : []
    if let fault = rules.fault(form.password.bytes, for: name.span) {
      answer(.problem(400, fault))
      return
    }
    if own.user == nil, let rate = options.rate, let seconds = worker.shared.registrations.take(client.networkKey, rate, now: worker.now) {
      var reply = OwnReply.problem(429, "Too many registrations from this address")
      reply.retryAfter = seconds
      answer(reply)
      return
    }
    // Nobody's yet, and let through by some rule, or made a member by the group file: not for the first who calls himself so.
    let users = worker.gatekeeper.users
    let isReserved = options.reserved.contains(name.map { ASCII.lowercased($0) }) || users.isMemberByGroupFile(name)
    // Who has no invitation learns of no name. With one, the clerk says it.
    if invites == nil, isReserved || users.user(named: name.span) != nil {
      answer(RegistrationReplies.taken)
      return
    }

    let location = options.path + [0x2F] + Endpoints.encoded(name)
    let (answerer, clerk, created, isLocked) = (answerer, worker.shared.clerk, worker.wallNow, options.policy == .approval)
    submit { isLate in
      if isLate { return answerer.tell(RegistrationReplies.busy) }
      if let invites, let code = form.invite {
        switch RegistrationReplies.invitation(code, in: invites) {
        case nil: if isReserved { return answerer.tell(RegistrationReplies.taken) }
        case let refusal?: return answerer.tell(refusal)
        }
      }
      guard let hash = rules.maker.make(form.password.bytes) else { return answerer.tell(RegistrationReplies.failed) }
      let edit = Clerk.Edit(
        change: UserChange(name, .add(hash: hash, isLocked: isLocked, created: created)), path: path,
        invite: invites.flatMap { path in form.invite.map { (path, $0) } }
      ) { outcome in
        answerer.tell(RegistrationReplies.registered(outcome, name, at: location))
      }
      if !clerk.submit(edit) { answerer.tell(RegistrationReplies.busy) }
    }
  }

  /// Changes the password of whoever asks, by the one that he has.
  mutating func changePassword(_ own: OwnRequest) {
    guard let rules = snapshot.passwords, let path = snapshot.settings.usersPath, let user = own.user, user.name == own.name else {
      answer(.problem(403, "This is for the user himself", reason: "not permitted"))
      return
    }
    // Who has found a token must not make himself the user for good.
    guard case .password = own.credential, let i = head.authorization, let stored = user.storedHash,
      let presented = PresentedPassword.read(head.bytes[head.fields[i].value])
    else {
      answer(.problem(403, "A password is changed with the password, not with a token", reason: "not by password"))
      return
    }
    guard isJSON else {
      answer(.problem(415, "The content has to be application/json"))
      return
    }
    let form: PasswordForm
    do throws(FormFault) {
      form = try PasswordForm(own.body)
    } catch {
      answer(.problem(400, error.detail))
      return
    }
    // The one that came with the request was checked, so that this tells nothing to anybody who does not have it.
    guard PresentedPassword.equal(presented, form.old.bytes) else {
      answer(.problem(403, "old is not the password", reason: "the old password is wrong"))
      return
    }
    let name = user.name
    if let fault = rules.fault(form.new.bytes, for: name.span) {
      answer(.problem(400, fault))
      return
    }
    if PresentedPassword.equal(form.old.bytes, form.new.bytes) {
      answer(.problem(400, "password is the one before"))
      return
    }
    let (answerer, clerk) = (answerer, worker.shared.clerk)
    submit { isLate in
      if isLate { return answerer.tell(RegistrationReplies.busy) }
      guard let hash = rules.maker.make(form.new.bytes) else { return answerer.tell(RegistrationReplies.failed) }
      let edit = Clerk.Edit(change: UserChange(name, .replaceHash(old: stored, new: hash)), path: path) { outcome in
        answerer.tell(RegistrationReplies.changed(outcome))
      }
      if !clerk.submit(edit) { answerer.tell(RegistrationReplies.busy) }
    }
  }

  /// Where the answer of this exchange goes, from any thread.
  var answerer: Answerer { Answerer(mailbox: worker.mailbox, connection: token, serial: serial) }

  private mutating func submit(_ work: @escaping HashMaker.Work) {
    if !worker.shared.maker.submit(address: client.networkKey, now: worker.now, work) { answer(RegistrationReplies.busy) }
  }

  /// Whether the content says that it is JSON: a page of another origin can't send that without being asked first (the Fetch standard's
  /// "simple" types), and so can't make users from inside a network.
  private var isJSON: Bool { MediaType.isJSON(head) }
}

/// Who waits for an answer that another thread makes.
struct Answerer: Sendable {
  let mailbox: Mailbox<WorkerMessage>
  let connection: SlotToken
  let serial: UInt64

  func tell(_ reply: OwnReply) {
    mailbox.post(.answered(connection, serial: serial, reply))
  }

  /// What the answer waited for is done, or could not be: it can be made.
  func goOn(isDone: Bool) {
    mailbox.post(.goOn(connection, serial: serial, isDone: isDone))
  }
}

/// What those who register are told.
enum RegistrationReplies {
  static let taken = OwnReply.problem(400, "username is taken")
  static let failed = OwnReply.problem(503, "This can't be stored now", reason: "the change could not be stored")

  static var busy: OwnReply {
    var reply = OwnReply.problem(503, "Too much is waiting, please try again later", reason: "too many changes are waiting")
    reply.retryAfter = 5
    return reply
  }

  /// Nothing was done, and whoever asks again is judged by what holds now.
  static var changed: OwnReply {
    var reply = OwnReply.problem(
      503, "Something has changed meanwhile, please try again", reason: "the configuration or the password has changed meanwhile")
    reply.retryAfter = 1
    return reply
  }

  private static let uninvited = OwnReply.problem(403, "invite is not valid", reason: "no such invitation")

  /// Why a code is worth nothing; nil when it is there now. Looks at the disk.
  static func invitation(_ code: [UInt8], in path: String) -> OwnReply? {
    do {
      return try InviteFile(path: path).holds(code) ? nil : uninvited
    } catch {
      return .problem(503, "This can't be stored now", reason: "invitations: \(error)")
    }
  }

  static func registered(_ outcome: Clerk.Outcome, _ name: [UInt8], at location: [UInt8]) -> OwnReply {
    switch outcome {
    case .done: OwnReply(201, [.init("Location", location)], .json(described(name)))
    case .taken: taken
    case .badInvite: uninvited
    case .changed, .failed: failed
    }
  }

  static func changed(_ outcome: Clerk.Outcome) -> OwnReply {
    switch outcome {
    case .done: OwnReply(204)
    case .changed, .taken: .problem(409, "The user was changed meanwhile, please try again", reason: "user changed meanwhile")
    case .badInvite, .failed: failed
    }
  }

  /// `{"username": "alice"}`
  static func described(_ name: [UInt8]) -> [UInt8] {
    var text = Array("{\"username\": ".utf8)
    JSON.append(quoted: name.span, to: &text)
    text.append(0x7D)
    return text
  }
}
