// Messages from any thread to one loop. The only way in which threads talk on the data path.

internal import CLinux
internal import Synchronization

/// Messages in the order of posting, and a descriptor that is readable while some are undrained.
///
/// However many are posted before the loop wakes, the eventfd is written once. Not bounded here: who posts bounds the number
/// of messages under way (a pool by its queue, a reload by being one).
public final class Mailbox<Message: Sendable>: Sendable {
  private struct State {
    var messages: [Message] = []
    /// The eventfd was written (or is about to be) and nobody drained since.
    var signalled = false
  }

  private let state = Mutex(State())
  private let event: FileDescriptor

  public init() throws(NetError) {
    let raw = gh_eventfd_create()
    try NetError.check(raw, "create an eventfd")
    event = FileDescriptor(owning: raw)
  }

  /// To be polled for reading.
  public var descriptor: Int32 { event.raw }

  /// Leaves a message and wakes the loop. From any thread.
  public func post(_ message: Message) {
    let wakes = state.withLock { state in
      state.messages.append(message)
      defer { state.signalled = true }
      return !state.signalled
    }
    // Outside of the lock, so that the woken thread does not run into it. A drain in between takes the message and
    // is woken once for nothing.
    if wakes { _ = gh_eventfd_signal(event.raw) }
  }

  /// All messages so far, in order. For the one loop that polls the descriptor.
  public func drain() -> [Message] {
    var messages: [Message] = []
    drain(into: &messages)
    return messages
  }

  /// As `drain()`, replacing what `messages` held; its memory becomes the mailbox's, so that two arrays go round and neither is allocated
  /// anew.
  public func drain(into messages: inout [Message]) {
    // The event is cleared first: what is posted from here to the exchange finds `signalled` set, and is taken along.
    _ = gh_eventfd_clear(event.raw)
    messages.removeAll(keepingCapacity: true)
    state.withLock { state in
      state.signalled = false
      swap(&state.messages, &messages)
    }
  }
}
