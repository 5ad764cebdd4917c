// libFuzzer's entry. What has to hold stands in Properties.swift, which is the tests' own file.

/// Called by libFuzzer with each input. A property that doesn't hold is a crash, as a trap in the parsers is.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
  if let found = violation(input) { fatalError(found) }
  return 0
}
