// GSS-API (RFC 2744) as MIT Kerberos has it: the library that Debian's libcurl brings along, looked for when it is asked for and not before. Where there is none,
// nothing here works, and says so. Declared as RFC 2744 section 5 and appendix A have it: no header of another package is needed for a dozen functions.
#ifndef GATEHOUSE_CCURL_GSSAPI_H
#define GATEHOUSE_CCURL_GSSAPI_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint32_t length; void *elements; } gh_gss_oid;
typedef struct { size_t length; void *value; } gh_gss_buffer;
typedef struct { size_t count; gh_gss_oid *elements; } gh_gss_oid_set;
typedef struct { const char *key, *value; } gh_gss_pair;
typedef struct { uint32_t count; gh_gss_pair *elements; } gh_gss_store;

typedef struct {
  uint32_t (*import_name)(uint32_t *, gh_gss_buffer *, gh_gss_oid *, void **);
  uint32_t (*release_name)(uint32_t *, void **);
  uint32_t (*release_cred)(uint32_t *, void **);
  uint32_t (*release_buffer)(uint32_t *, gh_gss_buffer *);
  uint32_t (*delete_sec_context)(uint32_t *, void **, gh_gss_buffer *);
  uint32_t (*display_status)(uint32_t *, uint32_t, int, gh_gss_oid *, uint32_t *, gh_gss_buffer *);
  // MIT's own: where credentials come from is said here, and not in the environment, which is one for all.
  uint32_t (*acquire_cred_from)(uint32_t *, void *, uint32_t, gh_gss_oid_set *, int, gh_gss_store *, void **, gh_gss_oid_set **, uint32_t *);
  uint32_t (*init_sec_context)(
      uint32_t *, void *, void **, void *, gh_gss_oid *, uint32_t, uint32_t, void *, gh_gss_buffer *, gh_gss_oid **, gh_gss_buffer *, uint32_t *, uint32_t *);
  // Of the Kerberos library beneath, to have tickets forgotten.
  int32_t (*init_context)(void **);
  int32_t (*cc_resolve)(void *, const char *, void **);
  int32_t (*cc_destroy)(void *, void *);
  void (*free_context)(void *);
} gh_gss;

// 1 when all of it is there.
static inline int gh_gss_load(gh_gss *gss) {
  void *library = dlopen("libgssapi_krb5.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return 0;
  *(void **)&gss->import_name = dlsym(library, "gss_import_name");
  *(void **)&gss->release_name = dlsym(library, "gss_release_name");
  *(void **)&gss->release_cred = dlsym(library, "gss_release_cred");
  *(void **)&gss->release_buffer = dlsym(library, "gss_release_buffer");
  *(void **)&gss->delete_sec_context = dlsym(library, "gss_delete_sec_context");
  *(void **)&gss->display_status = dlsym(library, "gss_display_status");
  *(void **)&gss->acquire_cred_from = dlsym(library, "gss_acquire_cred_from");
  *(void **)&gss->init_sec_context = dlsym(library, "gss_init_sec_context");
  *(void **)&gss->init_context = dlsym(library, "krb5_init_context");
  *(void **)&gss->cc_resolve = dlsym(library, "krb5_cc_resolve");
  *(void **)&gss->cc_destroy = dlsym(library, "krb5_cc_destroy");
  *(void **)&gss->free_context = dlsym(library, "krb5_free_context");
  return gss->import_name && gss->release_name && gss->release_cred && gss->release_buffer && gss->delete_sec_context && gss->display_status &&
         gss->acquire_cred_from && gss->init_sec_context && gss->init_context && gss->cc_resolve && gss->cc_destroy && gss->free_context;
}

// What the library says of a failure, in at most `size` bytes with a NUL.
static inline void gh_gss_explain(const gh_gss *gss, uint32_t major, uint32_t minor, char *text, size_t size) {
  gh_gss_oid krb5 = {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
  uint32_t ignored, more = 0;
  gh_gss_buffer line = {0, NULL};
  text[0] = 0;
  // The mechanism's word (type 2) says more than GSS-API's own (type 1).
  if ((minor == 0 || gss->display_status(&ignored, minor, 2, &krb5, &more, &line) != 0 || line.length == 0) &&
      (more = 0, gss->display_status(&ignored, major, 1, &krb5, &more, &line) != 0))
    return;
  size_t n = line.length < size - 1 ? line.length : size - 1;
  if (line.value != NULL) memcpy(text, line.value, n);
  text[n] = 0;
  gss->release_buffer(&ignored, &line);
}

// The first token of SPNEGO (RFC 4178) from `principal`, by its key in `keytab`, to `service`; the tickets that it takes are found in `cache`, or fetched from a
// KDC, which may take half a minute where that says nothing.
// 1 and `token`, which `gh_gss_release` takes back; or 0 and why not in `why`.
static inline int gh_gss_token(
    const gh_gss *gss, const char *keytab, const char *cache, const char *principal, const char *service, int is_host_based, gh_gss_buffer *token,
    char *why, size_t size) {
  gh_gss_oid spnego = {6, "\x2b\x06\x01\x05\x05\x02"};
  gh_gss_oid by_principal = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01"};
  gh_gss_oid by_host = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"};
  gh_gss_oid krb5 = {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
  gh_gss_oid_set mechanisms = {1, &krb5};
  gh_gss_pair pairs[2] = {{"client_keytab", keytab}, {"ccache", cache}};
  gh_gss_store store = {2, pairs};
  gh_gss_buffer text = {strlen(principal), (void *)principal};
  void *me = NULL, *there = NULL, *credential = NULL, *context = NULL;
  uint32_t major, minor = 0, ignored, flags = 0;
  token->length = 0;
  token->value = NULL;
  major = gss->import_name(&minor, &text, &by_principal, &me);
  if (major == 0) {
    text.length = strlen(service);
    text.value = (void *)service;
    major = gss->import_name(&minor, &text, is_host_based ? &by_host : &by_principal, &there);
  }
  // 1: to initiate with. Kerberos' own credential first: of what is wrong with it SPNEGO's would say only that there is none.
  if (major == 0) major = gss->acquire_cred_from(&minor, me, 0, &mechanisms, 1, &store, &credential, NULL, NULL);
  if (major == 0) {
    gss->release_cred(&ignored, &credential);
    mechanisms.elements = &spnego;
    major = gss->acquire_cred_from(&minor, me, 0, &mechanisms, 1, &store, &credential, NULL, NULL);
  }
  // No flags: nothing is delegated, and what the service proves to us it proves by TLS.
  if (major == 0) major = gss->init_sec_context(&minor, credential, &context, there, &spnego, 0, 0, NULL, NULL, NULL, token, &flags, NULL);
  // An error is in the upper 16 bits; 1 is "continue", which is what a server says of its half.
  int is_made = (major & 0xffff0000u) == 0 && token->length > 0;
  if (!is_made) {
    gh_gss_explain(gss, major, minor, why, size);
    if (token->value != NULL) gss->release_buffer(&ignored, token);
  }
  if (context != NULL) gss->delete_sec_context(&ignored, &context, NULL);
  if (credential != NULL) gss->release_cred(&ignored, &credential);
  if (there != NULL) gss->release_name(&ignored, &there);
  if (me != NULL) gss->release_name(&ignored, &me);
  return is_made;
}

// The tickets in `cache` are gone; without this they would stay in memory for as long as the process lives.
static inline void gh_gss_forget(const gh_gss *gss, const char *cache) {
  void *context = NULL, *tickets = NULL;
  if (gss->init_context(&context) != 0) return;
  if (gss->cc_resolve(context, cache, &tickets) == 0) gss->cc_destroy(context, tickets);
  gss->free_context(context);
}

static inline void gh_gss_release(const gh_gss *gss, gh_gss_buffer *token) {
  uint32_t ignored;
  explicit_bzero(token->value, token->length);
  gss->release_buffer(&ignored, token);
}

#endif
