// A certificate for www.example.com and *.example.com with its key, and what its authority says of it: all good for a hundred years, and used nowhere.

import FoundationEssentials

enum SampleCertificate {
  static let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBtjCCAVygAwIBAgIURIlv3i3S1y4DzV+vD6Q1AZai0bcwCgYIKoZIzj0EAwIw
    GjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMCAXDTI2MTEyMjA5NDY0OFoYDzIx
    MjYxMDI5MDk0NjQ4WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wWTATBgcq
    hkjOPQIBBggqhkjOPQMBBwNCAASI+rCyHliq5hEdrPWzls8f2APPJzTmMFhCaa1x
    oJbQrkzOnvZs2CnNwJ0uD+AYxh1FvZ2dvKjY03yL9POoigMio34wfDAdBgNVHQ4E
    FgQU7M6Yh1XHAerxgifB623P1RDqVSswHwYDVR0jBBgwFoAU7M6Yh1XHAerxgifB
    623P1RDqVSswDwYDVR0TAQH/BAUwAwEB/zApBgNVHREEIjAggg93d3cuZXhhbXBs
    ZS5jb22CDSouZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDSAAwRQIgN/4sLaI0eYYE
    SpcUTuPWeiB5Kg5NoiQ8RfC5rzsMud4CIQDNNu5GaYcHktAtDO0SPdKvu6P5G+HC
    ScKqBVTr0Ir8kQ==
    -----END CERTIFICATE-----

    """
  static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglbalV1EN5vhMFFo7
    zGrrWxjTqhNcwkHkGd2Nhk87WLGhRANCAASI+rCyHliq5hEdrPWzls8f2APPJzTm
    MFhCaa1xoJbQrkzOnvZs2CnNwJ0uD+AYxh1FvZ2dvKjY03yL9POoigMi
    -----END PRIVATE KEY-----

    """
  /// That it has revoked nothing.
  static let revocations = """
    -----BEGIN X509 CRL-----
    MIG0MFsCAQEwCgYIKoZIzj0EAwIwGjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29t
    Fw0yNjExMjIxMDEzMzhaGA8yMTI2MTAyOTEwMTMzOFqgDjAMMAoGA1UdFAQDAgEB
    MAoGCCqGSM49BAMCA0kAMEYCIQCB997zvwkb9wduMm8Kwzm6LVs+nMpNlsx99+so
    P/iQPAIhANDhFlkoaeUjylK6Ds3O+1YYgFJzFbRv/vdVqkuAkc+H
    -----END X509 CRL-----

    """
  /// DER in Base64.
  private static let answer = """
    MIIBRAoBAKCCAT0wggE5BgkrBgEFBQcwAQEEggEqMIIBJjCBzaEcMBoxGDAWBgNVBAMMD3d3dy5leGFtcGxlLmNvbRgPMjAyNjExMjIwOTQ2NDlaMHcwdTBN\
    MAkGBSsOAwIaBQAEFKhmAw+TNmIBBxaoJ1S/dMxeOEJ5BBTszpiHVccB6vGCJ8Hrbc/VEOpVKwIURIlv3i3S1y4DzV+vD6Q1AZai0beAABgPMjAyNjExMjIw\
    OTQ2NDlaoBEYDzIxMjUwNjE2MDk0NjQ5WqEjMCEwHwYJKwYBBQUHMAECBBIEEAvrPDyeYWR3H647D8C/mMUwCgYIKoZIzj0EAwIDSAAwRQIhAMbhzK3drixK\
    dNDLtwtSn9ahT6V/mvY/ASInJtv3aKrAAiBfBVecFnNuRy8EW/ranqCnj92WGAZ4/8U6D3BU3ecWGw==
    """

  /// Writes them where the example of a configuration has them.
  static func write(to scratch: Scratch) throws {
    try scratch.write("tls/fullchain.pem", certificate)
    try scratch.write("tls/privkey.pem", key)
    try scratch.write("tls/clients.pem", certificate)
    try scratch.write("tls/clients.crl", revocations)
    let file = try scratch.write("tls/fullchain.ocsp", "")
    try (Data(base64Encoded: answer) ?? Data()).write(to: URL(fileURLWithPath: file))
  }
}
