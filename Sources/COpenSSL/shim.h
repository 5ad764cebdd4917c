// Typed doors to the parts of OpenSSL that Swift can't import by itself (macros) or that cost too much the modern way
// (EVP fetches an algorithm by name on each use; the low-level calls hash a credential in a third of a microsecond).
#ifndef GATEHOUSE_COPENSSL_SHIM_H
#define GATEHOUSE_COPENSSL_SHIM_H

#define OPENSSL_SUPPRESS_DEPRECATED 1
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md4.h>
#include <openssl/md5.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <string.h>

#include "memory.h"
#include "selfsigned.h"

// EVP_PKEY_fromdata(3) with parameters that are freed afterwards; NULL when they make no key.
static inline EVP_PKEY *gh_public_key(const char *type, OSSL_PARAM_BLD *builder) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (parameters == NULL || context == NULL || EVP_PKEY_fromdata_init(context) <= 0 ||
      EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) <= 0) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(parameters);
  return key;
}

// Whether two runs of `size` bytes are the same, in a time that depends on `size` alone. CRYPTO_memcmp(3) goes byte by byte through volatile
// pointers; this goes by words, and the empty assembly keeps the compiler from knowing anything about what is gathered, and so from ending early.
static inline int gh_equal(const void *a, const void *b, size_t size) {
  const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
  uint64_t difference = 0;
  for (; size >= 8; x += 8, y += 8, size -= 8) {
    uint64_t left, right;
    memcpy(&left, x, 8);
    memcpy(&right, y, 8);
    difference |= left ^ right;
    __asm__ volatile("" : "+r"(difference));
  }
  for (; size > 0; x++, y++, size--) {
    difference |= (uint64_t)(*x ^ *y);
    __asm__ volatile("" : "+r"(difference));
  }
  return difference == 0;
}

// A public key of RSA from its modulus and exponent, both big-endian.
static inline EVP_PKEY *gh_rsa_public_key(const unsigned char *n, size_t n_size, const unsigned char *e, size_t e_size) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  BIGNUM *modulus = BN_bin2bn(n, (int)n_size, NULL);
  BIGNUM *exponent = BN_bin2bn(e, (int)e_size, NULL);
  if (builder != NULL && modulus != NULL && exponent != NULL &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent)) {
    key = gh_public_key("RSA", builder);
  }
  OSSL_PARAM_BLD_free(builder);
  BN_free(modulus);
  BN_free(exponent);
  return key;
}

// A public key of the named curve from an encoded point (SEC 1 section 2.3.3). A point that is not on the curve makes none.
static inline EVP_PKEY *gh_ec_public_key(const char *curve, const unsigned char *point, size_t point_size) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  if (builder != NULL && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) &&
      OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, point_size)) {
    key = gh_public_key("EC", builder);
  }
  OSSL_PARAM_BLD_free(builder);
  return key;
}

// The public exponent of an RSA key, or 0 when it has more than 64 bits.
static inline uint64_t gh_rsa_exponent(const EVP_PKEY *key) {
  BIGNUM *exponent = NULL;
  uint64_t value = 0;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) && BN_num_bits(exponent) <= 64) {
    unsigned char bytes[8];
    if (BN_bn2binpad(exponent, bytes, 8) == 8) {
      for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
    }
  }
  BN_free(exponent);
  return value;
}

// Whether `signature` is good. `salt` is the length of a PSS salt, or -1 for any other padding or kind of key.
static inline int gh_verify(EVP_PKEY *key, const EVP_MD *digest, int salt, const unsigned char *signature, size_t signature_size,
                            const unsigned char *message, size_t message_size) {
  EVP_PKEY_CTX *parameters = NULL;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int good = context != NULL && EVP_DigestVerifyInit(context, &parameters, digest, NULL, key) == 1;
  if (good && salt >= 0) {
    good = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(parameters, digest) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt) > 0;
  }
  good = good && EVP_DigestVerify(context, signature, signature_size, message, message_size) == 1;
  EVP_MD_CTX_free(context);
  // A wrong signature leaves its reasons in the thread's error queue, for whoever looks there next.
  ERR_clear_error();
  return good;
}

#include "tls.h"
#include "clientcert.h"
#include "signing.h"

#endif
