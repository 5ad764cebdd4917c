// Argon2 (RFC 9106) by libargon2: i, d and id, in the versions 1.0 and 1.3.

internal import CArgon2
internal import Primitives

enum Argon2 {
  struct Parameters: Hashable {
    /// KiB.
    var memory: UInt32
    var passes: UInt32
    /// At most 2^24 - 1.
    var lanes: UInt32
    /// 0x10 (1.0) or 0x13 (1.3).
    var version: UInt8
    /// Bytes, at most `DerivedKey.longest`.
    var digestLength: UInt8

    init(memory: UInt32, passes: UInt32, lanes: UInt32, version: UInt8 = 0x13, digestLength: UInt8 = 32) {
      self.memory = memory
      self.passes = passes
      self.lanes = lanes
      self.version = version
      self.digestLength = digestLength
    }

    init(packed: UInt128) {
      digestLength = UInt8(truncatingIfNeeded: packed)
      version = UInt8(truncatingIfNeeded: packed >> 8)
      lanes = UInt32(truncatingIfNeeded: packed >> 16)
      passes = UInt32(truncatingIfNeeded: packed >> 48)
      memory = UInt32(truncatingIfNeeded: packed >> 80)
    }

    var packed: UInt128 {
      UInt128(memory) << 80 | UInt128(passes) << 48 | UInt128(lanes) << 16 | UInt128(version) << 8 | UInt128(digestLength)
    }

    var label: String {
      "m=\(memory),t=\(passes),p=\(lanes)" + (version == 0x13 ? "" : ",v=\(version)") + (digestLength == 32 ? "" : ",l=\(digestLength)")
    }
  }

  /// Lends the digest to `body`, and nothing when there is none (no memory, or parameters that libargon2 refuses).
  ///
  /// The lanes are filled one after another by the calling thread: a login takes one core, whatever its hash says.
  static func withDigest<R>(
    _ kind: PasswordHash.Kind, _ parameters: Parameters, _ password: Span<UInt8>, salt: Span<UInt8>, secret: [UInt8] = [],
    associated: [UInt8] = [], _ body: (Span<UInt8>) -> R
  ) -> R {
    let type = kind == .argon2id ? Argon2_id : kind == .argon2i ? Argon2_i : Argon2_d
    return unsafe DerivedKey.with(length: Int(parameters.digestLength)) { out in
      unsafe password.withUnsafeBufferPointer { password in
        unsafe salt.withUnsafeBufferPointer { salt in
          unsafe secret.withUnsafeBufferPointer { secret in
            unsafe associated.withUnsafeBufferPointer { associated in
              var context = unsafe argon2_context()
              unsafe context.out = out
              unsafe context.outlen = UInt32(parameters.digestLength)
              // Not written to: the flags that would clear password and secret are not set.
              unsafe context.pwd = UnsafeMutablePointer(mutating: password.baseAddress)
              unsafe context.pwdlen = UInt32(password.count)
              unsafe context.salt = UnsafeMutablePointer(mutating: salt.baseAddress)
              unsafe context.saltlen = UInt32(salt.count)
              unsafe context.secret = UnsafeMutablePointer(mutating: secret.baseAddress)
              unsafe context.secretlen = UInt32(secret.count)
              unsafe context.ad = UnsafeMutablePointer(mutating: associated.baseAddress)
              unsafe context.adlen = UInt32(associated.count)
              unsafe context.t_cost = parameters.passes
              unsafe context.m_cost = parameters.memory
              unsafe context.lanes = parameters.lanes
              unsafe context.threads = 1
              unsafe context.version = UInt32(parameters.version)
              return unsafe argon2_ctx(&context, type) == Int32(ARGON2_OK.rawValue)
            }
          }
        }
      }
    } then: {
      body($0)
    }
  }
}
