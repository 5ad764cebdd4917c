// A greeting's first stage: the header of the PROXY protocol.

extension Greeting {
  func takeProxyHeader() -> Progress { .done }
}
