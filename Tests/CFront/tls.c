#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CFront.h"

struct front_tls {
  SSL_CTX *context;
  SSL *ssl;
  const char *protocol;
};

front_tls *front_tls_new(int socket, const char *authority, const char *protocol) {
  // OpenSSL writes without MSG_NOSIGNAL.
  signal(SIGPIPE, SIG_IGN);
  front_tls *tls = calloc(1, sizeof *tls);
  unsigned char list[32];
  size_t length = strlen(protocol);
  if (tls == NULL || length > sizeof list - 1) return NULL;
  list[0] = (unsigned char)length;
  memcpy(list + 1, protocol, length);
  tls->protocol = strdup(protocol);
  tls->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
  // A write that could not be made is tried again from wherever the bytes are then.
  SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_load_verify_locations(tls->context, authority, NULL) == 1) tls->ssl = SSL_new(tls->context);
  if (tls->ssl == NULL || SSL_set_alpn_protos(tls->ssl, list, (unsigned)length + 1) != 0 || SSL_set_fd(tls->ssl, socket) != 1 ||
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), "127.0.0.1") != 1) {
    front_tls_free(tls);
    return NULL;
  }
  SSL_set_tlsext_host_name(tls->ssl, "legacy.test");
  SSL_set_connect_state(tls->ssl);
  return tls;
}

void front_tls_free(front_tls *tls) {
  SSL_free(tls->ssl);
  SSL_CTX_free(tls->context);
  free((char *)tls->protocol);
  free(tls);
  ERR_clear_error();
}

static int judge(front_tls *tls, int result) {
  int error = SSL_get_error(tls->ssl, result);
  // The thread's queue is looked at again by whoever comes next.
  ERR_clear_error();
  switch (error) {
  case SSL_ERROR_WANT_READ: return FRONT_READ;
  case SSL_ERROR_WANT_WRITE: return FRONT_WRITE;
  case SSL_ERROR_ZERO_RETURN: return FRONT_END;
  default: return FRONT_LOST;
  }
}

int front_tls_handshake(front_tls *tls) {
  ERR_clear_error();
  int result = SSL_do_handshake(tls->ssl);
  if (result == 1) {
    const unsigned char *chosen = NULL;
    unsigned length = 0;
    SSL_get0_alpn_selected(tls->ssl, &chosen, &length);
    return length == strlen(tls->protocol) && memcmp(chosen, tls->protocol, length) == 0 ? 1 : FRONT_REFUSED;
  }
  if (SSL_get_verify_result(tls->ssl) != X509_V_OK) return FRONT_REFUSED;
  int judged = judge(tls, result);
  return judged == FRONT_END ? FRONT_LOST : judged;
}

ssize_t front_tls_read(front_tls *tls, void *bytes, size_t count) {
  ERR_clear_error();
  int result = SSL_read(tls->ssl, bytes, count > 1 << 30 ? 1 << 30 : (int)count);
  return result > 0 ? result : judge(tls, result);
}

ssize_t front_tls_peek(front_tls *tls) {
  char byte;
  ERR_clear_error();
  int result = SSL_peek(tls->ssl, &byte, 1);
  return result > 0 ? result : judge(tls, result);
}

ssize_t front_tls_write(front_tls *tls, const void *bytes, size_t count) {
  if (count == 0) return 0;
  ERR_clear_error();
  int result = SSL_write(tls->ssl, bytes, count > 1 << 30 ? 1 << 30 : (int)count);
  if (result > 0) return result;
  int judged = judge(tls, result);
  return judged == FRONT_END ? FRONT_LOST : judged;
}

void front_tls_end(front_tls *tls) {
  if (SSL_is_init_finished(tls->ssl)) SSL_shutdown(tls->ssl);
  ERR_clear_error();
}

void front_websocket_accept(const char *key, char *accept) {
  unsigned char text[128], digest[SHA_DIGEST_LENGTH];
  int length = snprintf((char *)text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  if (length < 0 || (size_t)length >= sizeof text) length = 0;
  SHA1(text, (size_t)length, digest);
  EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}
