// Certificates of clients: how they are verified, and taken apart without trusting what is in them.
#ifndef GATEHOUSE_COPENSSL_CLIENTCERT_H
#define GATEHOUSE_COPENSSL_CLIENTCERT_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// The authority that we trust without further proof needs no list of revocations by which it would itself be found good: one that is not the root can't have
// one, and a root that was revoked would not say so. Everything beneath it does.
static inline int gh_client_verify(int good, X509_STORE_CTX *context) {
  if (good || X509_STORE_CTX_get_error(context) != X509_V_ERR_UNABLE_TO_GET_CRL) return good;
  if (X509_STORE_CTX_get_error_depth(context) != sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1) return 0;
  if (X509_STORE_CTX_get_error_depth(context) == 0) return 0;
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

// Has clients asked for certificates that `store` verifies, of authorities called as the `count` at `authorities`.
static inline int gh_client_ask(SSL_CTX *context, X509_STORE *store, X509 **authorities, int count, int depth, int required) {
  STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
  if (names == NULL) return 0;
  for (int i = 0; i < count; i++) {
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(authorities[i]));
    if (name == NULL || !sk_X509_NAME_push(names, name)) {
      X509_NAME_free(name);
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      return 0;
    }
  }
  SSL_CTX_set0_CA_list(context, names);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), gh_client_verify);
  SSL_CTX_set_verify_depth(context, depth);
  return (int)SSL_CTX_set1_verify_cert_store(context, store);
}

static inline unsigned long gh_store_flags(int revocations) {
  return X509_V_FLAG_PARTIAL_CHAIN | (revocations ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL : 0);
}

// Whether the certificate may sign others.
static inline int gh_certificate_is_authority(X509 *certificate) {
  int result = X509_check_ca(certificate) != 0;
  ERR_clear_error();
  return result;
}

// Whether `revocations` is a list of `authority`'s, signed by it.
static inline int gh_revocations_by(X509_CRL *revocations, X509 *authority) {
  int result = X509_NAME_cmp(X509_CRL_get_issuer(revocations), X509_get_subject_name(authority)) == 0 &&
               X509_CRL_verify(revocations, X509_get0_pubkey(authority)) == 1;
  ERR_clear_error();
  return result;
}

// MARK: Taking apart

// One value: its kind, its length in 4 bytes (the highest first), its bytes as they are.
static inline int gh_append_value(BIO *out, char kind, const void *bytes, int count) {
  if (count < 0) return 0;
  unsigned char head[5] = {(unsigned char)kind, (unsigned char)(count >> 24), (unsigned char)(count >> 16), (unsigned char)(count >> 8),
                           (unsigned char)count};
  return BIO_write(out, head, 5) == 5 && (count == 0 || BIO_write(out, bytes, count) == count);
}

static inline int gh_append_alternatives(BIO *out, X509 *certificate) {
  int found = 0;
  GENERAL_NAMES *names = (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, NULL);
  // -1 is none; there are several, or one that can't be read, otherwise.
  if (names == NULL) return found == -1;
  int good = 1;
  for (int i = 0; good && i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    const ASN1_IA5STRING *text = NULL;
    char kind = 0;
    if (name->type == GEN_EMAIL) {
      kind = 'e';
      text = name->d.rfc822Name;
    } else if (name->type == GEN_DNS) {
      kind = 'd';
      text = name->d.dNSName;
    } else if (name->type == GEN_URI) {
      kind = 'u';
      text = name->d.uniformResourceIdentifier;
    }
    if (text != NULL) good = gh_append_value(out, kind, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
  }
  GENERAL_NAMES_free(names);
  return good;
}

static inline int gh_append_subject(BIO *out, X509 *certificate) {
  X509_NAME *subject = X509_get_subject_name(certificate);
  BIO *text = BIO_new(BIO_s_mem());
  char *start = NULL;
  int good = text != NULL && X509_NAME_print_ex(text, subject, 0, XN_FLAG_RFC2253) >= 0;
  if (good) {
    long count = BIO_get_mem_data(text, &start);
    good = count >= 0 && count <= 1 << 20 && gh_append_value(out, 's', start, (int)count);
  }
  BIO_free(text);
  for (int i = -1; good && (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
    unsigned char *utf8 = NULL;
    int count = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
    good = count >= 0 && gh_append_value(out, 'c', utf8, count);
    OPENSSL_free(utf8);
  }
  return good;
}

// Everything that is asked of a certificate, as values of kinds s(ubject), c(ommon name, UTF-8), e(mail), d(ns), u(ri), n(umber), f(ingerprint). To be freed
// with BIO_free. NULL when some part can't be read.
static inline BIO *gh_certificate_values(X509 *certificate) {
  BIO *out = BIO_new(BIO_s_mem());
  if (out == NULL) return NULL;
  BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
  char *digits = number != NULL ? BN_bn2hex(number) : NULL;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_count = 0;
  int good = digits != NULL && gh_append_value(out, 'n', digits, (int)strlen(digits)) &&
             X509_digest(certificate, EVP_sha256(), digest, &digest_count) && gh_append_value(out, 'f', digest, (int)digest_count) &&
             gh_append_subject(out, certificate) && gh_append_alternatives(out, certificate);
  OPENSSL_free(digits);
  BN_free(number);
  ERR_clear_error();
  if (good) return out;
  BIO_free(out);
  return NULL;
}

#endif
