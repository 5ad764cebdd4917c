// TLS of one connection on a non-blocking socket, and what of OpenSSL's TLS are macros. Answers are those of the C library's calls: a count, 0 for
// the end, or -errno, so that a stream in clear text and one under TLS are read and written alike.
#ifndef GATEHOUSE_COPENSSL_TLS_H
#define GATEHOUSE_COPENSSL_TLS_H

#include <errno.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

// The plaintext of one record (RFC 8446 section 5.1), and room for what comes around it.
#define GH_TLS_RECORD 16384
#define GH_TLS_OVERHEAD 512
// Records that are gathered for one send(2).
#define GH_TLS_GATHERED 4
// Records that are read at once: of one byte each they cost as much as full ones.
#define GH_TLS_RECORDS 256
// Records in a row that bring the service nothing (new keys, above all: RFC 8446 section 4.6.3), and how many more times keys may be changed than once
// for each so many bytes. OpenSSL goes on for as long as they come, and each costs as much as a small request.
#define GH_TLS_QUIET 64
#define GH_TLS_UPDATES 256
#define GH_TLS_UPDATE_BYTES 65536

typedef struct {
  SSL *ssl;
  int fd;
  // Why the connection is broken: an errno, or 0. Stays.
  int failure;
  // recv(2) has answered the end.
  int ended;
  // Whether a byte has come, and whether the first was a capital letter: HTTP in clear text, which no record of TLS begins like.
  int begun;
  int plain;
  // SSL_read may have more although the socket has not.
  int pending;
  // SSL_read is under way: what it writes is TLS's own.
  int reads;
  // What was read from the socket before TLS began.
  unsigned char *early;
  size_t early_count;
  size_t early_taken;
  // Records on their way: `held` bytes of plaintext, which are told as written when the last byte of this has been sent.
  unsigned char *out;
  size_t out_size;
  size_t out_count;
  size_t out_sent;
  size_t held;
  int gathers;
  // Since the handshake: records since the last byte for us, all bytes of the socket, and changes of the peer's keys.
  int is_up;
  unsigned quiet;
  unsigned long long received;
  unsigned long long updates;
} gh_tls;

// Of every record and message of TLS (SSL_CTX_set_msg_callback(3)).
static inline void gh_tls_observe(int written, int version, int type, const void *bytes, size_t count, SSL *ssl, void *owner) {
  gh_tls *tls = (gh_tls *)owner;
  (void)version;
  (void)ssl;
  if (written || !tls->is_up) return;
  if (type == SSL3_RT_HEADER) tls->quiet += 1;
  else if (type == SSL3_RT_HANDSHAKE && count > 0 && ((const unsigned char *)bytes)[0] == SSL3_MT_KEY_UPDATE) tls->updates += 1;
  else return;
  // What OpenSSL has already read it goes on with; then it gets nothing more.
  if (tls->quiet > GH_TLS_QUIET || tls->updates > GH_TLS_UPDATES + tls->received / GH_TLS_UPDATE_BYTES) tls->failure = EPROTO;
}

static inline ssize_t gh_tls_send(gh_tls *tls, const void *bytes, size_t count) {
  ssize_t n;
  // By syscall(2): no point where a thread may be cancelled, which would cost two atomic operations.
  do n = syscall(SYS_sendto, tls->fd, bytes, count, MSG_NOSIGNAL, NULL, 0);
  while (n < 0 && errno == EINTR);
  if (n >= 0) return n;
  if (errno != EAGAIN) tls->failure = errno;
  return -errno;
}

static inline int gh_tls_bio_read(BIO *bio, char *bytes, int count) {
  gh_tls *tls = (gh_tls *)BIO_get_data(bio);
  ssize_t n;
  BIO_clear_retry_flags(bio);
  if (tls->failure != 0) return -1;
  if (tls->early_taken < tls->early_count) {
    n = (ssize_t)(tls->early_count - tls->early_taken);
    if (n > count) n = count;
    memcpy(bytes, tls->early + tls->early_taken, (size_t)n);
    tls->early_taken += (size_t)n;
  } else {
    do n = syscall(SYS_recvfrom, tls->fd, bytes, (size_t)count, 0, NULL, NULL);
    while (n < 0 && errno == EINTR);
  }
  if (n > 0) {
    tls->received += (unsigned long long)n;
    if (!tls->begun) {
      tls->begun = 1;
      if (bytes[0] >= 'A' && bytes[0] <= 'Z') {
        tls->plain = 1;
        return -1;
      }
    }
    return (int)n;
  }
  if (n == 0) {
    tls->ended = 1;
  } else if (errno == EAGAIN) {
    BIO_set_retry_read(bio);
  } else {
    tls->failure = errno;
  }
  return (int)n;
}

// Into what is gathered. 0 when it can't grow.
static inline int gh_tls_keep(gh_tls *tls, const char *bytes, size_t count) {
  if (tls->out_size - tls->out_count < count) {
    size_t size = tls->out_count + count + GH_TLS_GATHERED * (GH_TLS_RECORD + GH_TLS_OVERHEAD);
    unsigned char *wider = (unsigned char *)realloc(tls->out, size);
    if (wider == NULL) return 0;
    tls->out = wider;
    tls->out_size = size;
  }
  memcpy(tls->out + tls->out_count, bytes, count);
  tls->out_count += count;
  return 1;
}

static inline int gh_tls_bio_write(BIO *bio, const char *bytes, int count) {
  gh_tls *tls = (gh_tls *)BIO_get_data(bio);
  ssize_t n;
  BIO_clear_retry_flags(bio);
  if (tls->gathers || tls->out_count > 0) {
    // What waits goes first. Beside records of ours that is a word of TLS now and then; much of it is not taken.
    if (!tls->gathers && tls->out_count > 2 * GH_TLS_GATHERED * (GH_TLS_RECORD + GH_TLS_OVERHEAD)) {
      // Who reads waits for bytes, and these have come: they would be told of for ever. Nobody who means well lets so many answers to new keys wait.
      if (tls->reads) tls->failure = EPROTO;
      else BIO_set_retry_write(bio);
      return -1;
    }
    if (gh_tls_keep(tls, bytes, (size_t)count)) return count;
    tls->failure = ENOMEM;
    return -1;
  }
  n = gh_tls_send(tls, bytes, (size_t)count);
  if (n == -EAGAIN) {
    // A word of TLS itself (a new key's, RFC 8446 section 4.6.3) goes out with what is written next: who reads waits for bytes, never for room.
    if (tls->reads && gh_tls_keep(tls, bytes, (size_t)count)) return count;
    BIO_set_retry_write(bio);
  }
  return n < 0 ? -1 : (int)n;
}

static inline long gh_tls_bio_control(BIO *bio, int command, long number, void *pointer) {
  (void)number;
  (void)pointer;
  if (command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP) return 1;
  return command == BIO_CTRL_EOF ? ((gh_tls *)BIO_get_data(bio))->ended : 0;
}

static inline int gh_tls_bio_create(BIO *bio) {
  BIO_set_init(bio, 1);
  return 1;
}

// Made once a process.
static inline BIO_METHOD *gh_tls_bio_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
  if (method != NULL) {
    BIO_meth_set_read(method, gh_tls_bio_read);
    BIO_meth_set_write(method, gh_tls_bio_write);
    BIO_meth_set_ctrl(method, gh_tls_bio_control);
    BIO_meth_set_create(method, gh_tls_bio_create);
  }
  return method;
}

static inline void gh_tls_free(gh_tls *tls) {
  if (tls == NULL) return;
  SSL_free(tls->ssl);
  free(tls->early);
  free(tls->out);
  free(tls);
}

// A session on `fd`, which stays the caller's. `early` is copied. NULL when there is no memory.
static inline gh_tls *gh_tls_create(SSL_CTX *context, BIO_METHOD *method, int fd, const void *early, size_t early_count) {
  gh_tls *tls = (gh_tls *)calloc(1, sizeof(gh_tls));
  BIO *bio = method == NULL ? NULL : BIO_new(method);
  if (tls != NULL) {
    tls->fd = fd;
    tls->ssl = SSL_new(context);
    if (early_count > 0) tls->early = (unsigned char *)malloc(early_count);
  }
  if (tls == NULL || bio == NULL || tls->ssl == NULL || (early_count > 0 && tls->early == NULL)) {
    BIO_free(bio);
    gh_tls_free(tls);
    return NULL;
  }
  if (early_count > 0) memcpy(tls->early, early, early_count);
  tls->early_count = early_count;
  BIO_set_data(bio, tls);
  SSL_set_bio(tls->ssl, bio, bio);
  SSL_set_msg_callback(tls->ssl, gh_tls_observe);
  SSL_set_msg_callback_arg(tls->ssl, tls);
  return tls;
}

// The error queue is a thread's, and who used OpenSSL before may have left something in it: SSL_get_error(3) would take that for ours. Looking is a tenth
// of clearing.
static inline void gh_tls_begin(void) {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// Notes what the connection is broken by. An end comes first: OpenSSL then tries to send an alert, which nobody takes.
static inline void gh_tls_fail(gh_tls *tls) {
  if (tls->ended) tls->failure = ECONNRESET;
  else if (tls->failure == 0) tls->failure = EPROTO;
}

// What an operation that did nothing came to: 0 for an orderly end, -EAGAIN, -ECONNRESET for an end without close_notify, -EPROTO for what is no TLS,
// or the socket's error.
static inline ssize_t gh_tls_outcome(gh_tls *tls, int result) {
  int error = SSL_get_error(tls->ssl, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return -EAGAIN;
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  gh_tls_fail(tls);
  return -tls->failure;
}

// One step of the handshake: 1 when it is done, -EAGAIN when it waits for bytes, -ENOBUFS when it waits for room, -EDOM for HTTP in clear text, -ECONNRESET
// for a client that went away, -EPROTO for what OpenSSL's error queue tells of, or the socket's error.
static inline int gh_tls_accept(gh_tls *tls) {
  if (tls->failure != 0) return -tls->failure;
  gh_tls_begin();
  int result = SSL_accept(tls->ssl);
  if (result == 1) {
    tls->is_up = 1;
    tls->pending = SSL_has_pending(tls->ssl) || tls->early_taken < tls->early_count;
    return 1;
  }
  if (tls->plain) {
    tls->failure = EDOM;
    return -EDOM;
  }
  int wants_room = SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_WRITE;
  ssize_t outcome = gh_tls_outcome(tls, result);
  if (outcome == -EAGAIN) return wants_room ? -ENOBUFS : -EAGAIN;
  return outcome == 0 ? -ECONNRESET : (int)outcome;
}

// Sends what is gathered. 1 when nothing is left of it, else -errno.
static inline ssize_t gh_tls_flush(gh_tls *tls) {
  while (tls->out_sent < tls->out_count) {
    ssize_t n = gh_tls_send(tls, tls->out + tls->out_sent, tls->out_count - tls->out_sent);
    if (n < 0) return n;
    tls->out_sent += (size_t)n;
  }
  // Not kept: what waits between two answers holds nothing.
  free(tls->out);
  tls->out = NULL;
  tls->out_size = tls->out_count = tls->out_sent = 0;
  return 1;
}

// Takes up to `count` bytes: as many records as have come, and not more than one recv(2) too many.
static inline ssize_t gh_tls_read(gh_tls *tls, void *bytes, size_t count) {
  size_t filled = 0;
  int records = 0;
  if (tls->failure != 0) return -tls->failure;
  // Once and for all: after the peer's last word nothing is read that somebody wrote behind it.
  if (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) {
    tls->pending = 0;
    return 0;
  }
  gh_tls_begin();
  while (filled < count) {
    size_t most = count - filled < 1 << 30 ? count - filled : 1 << 30;
    tls->reads = 1;
    int n = SSL_read(tls->ssl, (char *)bytes + filled, (int)most);
    tls->reads = 0;
    if (n > 0) {
      filled += (size_t)n;
      tls->quiet = 0;
      tls->pending = SSL_has_pending(tls->ssl) || tls->early_taken < tls->early_count;
      // After a large record more of them are likely.
      if ((tls->pending || n >= GH_TLS_RECORD / 2) && ++records < GH_TLS_RECORDS) continue;
      return (ssize_t)filled;
    }
    int error = SSL_get_error(tls->ssl, n);
    tls->pending = 0;
    if (filled == 0) {
      ssize_t outcome = gh_tls_outcome(tls, n);
      if (outcome != -EAGAIN) ERR_clear_error();
      return outcome;
    }
    if (error != SSL_ERROR_WANT_READ) {
      // An end, or an error: told by the next read, for which the socket need not be readable any more.
      tls->pending = 1;
      if (error != SSL_ERROR_ZERO_RETURN) {
        gh_tls_fail(tls);
        ERR_clear_error();
      }
    }
    break;
  }
  return (ssize_t)filled;
}

// Writes from `bytes`. What was not told as written must be offered again, at the front, as SSL_write(3) wants it.
static inline ssize_t gh_tls_write(gh_tls *tls, const void *bytes, size_t count) {
  const char *start = (const char *)bytes;
  size_t done = 0;
  if (tls->failure != 0) return -tls->failure;
  if (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) return -EPIPE;
  if (tls->out_count > 0) {
    ssize_t n = gh_tls_flush(tls);
    if (n < 0) return n;
    if (tls->held > count) {
      tls->failure = EINVAL;
      return -EINVAL;
    }
    done = tls->held;
    tls->held = 0;
  }
  gh_tls_begin();
  while (done < count) {
    size_t most = count - done;
    int gathers = most > GH_TLS_RECORD;
    if (most > GH_TLS_GATHERED * GH_TLS_RECORD) most = GH_TLS_GATHERED * GH_TLS_RECORD;
    tls->gathers = gathers;
    size_t taken = 0;
    int n = 1;
    while (taken < most) {
      n = SSL_write(tls->ssl, start + done + taken, (int)(most - taken));
      if (n <= 0) break;
      taken += (size_t)n;
    }
    tls->gathers = 0;
    if (tls->out_count > 0) {
      ssize_t sent = gh_tls_flush(tls);
      if (sent < 0) {
        tls->held = taken;
        return done > 0 ? (ssize_t)done : sent;
      }
    }
    done += taken;
    if (n <= 0) {
      // It waits for room alone: for bytes it would wait only in the middle of a renegotiation, and there is none.
      ssize_t outcome = gh_tls_outcome(tls, n);
      if (outcome != -EAGAIN) ERR_clear_error();
      return done > 0 ? (ssize_t)done : outcome;
    }
  }
  return (ssize_t)done;
}

// Says that nothing more follows, if the socket has room for it.
static inline void gh_tls_close_notify(gh_tls *tls) {
  // OpenSSL refuses to end what has not begun.
  if (tls->failure != 0 || !SSL_is_init_finished(tls->ssl)) return;
  gh_tls_begin();
  if (SSL_shutdown(tls->ssl) < 0) ERR_clear_error();
  if (tls->out_count > 0) gh_tls_flush(tls);
}

// MARK: Macros of ssl.h

static inline int gh_tls_set_versions(SSL_CTX *context, int least, int most) {
  return SSL_CTX_set_min_proto_version(context, least) && SSL_CTX_set_max_proto_version(context, most);
}
static inline int gh_tls_set_groups(SSL_CTX *context, const char *list) { return (int)SSL_CTX_set1_groups_list(context, list); }
static inline void gh_tls_set_mode(SSL_CTX *context) {
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS |
                                // The chain is what the file holds; OpenSSL would look for one at each handshake.
                                SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context, 1);
}
static inline void gh_tls_set_options(SSL_CTX *context, int prefers_ours, int tickets) {
  uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET;
  SSL_CTX_clear_options(context, options);
  options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION;
  if (prefers_ours) options |= SSL_OP_CIPHER_SERVER_PREFERENCE;
  if (!tickets) options |= SSL_OP_NO_TICKET;
  SSL_CTX_set_options(context, options);
}
static inline void gh_tls_set_dh_auto(SSL_CTX *context) { SSL_CTX_set_dh_auto(context, 1); }
static inline void gh_tls_set_names_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *)) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline void gh_tls_set_status_callback(SSL_CTX *context, int (*callback)(SSL *, void *)) {
  SSL_CTX_set_tlsext_status_cb(context, callback);
}
// Takes a copy of `bytes`.
static inline int gh_tls_staple(SSL *ssl, const unsigned char *bytes, size_t count) {
  unsigned char *copy = (unsigned char *)OPENSSL_memdup(bytes, count);
  if (copy == NULL) return 0;
  if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)count)) return 1;
  OPENSSL_free(copy);
  return 0;
}
static inline int gh_tls_is_resumed(SSL *ssl) { return SSL_session_reused(ssl); }

// Readies a ticket's cipher and MAC: AES-256-CBC and HMAC-SHA256, as SSL_CTX_set_tlsext_ticket_key_evp_cb(3) has it.
static inline int gh_tls_ticket(EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const unsigned char *cipher_key, const unsigned char *mac_key,
                                const unsigned char *iv, int encrypts) {
  OSSL_PARAM parameters[3] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)mac_key, 32),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, cipher_key, iv, encrypts) > 0 && EVP_MAC_CTX_set_params(mac, parameters) > 0;
}

// MARK: Certificates

// Seconds since 1970, or INT64_MIN.
static inline int64_t gh_time_of(const ASN1_TIME *time) {
  struct tm parts;
  return time != NULL && ASN1_TIME_to_tm(time, &parts) ? (int64_t)timegm(&parts) : INT64_MIN;
}
static inline int64_t gh_generalized_time_of(const ASN1_GENERALIZEDTIME *time) { return gh_time_of((const ASN1_TIME *)time); }

static inline void gh_append_name(BIO *out, const ASN1_STRING *name) {
  const unsigned char *bytes = ASN1_STRING_get0_data(name);
  int count = ASN1_STRING_length(name);
  for (int i = 0; i < count; i++) {
    if (bytes[i] <= ' ' || bytes[i] >= 0x7F) return;
  }
  BIO_write(out, bytes, count);
  BIO_write(out, "\n", 1);
}

// The names that a certificate is for, each followed by a line end: the DNS names of subjectAltName, or without any the subject's common names (RFC 6125
// section 6.4.4). To be freed with BIO_free. NULL when there is no memory.
static inline BIO *gh_certificate_names(X509 *certificate) {
  BIO *out = BIO_new(BIO_s_mem());
  if (out == NULL) return NULL;
  int found = 0;
  GENERAL_NAMES *names = (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    gh_append_name(out, name->d.dNSName);
    found = 1;
  }
  GENERAL_NAMES_free(names);
  X509_NAME *subject = X509_get_subject_name(certificate);
  for (int i = -1; !found && (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
    gh_append_name(out, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
  }
  return out;
}

// The subject (or issuer) on one line, as RFC 2253 writes it, in UTF-8.
static inline BIO *gh_certificate_party(X509 *certificate, int issuer) {
  BIO *out = BIO_new(BIO_s_mem());
  if (out != NULL) {
    X509_NAME *name = issuer ? X509_get_issuer_name(certificate) : X509_get_subject_name(certificate);
    X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  }
  return out;
}

static inline size_t gh_memory(BIO *bio, char **start) { return (size_t)BIO_get_mem_data(bio, start); }

// Whether reading PEM ended because nothing more of what was looked for is there, and not in the middle of it.
static inline int gh_pem_ended(unsigned long code) {
  return code == 0 || (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);
}

// Whether `issuer` has signed `certificate`, and may have.
static inline int gh_certificate_issued(X509 *issuer, X509 *certificate) {
  int good = X509_check_issued(issuer, certificate) == X509_V_OK && X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
  ERR_clear_error();
  return good;
}

// Whether who issued `certificate` is among the authorities of the system.
static inline int gh_certificate_issuer_known(X509 *certificate) {
  X509_STORE *store = X509_STORE_new();
  X509_STORE_CTX *context = X509_STORE_CTX_new();
  X509 *issuer = NULL;
  int known = store != NULL && context != NULL && X509_STORE_set_default_paths(store) && X509_STORE_CTX_init(context, store, certificate, NULL) &&
              X509_STORE_CTX_get1_issuer(&issuer, context, certificate) == 1;
  X509_free(issuer);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  ERR_clear_error();
  return known;
}

// Has connections of `context` present the `count` certificates at `chain`, the first of which is that of `key`. Beside it there may be others with keys
// of other kinds.
static inline int gh_tls_use(SSL_CTX *context, X509 **chain, int count, EVP_PKEY *key) {
  STACK_OF(X509) *rest = sk_X509_new_null();
  for (int i = 1; i < count && rest != NULL; i++) sk_X509_push(rest, chain[i]);
  int result = rest != NULL && SSL_CTX_use_cert_and_key(context, chain[0], key, rest, 1);
  sk_X509_free(rest);
  return result;
}

// MARK: OCSP

// What an answer says of a certificate, see gh_ocsp_read.
typedef struct {
  // V_OCSP_CERTSTATUS_GOOD, _REVOKED or _UNKNOWN.
  int status;
  // Seconds since 1970; INT64_MIN where there is none.
  int64_t this_update;
  int64_t next_update;
} gh_ocsp;

// Reads an OCSP response (DER). 1 when it speaks of `certificate`; 0 when it is none; -1 when the responder answered with an error; -2 when it is about others.
static inline int gh_ocsp_read(const unsigned char *bytes, size_t count, X509 *certificate, X509 *issuer, gh_ocsp *out) {
  const unsigned char *cursor = bytes;
  OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &cursor, (long)count);
  OCSP_BASICRESP *basic = NULL;
  int result = response == NULL || cursor != bytes + count ? 0 : -1;
  if (result == -1 && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    basic = OCSP_response_get1_basic(response);
    result = basic == NULL ? 0 : -2;
  }
  for (int i = 0; basic != NULL && i < OCSP_resp_count(basic) && result != 1; i++) {
    OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
    OCSP_CERTID *named = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single);
    ASN1_OBJECT *digest = NULL;
    ASN1_INTEGER *serial = NULL;
    if (!OCSP_id_get0_info(NULL, &digest, NULL, &serial, named)) continue;
    if (issuer == NULL) {
      if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) != 0) continue;
    } else {
      OCSP_CERTID *ours = OCSP_cert_to_id(EVP_get_digestbyobj(digest), certificate, issuer);
      int same = ours != NULL && OCSP_id_cmp(ours, named) == 0;
      OCSP_CERTID_free(ours);
      if (!same) continue;
    }
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    out->status = OCSP_single_get0_status(single, NULL, NULL, &from, &until);
    out->this_update = gh_generalized_time_of(from);
    out->next_update = gh_generalized_time_of(until);
    result = 1;
  }
  OCSP_BASICRESP_free(basic);
  OCSP_RESPONSE_free(response);
  ERR_clear_error();
  return result;
}

#endif
