// libcurl's setopt, getinfo and multi_setopt are variadic and can't be imported by Swift: one typed wrapper per argument type.
#ifndef GATEHOUSE_CCURL_SHIM_H
#define GATEHOUSE_CCURL_SHIM_H

#include <curl/curl.h>
#include <stdint.h>

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
