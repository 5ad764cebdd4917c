// A fresh key and the certificate that it signs for itself: the calls of x509(7) that Swift can't make by itself (macros and variable
// arguments).
#ifndef GATEHOUSE_COPENSSL_SELFSIGNED_H
#define GATEHOUSE_COPENSSL_SELFSIGNED_H

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

static inline int gh_add_extension(X509 *certificate, int kind, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
  int added = extension != NULL && X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added;
}

// RFC 5280 section 4.1.2.2: positive, 20 bytes at most; no two alike, or browsers refuse the second.
static inline int gh_random_serial(X509 *certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return 0;
  bytes[0] = (bytes[0] & 0x7F) | 0x40;
  BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
  int done = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
  BN_free(number);
  return done;
}

// ECDSA on P-256. `names` are as in x509v3_config(5), `common` is the subject; `from` and `until` count seconds since 1970. Whether both were
// made; they are the caller's to free.
static inline int gh_self_signed(const char *names, const char *common, int64_t from, int64_t until, EVP_PKEY **key, X509 **certificate) {
  time_t begin = (time_t)from, end = (time_t)until;
  EVP_PKEY *made = EVP_EC_gen("P-256");
  X509 *signed_by_itself = X509_new();
  X509_NAME *subject = signed_by_itself == NULL ? NULL : X509_get_subject_name(signed_by_itself);
  int good = made != NULL && subject != NULL && X509_set_version(signed_by_itself, X509_VERSION_3) && gh_random_serial(signed_by_itself) &&
             X509_time_adj_ex(X509_getm_notBefore(signed_by_itself), 0, 0, &begin) != NULL &&
             X509_time_adj_ex(X509_getm_notAfter(signed_by_itself), 0, 0, &end) != NULL &&
             X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0) &&
             X509_set_issuer_name(signed_by_itself, subject) && X509_set_pubkey(signed_by_itself, made) &&
             gh_add_extension(signed_by_itself, NID_basic_constraints, "critical,CA:FALSE") &&
             gh_add_extension(signed_by_itself, NID_key_usage, "critical,digitalSignature") &&
             gh_add_extension(signed_by_itself, NID_ext_key_usage, "serverAuth") &&
             gh_add_extension(signed_by_itself, NID_subject_alt_name, names) && X509_sign(signed_by_itself, made, EVP_sha256()) > 0;
  if (!good) {
    EVP_PKEY_free(made);
    X509_free(signed_by_itself);
    return 0;
  }
  *key = made;
  *certificate = signed_by_itself;
  return 1;
}

#endif
