// The exchange of a request that turns into a tunnel: what may lead there, and what leads away.

import HTTP
import Testing

@testable import Proxy

@Suite struct TunnelExchangeTests {
  private func waiting(_ framing: BodyFraming = .none) -> Exchange {
    var exchange = Exchange()
    let request = Exchange.Request(framing: framing, method: .get, version: .http11, isPersistent: true, expectsContinue: false)
    #expect(exchange.began(request, mayPersist: true) == .judge)
    #expect(exchange.granted(bodyLimit: nil) == .forward)
    return exchange
  }

  @Test func onlyAForwardedRequestThatIsWholeBecomesATunnel() {
    var exchange = waiting()
    #expect(exchange.upstreamSwitched() == .openTunnel)
    #expect(exchange.phase == .tunneling && exchange.status == 101)
    #expect(exchange.upstreamSwitched() == .none)
    var uploading = waiting(.length(3))
    #expect(uploading.upstreamSwitched() == .none)
    #expect(uploading.phase == .waiting)
    var idle = Exchange()
    #expect(idle.upstreamSwitched() == .none)
    var answered = waiting()
    _ = answered.upstreamAnswered(status: 200, length: 0)
    #expect(answered.upstreamSwitched() == .none)
  }

  @Test func nothingIsAnsweredInATunnel() {
    for (event, action): ((inout Exchange) -> Exchange.Action, Exchange.Action) in [
      ({ $0.tunnelEnded() }, .stop(.gone)), ({ $0.clientClosed() }, .stop(.gone)), ({ $0.clientTimedOut() }, .stop(.abort)),
      ({ $0.failed(status: 400) }, .stop(.abort)), ({ $0.upstreamFailed(status: 502) }, .none), ({ $0.refused(status: 401) }, .none),
      ({ $0.upstreamAnswered(status: 200, length: 3) }, .none), ({ $0.answered(status: 200) }, .none),
    ] {
      var exchange = waiting()
      _ = exchange.upstreamSwitched()
      #expect(event(&exchange) == action)
    }
  }
}
