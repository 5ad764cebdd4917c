// Private keys that signatures are made with: reading one from PEM, signing, and what of it may be published.
#ifndef GATEHOUSE_COPENSSL_SIGNING_H
#define GATEHOUSE_COPENSSL_SIGNING_H

// Instead of the library's own, which asks at the terminal.
static inline int gh_no_passphrase(char *buffer, int size, int writing, void *data) {
  (void)buffer, (void)size, (void)writing, (void)data;
  return -1;
}

// The first private key of a PEM text, or NULL where there is none or it is encrypted.
static inline EVP_PKEY *gh_private_key(const unsigned char *text, size_t size) {
  if (size > 1 << 20) return NULL;
  BIO *source = BIO_new_mem_buf(text, (int)size);
  EVP_PKEY *key = source == NULL ? NULL : PEM_read_bio_PrivateKey(source, NULL, gh_no_passphrase, NULL);
  BIO_free(source);
  ERR_clear_error();
  return key;
}

// The signature of `message` as JSON Web Signatures have it (RFC 7518 section 3.4: an ECDSA signature of P-256 is r and s, of 32 bytes each), or 0.
static inline size_t gh_sign(EVP_PKEY *key, const EVP_MD *digest, const unsigned char *message, size_t message_size, unsigned char *out, size_t room) {
  size_t size = room;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int good = context != NULL && EVP_DigestSignInit(context, NULL, digest, NULL, key) == 1 &&
             EVP_DigestSign(context, out, &size, message, message_size) == 1;
  EVP_MD_CTX_free(context);
  if (good && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
    const unsigned char *position = out;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &position, (long)size);
    good = pair != NULL && room >= 64 && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32) == 32 &&
           BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32) == 32;
    ECDSA_SIG_free(pair);
    size = 64;
  }
  ERR_clear_error();
  return good ? size : 0;
}

// A number of the public half, big-endian, in `width` bytes, or in as few as it has where that is 0. Answers how many; 0 when there is no such number.
// The names: EVP_PKEY-RSA(7), EVP_PKEY-EC(7).
static inline size_t gh_public_number(const EVP_PKEY *key, const char *name, unsigned char *out, size_t room, int width) {
  BIGNUM *number = NULL;
  int size = 0;
  if (EVP_PKEY_get_bn_param(key, name, &number) == 1) {
    int wanted = width > 0 ? width : BN_num_bytes(number);
    if ((size_t)wanted <= room) size = BN_bn2binpad(number, out, wanted);
  }
  BN_free(number);
  ERR_clear_error();
  return size > 0 ? (size_t)size : 0;
}

#endif
