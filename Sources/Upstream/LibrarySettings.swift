// Settings that libraries of libcurl's read by themselves, and are not to: an upstream is what proxy.conf says of it. libcurl's own are options
// (`CurlOptions`, `CurlFileOptions`).

internal import Glibc

public enum LibrarySettings {
  /// Keeps libldap from its own (ldap.conf(5)): `ldap.conf`, `.ldaprc` at home, `ldaprc` in the folder that we were started in, and all variables that begin with
  /// LDAP. With them somebody else says, for one, whether a search goes where an alias leads, out of the base that the operator named. Certificates were never
  /// theirs to judge: libcurl speaks TLS itself.
  ///
  /// To be called once, before there are threads: setenv(3) knows no others.
  public static func ignore() {
    _ = unsafe setenv("LDAPNOINIT", "1", 1)
  }
}
