// libcurl's setopt, getinfo and multi_setopt are variadic and can't be imported by Swift: one typed wrapper per argument type.
#ifndef GATEHOUSE_CCURL_SHIM_H
#define GATEHOUSE_CCURL_SHIM_H

#include <arpa/inet.h>
#include <curl/curl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

// The type-checking macros of curl.h would expand inside these wrappers and refuse a variable option.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

typedef size_t (*gh_data_callback)(char *, size_t, size_t, void *);
typedef int (*gh_seek_callback)(void *, curl_off_t, int);
typedef int (*gh_prereq_callback)(void *, char *, char *, int, int);
// Larger than its type says, when it is of IPv6 (curl_sockaddr(3)): not to be copied.
static inline const void *gh_sockaddr(const struct curl_sockaddr *address) { return &address->addr; }
typedef curl_socket_t (*gh_opensocket_callback)(void *, curlsocktype, struct curl_sockaddr *);
typedef int (*gh_sockopt_callback)(void *, curl_socket_t, curlsocktype);
typedef int (*gh_closesocket_callback)(void *, curl_socket_t);
typedef int (*gh_progress_callback)(void *, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
typedef int (*gh_trailer_callback)(struct curl_slist **, void *);
typedef int (*gh_socket_callback)(CURL *, curl_socket_t, int, void *, void *);
typedef int (*gh_timer_callback)(CURLM *, long, void *);

static inline CURLcode gh_easy_set_long(CURL *e, CURLoption o, long v) { return curl_easy_setopt(e, o, v); }
static inline CURLcode gh_easy_set_offset(CURL *e, CURLoption o, curl_off_t v) { return curl_easy_setopt(e, o, v); }
static inline CURLcode gh_easy_set_string(CURL *e, CURLoption o, const char *v) { return curl_easy_setopt(e, o, v); }
static inline CURLcode gh_easy_set_pointer(CURL *e, CURLoption o, void *v) { return curl_easy_setopt(e, o, v); }
static inline CURLcode gh_easy_set_list(CURL *e, CURLoption o, struct curl_slist *v) { return curl_easy_setopt(e, o, v); }
static inline CURLcode gh_easy_set_data(CURL *e, CURLoption o, gh_data_callback v) { return curl_easy_setopt(e, o, v); }
static inline CURLcode gh_easy_set_seek(CURL *e, gh_seek_callback v) { return curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, v); }
static inline CURLcode gh_easy_set_prereq(CURL *e, gh_prereq_callback v) { return curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, v); }
static inline CURLcode gh_easy_set_opensocket(CURL *e, gh_opensocket_callback v) { return curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, v); }
static inline CURLcode gh_easy_set_sockopt(CURL *e, gh_sockopt_callback v) { return curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, v); }
static inline CURLcode gh_easy_set_closesocket(CURL *e, gh_closesocket_callback v) { return curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, v); }
static inline CURLcode gh_easy_set_progress(CURL *e, gh_progress_callback v) { return curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, v); }
static inline CURLcode gh_easy_set_trailer(CURL *e, gh_trailer_callback v) { return curl_easy_setopt(e, CURLOPT_TRAILERFUNCTION, v); }

static inline CURLcode gh_easy_get_long(CURL *e, CURLINFO i, long *v) { return curl_easy_getinfo(e, i, v); }
static inline CURLcode gh_easy_get_offset(CURL *e, CURLINFO i, curl_off_t *v) { return curl_easy_getinfo(e, i, v); }
static inline CURLcode gh_easy_get_socket(CURL *e, curl_socket_t *v) { return curl_easy_getinfo(e, CURLINFO_ACTIVESOCKET, v); }
static inline CURLcode gh_easy_get_pointer(CURL *e, CURLINFO i, char **v) { return curl_easy_getinfo(e, i, v); }

static inline CURLMcode gh_multi_set_long(CURLM *m, CURLMoption o, long v) { return curl_multi_setopt(m, o, v); }
static inline CURLMcode gh_multi_set_pointer(CURLM *m, CURLMoption o, void *v) { return curl_multi_setopt(m, o, v); }
static inline CURLMcode gh_multi_set_socket(CURLM *m, gh_socket_callback v) { return curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, v); }
static inline CURLMcode gh_multi_set_timer(CURLM *m, gh_timer_callback v) { return curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, v); }

// Whether TLS's closing word (close_notify) has come: 1 yes, 0 no, -1 when the TLS library is not OpenSSL or there is no connection.
struct ssl_st;
int SSL_get_shutdown(const struct ssl_st *);
static inline int gh_tls_is_closed(CURL *e) {
  struct curl_tlssessioninfo *info = NULL;
  if (curl_easy_getinfo(e, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL || info->internals == NULL ||
      info->backend != CURLSSLBACKEND_OPENSSL)
    return -1;
  return (SSL_get_shutdown((const struct ssl_st *)info->internals) & 2 /* SSL_RECEIVED_SHUTDOWN */) != 0;
}

// Sends TLS's closing word (close_notify). What can be done about it if that finds no room: nothing.
int SSL_shutdown(struct ssl_st *);
static inline void gh_tls_say_goodbye(CURL *e) {
  struct curl_tlssessioninfo *info = NULL;
  if (curl_easy_getinfo(e, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK && info != NULL && info->internals != NULL &&
      info->backend == CURLSSLBACKEND_OPENSSL)
    SSL_shutdown((struct ssl_st *)info->internals);
}

// Writes the hash of the server's certificate that names this channel (tls-server-end-point, RFC 5929 section 4.1) into `out`, which has room for 64 bytes.
// Its size; 0 where there is none.
struct x509_st;
struct evp_md_st;
struct x509_st *SSL_get1_peer_certificate(const struct ssl_st *);
int X509_get_signature_info(struct x509_st *, int *, int *, int *, unsigned int *);
int X509_digest(const struct x509_st *, const struct evp_md_st *, unsigned char *, unsigned int *);
void X509_free(struct x509_st *);
const char *OBJ_nid2sn(int);
const struct evp_md_st *EVP_get_digestbyname(const char *);
const struct evp_md_st *EVP_sha256(void);
static inline unsigned int gh_tls_end_point(CURL *e, unsigned char *out) {
  struct curl_tlssessioninfo *info = NULL;
  unsigned int size = 0;
  int digest = 0;
  if (curl_easy_getinfo(e, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL || info->internals == NULL ||
      info->backend != CURLSSLBACKEND_OPENSSL)
    return 0;
  struct x509_st *certificate = SSL_get1_peer_certificate((const struct ssl_st *)info->internals);
  if (certificate == NULL) return 0;
  // Of signatures without a hash of their own (EdDSA) the RFC says nothing.
  if (X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) == 1 && digest != 0) {
    const struct evp_md_st *hash = digest == 4 /* NID_md5 */ || digest == 64 /* NID_sha1 */ ? EVP_sha256() : EVP_get_digestbyname(OBJ_nid2sn(digest));
    if (hash == NULL || X509_digest(certificate, hash, out, &size) != 1) size = 0;
  }
  X509_free(certificate);
  return size;
}

// Whether the TLS library holds bytes that nobody has read: 1 yes, 0 no, -1 as above.
int SSL_has_pending(const struct ssl_st *);
static inline int gh_tls_holds_bytes(CURL *e) {
  struct curl_tlssessioninfo *info = NULL;
  if (curl_easy_getinfo(e, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL || info->internals == NULL ||
      info->backend != CURLSSLBACKEND_OPENSSL)
    return -1;
  return SSL_has_pending((const struct ssl_st *)info->internals) == 1;
}

// CURLAUTH_BASIC is an unsigned long with a cast, which Swift does not import.
enum { gh_auth_basic = 1 };

// Has this handle's connections made also to servers without secure renegotiation (RFC 5746), which OpenSSL 3 refuses. What the refusal prevents is that
// somebody in between puts a request of his own before the client's.
uint64_t SSL_CTX_set_options(void *, uint64_t);
static CURLcode gh_allow_unsafe_peers(CURL *e, void *context, void *nothing) {
  (void)e, (void)nothing;
  SSL_CTX_set_options(context, 4 /* SSL_OP_LEGACY_SERVER_CONNECT */);
  return CURLE_OK;
}
static inline CURLcode gh_easy_allow_unsafe_peers(CURL *e) { return curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, gh_allow_unsafe_peers); }

// Has a datagram socket hear one address alone. libcurl 7.88.1 takes a block of TFTP's from whoever sends one; the port can't be asked for, since a
// server answers from another than the one that it was asked at (RFC 1350 section 4). 0, or -1 with errno set.
static inline int gh_hear_only(int fd, const struct curl_sockaddr *from) {
  struct sock_filter code[14];
  unsigned short n = 0;
  uint32_t words[4];
  int count = from->family == AF_INET ? 1 : 4, offset = from->family == AF_INET ? 12 : 8;
  if (from->family == AF_INET)
    memcpy(words, &((const struct sockaddr_in *)(const void *)&from->addr)->sin_addr, 4);
  else
    memcpy(words, &((const struct sockaddr_in6 *)(const void *)&from->addr)->sin6_addr, 16);
  for (int i = 0; i < count; i++) {
    // The packet's source, from its IP header: what differs is dropped.
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_NET_OFF + offset + 4 * i));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(words[i]), 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF);
  struct sock_fprog program = {.len = n, .filter = code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

// Bytes that have come on a TCP connection; 0 where it can't be told. The C library's tcp_info ends before them: their place is the kernel's
// (linux/tcp.h), which only ever grows at its end.
static inline uint64_t gh_bytes_received(int fd) {
  unsigned char info[256];
  socklen_t length = sizeof info;
  uint64_t count = 0;
  if (getsockopt(fd, IPPROTO_TCP, 11 /* TCP_INFO */, info, &length) == 0 && length >= 136) memcpy(&count, info + 128 /* tcpi_bytes_received */, 8);
  return count;
}

// The outcome of a finished transfer: CURLMsg holds it in a union.
static inline CURLcode gh_message_result(const CURLMsg *m) { return m->data.result; }

// Has this handle's connections offer HTTP/2 and nothing else (ALPN, RFC 7301). libcurl's own offer has it speak HTTP/2 as well, also on connections that it
// only makes (7.88.1).
int SSL_CTX_set_alpn_protos(void *, const unsigned char *, unsigned);
static CURLcode gh_offer_h2(CURL *e, void *context, void *nothing) {
  (void)e, (void)nothing;
  return SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3) == 0 ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}
static CURLcode gh_offer_h2_to_unsafe_peers(CURL *e, void *context, void *nothing) {
  gh_allow_unsafe_peers(e, context, nothing);
  return gh_offer_h2(e, context, nothing);
}
static inline CURLcode gh_easy_offer_h2(CURL *e, int allows_unsafe_peers) {
  return curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, allows_unsafe_peers ? gh_offer_h2_to_unsafe_peers : gh_offer_h2);
}

// Whether the server has chosen HTTP/2.
void SSL_get0_alpn_selected(const struct ssl_st *, const unsigned char **, unsigned *);
static inline int gh_tls_speaks_h2(CURL *e) {
  struct curl_tlssessioninfo *info = NULL;
  const unsigned char *name = NULL;
  unsigned count = 0;
  if (curl_easy_getinfo(e, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL || info->internals == NULL ||
      info->backend != CURLSSLBACKEND_OPENSSL)
    return 0;
  SSL_get0_alpn_selected((const struct ssl_st *)info->internals, &name, &count);
  return count == 2 && name[0] == 'h' && name[1] == '2';
}

#endif
