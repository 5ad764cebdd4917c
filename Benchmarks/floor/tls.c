// A TLS client that makes handshakes and nothing else, or connections that idle: `tls --port N --mode full|resumed|hold`. With `full` every
// connection is a stranger's; with `resumed` each comes with the newest ticket that its predecessor got; with `hold` each asks once and
// stays open until standard input ends. One thread, one epoll. Protocol, suite and group are pinned, so that all servers do the same work.
// A connection counts when the server has said that it has seen all of the handshake: by its answer to our close, a FIN. Prints one line of
// JSON.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { FULL, RESUMED, HOLD };
enum stage { SHAKING, WAITING_FOR_TICKET, ASKING, READING, LEAVING, IDLE };

struct client {
  int socket;
  SSL *ssl;
  SSL_SESSION *session; // the newest, for who comes next here
  enum stage stage;
  int tickets; // that came on this connection
  int events;
  size_t have;
  char head[8192];
};

static struct {
  enum mode mode;
  int port, connections, at_once, tls12, spread;
  long count;
  double seconds;
  const char *request;
} options = {.connections = 8, .at_once = 64};

static SSL_CTX *context;
static int epoll, hanging;
static long made, resumed, lost, others;
static int measuring;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *words) {
  fprintf(stderr, "tls: %s: %s\n", words, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

static int keep(SSL *ssl, SSL_SESSION *session) {
  struct client *client = SSL_get_app_data(ssl);
  client->tickets++;
  if (options.mode != RESUMED) return 0;
  SSL_SESSION_free(client->session);
  client->session = session;
  return 1; // it is ours now
}

static void watch(struct client *client, int events) {
  if (client->events == events) return;
  struct epoll_event event = {.events = events, .data = {.ptr = client}};
  if (epoll_ctl(epoll, client->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client->socket, &event)) fail("epoll_ctl");
  client->events = events;
}

// Each connection comes from an address of its slot: one address has not ports enough for all that end within a minute.
static void begin(struct client *client, int slot) {
  client->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(client->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(options.spread ? 0x7F000101 + slot / 250 * 256 + slot % 250 : INADDR_LOOPBACK);
  if (client->socket < 0 || bind(client->socket, (struct sockaddr *)&address, sizeof address)) fail("socket");
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(options.port);
  if (connect(client->socket, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect");
  client->ssl = SSL_new(context);
  SSL_set_app_data(client->ssl, client);
  SSL_set_fd(client->ssl, client->socket);
  SSL_set_tlsext_host_name(client->ssl, "bench.example");
  if (client->session) SSL_set_session(client->ssl, client->session);
  SSL_set_connect_state(client->ssl);
  client->stage = SHAKING;
  client->tickets = client->events = 0;
  client->have = 0;
  hanging++;
  watch(client, EPOLLIN | EPOLLOUT);
}

static void end(struct client *client) {
  SSL_free(client->ssl);
  close(client->socket);
  client->ssl = NULL;
  hanging--;
}

enum step { AGAIN, WAIT, DONE, LOST };

static enum step wanted(struct client *client, int result) {
  switch (SSL_get_error(client->ssl, result)) {
  case SSL_ERROR_WANT_READ: watch(client, EPOLLIN); return WAIT;
  case SSL_ERROR_WANT_WRITE: watch(client, EPOLLIN | EPOLLOUT); return WAIT;
  default: return LOST;
  }
}

static enum step leave(struct client *client) {
  SSL_shutdown(client->ssl);
  shutdown(client->socket, SHUT_WR);
  client->stage = LEAVING;
  watch(client, EPOLLIN);
  return AGAIN;
}

// The answer's head is in `head`: whether the answer is whole.
static int is_whole(struct client *client) {
  client->head[client->have] = 0;
  char *end = strstr(client->head, "\r\n\r\n"), *length = strcasestr(client->head, "\r\ncontent-length:");
  return end && length && (size_t)(end + 4 - client->head) + strtoul(length + 17, NULL, 10) <= client->have;
}

static enum step step(struct client *client) {
  char scrap[4096];
  int n;
  switch (client->stage) {
  case SHAKING:
    if ((n = SSL_do_handshake(client->ssl)) != 1) return wanted(client, n);
    // With TLS 1.2 the other group has to be offered, or certificates on it would not be taken. It is not to be chosen. What is resumed there
    // has no key agreement.
    if (SSL_get_negotiated_group(client->ssl) != NID_X25519 && !(options.tls12 && SSL_session_reused(client->ssl))) return LOST;
    if (measuring) resumed += SSL_session_reused(client->ssl);
    if (options.mode == HOLD) {
      client->stage = ASKING;
    } else if (options.tls12) {
      // What there is of tickets has come before the end of the handshake.
      return leave(client);
    } else {
      client->stage = WAITING_FOR_TICKET;
    }
    return AGAIN;
  case WAITING_FOR_TICKET:
    // Tickets are read in passing; there is no data to come.
    n = SSL_read(client->ssl, scrap, sizeof scrap);
    if (client->tickets) return leave(client);
    return n > 0 ? LOST : wanted(client, n);
  case ASKING:
    if ((n = SSL_write(client->ssl, options.request, strlen(options.request))) <= 0) return wanted(client, n);
    client->stage = READING;
    return AGAIN;
  case READING:
    n = SSL_read(client->ssl, client->head + client->have, sizeof client->head - 1 - client->have);
    if (n <= 0) return wanted(client, n);
    client->have += n;
    if (!is_whole(client)) return AGAIN;
    if (strncmp(client->head, "HTTP/1.1 200 ", 13)) others++;
    client->stage = IDLE;
    return DONE;
  case LEAVING:
    while ((n = read(client->socket, scrap, sizeof scrap)) > 0) {}
    // Some reset the connection instead, for our closing word found nobody any more: the handshake was whole all the same.
    return n < 0 && errno == EAGAIN ? WAIT : DONE;
  case IDLE: return LOST;
  }
  return LOST;
}

int main(int count, char **words) {
  for (int i = 1; i + 1 < count; i += 2) {
    char *name = words[i], *value = words[i + 1];
    if (!strcmp(name, "--port")) options.port = atoi(value);
    else if (!strcmp(name, "--mode")) options.mode = !strcmp(value, "resumed") ? RESUMED : !strcmp(value, "hold") ? HOLD : FULL;
    else if (!strcmp(name, "--connections")) options.connections = atoi(value);
    else if (!strcmp(name, "--at-once")) options.at_once = atoi(value);
    else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
    else if (!strcmp(name, "--count")) options.count = atol(value);
    else if (!strcmp(name, "--tls")) options.tls12 = !strcmp(value, "1.2");
    else if (!strcmp(name, "--authorization")) {
      char *text;
      if (asprintf(&text, "GET /some/path HTTP/1.1\r\nHost: bench.example\r\nAuthorization: %s\r\n\r\n", value) < 0) fail("memory");
      options.request = text;
    } else fail(name);
  }
  if (!options.port || (options.mode == HOLD && !options.request) || (options.mode != HOLD && !options.seconds && !options.count)) fail("usage");
  options.spread = 1;
  signal(SIGPIPE, SIG_IGN);
  context = SSL_CTX_new(TLS_client_method());
  int version = options.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_max_proto_version(context, version);
  static const unsigned char protocols[] = "\x08http/1.1";
  if (!SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") ||
      !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") || !SSL_CTX_set1_groups_list(context, "X25519:P-256") ||
      SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols - 1))
    fail("context");
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct client *clients = calloc(options.connections, sizeof *clients);
  int first = options.mode == HOLD && options.at_once < options.connections ? options.at_once : options.connections, next = first;
  // With `resumed`, everybody's first visit is not counted.
  measuring = options.mode != RESUMED;
  int unprimed = measuring ? 0 : options.connections;
  double began = now(), ended = began;
  long begun = first;
  for (int i = 0; i < first; i++) begin(&clients[i], i);
  struct epoll_event events[256];
  while (hanging && !(options.mode == HOLD && made + lost >= options.connections)) {
    int ready = epoll_wait(epoll, events, 256, 20000);
    if (ready == 0) fail("nothing in twenty seconds");
    for (int k = 0; k < ready; k++) {
      struct client *client = events[k].data.ptr;
      if (client->stage == IDLE && options.mode != HOLD) continue;
      enum step result;
      while ((result = step(client)) == AGAIN) {}
      if (result == WAIT) continue;
      int slot = client - clients;
      if (result == LOST) lost++;
      if (options.mode == HOLD) {
        made += result == DONE;
        if (result == LOST) end(client);
        else watch(client, EPOLLIN);
        if (next < options.connections) begin(&clients[next], next), next++;
        continue;
      }
      end(client);
      if (measuring) {
        made += result == DONE;
      } else if (--unprimed == 0) {
        // All have tickets: now it counts.
        measuring = 1, begun = 0, began = now();
        for (int i = 0; i < options.connections; i++) begin(&clients[i], i), begun++;
        continue;
      }
      ended = now();
      int is_over = (options.seconds && ended - began >= options.seconds) || (options.count && begun >= options.count);
      if (measuring && !is_over) begin(client, slot), begun++;
    }
  }
  if (options.mode == HOLD) ended = now();
  printf("{\"requests\": %ld, \"seconds\": %f, \"resumed\": %ld, \"lost\": %ld, \"refused\": %ld}\n", made, ended - began, resumed, lost, others);
  fflush(stdout);
  if (options.mode == HOLD)
    while (read(STDIN_FILENO, (char[1]){0}, 1) > 0) {}
  return 0;
}
