// libcurl's own floor: the least that a proxy costs which leaves the upstream side to libcurl's transfer engine. What Gatehouse costs
// above it is Gatehouse's; what is below it can't be had with that engine. `floor PORT UPSTREAM_PORT` listens on 127.0.0.1.
//
// It accepts, finds the end of a GET's head, takes the target from its first line, hands it with a fixed list of fields (as many as
// Gatehouse sends) to an easy handle, and relays what comes. One thread, one epoll, multi_socket, sockets that stay registered, handles
// that are used again: as fast as we know to make it.
//
// It leaves out, on purpose: authentication, routes, every check of what a client or an upstream sends, the client's own fields, bodies of
// requests, pipelining, time limits, logs, and any end but SIGKILL. Not to be used for anything but measuring.
#define _GNU_SOURCE
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// Above this, what is to be sent is sent before more is taken.
enum { HIGH_WATER = 128 << 10, HEAD = 8 << 10, FILES = 65536 };

struct client {
  int socket;
  CURL *easy;
  int running, paused, closing, wants_write;
  size_t have;  // bytes of the head
  char *out;    // what is to be sent
  size_t from, to, room;
  char head[HEAD];
};

static int loop;
static CURLM *multi;
static long timeout = -1;
static const char *base;
static struct curl_slist *fields;
static struct client *clients[FILES];
// Of libcurl's sockets: what epoll was told, plus one; 0 for no socket of libcurl's.
static uint32_t told[FILES];
static int wanted[FILES];

static void watch(int socket, uint32_t events, int change) {
  struct epoll_event event = {.events = events, .data.fd = socket};
  epoll_ctl(loop, change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
}

// MARK: Clients

static void drop(struct client *c) {
  if (c->running) curl_multi_remove_handle(multi, c->easy);
  curl_easy_cleanup(c->easy);
  clients[c->socket] = NULL;
  close(c->socket);
  free(c->out);
  free(c);
}

static void keep(struct client *c, const char *bytes, size_t count) {
  if (c->from == c->to) c->from = c->to = 0;
  if (c->to + count > c->room) {
    c->room = c->to + count + 4096;
    c->out = realloc(c->out, c->room);
  }
  memcpy(c->out + c->to, bytes, count);
  c->to += count;
}

// 0 when the client is lost.
static int flush(struct client *c) {
  while (c->from < c->to) {
    ssize_t n = send(c->socket, c->out + c->from, c->to - c->from, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) break;
    c->from += (size_t)n;
  }
  int wants = c->from < c->to;
  if (wants != c->wants_write) watch(c->socket, EPOLLIN | (wants ? EPOLLOUT : 0), 1);
  c->wants_write = wants;
  return 1;
}

static size_t took_body(char *bytes, size_t one, size_t count, void *context) {
  (void)one;
  struct client *c = context;
  if (c->to - c->from > HIGH_WATER) {
    flush(c);
    if (c->from < c->to) {
      c->paused = 1;
      return CURL_WRITEFUNC_PAUSE;
    }
  }
  keep(c, bytes, count);
  return count;
}

static size_t took_field(char *bytes, size_t one, size_t count, void *context) {
  (void)one;
  if (count < 11 || strncasecmp(bytes, "connection:", 11) != 0) keep(context, bytes, count);
  return count;
}

static void start(struct client *c) {
  char url[HEAD + 64];
  char *target = c->head + 4, *end = strchr(target, ' ');
  if (strncmp(c->head, "GET ", 4) != 0 || end == NULL) {
    shutdown(c->socket, SHUT_RDWR);
    return;
  }
  snprintf(url, sizeof url, "%s%.*s", base, (int)(end - target), target);
  c->closing = strcasestr(end, "connection: close") != NULL;
  c->have = 0;
  curl_easy_setopt(c->easy, CURLOPT_URL, url);
  c->running = 1;
  curl_multi_add_handle(multi, c->easy);
}

static void ready(struct client *c, uint32_t events) {
  if (events & EPOLLOUT) {
    flush(c);
    if (c->paused && c->from == c->to) {
      c->paused = 0;
      curl_easy_pause(c->easy, CURLPAUSE_CONT);
    }
    if (c->closing && !c->running && c->from == c->to) return drop(c);
  }
  if (!(events & ~(uint32_t)EPOLLOUT)) return;
  ssize_t n = recv(c->socket, c->head + c->have, HEAD - 1 - c->have, MSG_DONTWAIT);
  if (n <= 0) return drop(c);
  c->have += (size_t)n;
  c->head[c->have] = 0;
  if (!c->running && strstr(c->head, "\r\n\r\n") != NULL) start(c);
}

static int close_socket(void *context, curl_socket_t socket) {
  (void)context;
  told[socket] = 0;
  return close(socket);
}

static void admit(int listener) {
  for (;;) {
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (socket < 0) return;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct client *c = calloc(1, sizeof *c);
    c->socket = socket;
    c->easy = curl_easy_init();
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, took_field);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, took_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, 64L << 10);
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    clients[socket] = c;
    watch(socket, EPOLLIN, 0);
  }
}

// MARK: libcurl

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *mine) {
  (void)easy, (void)context, (void)mine;
  wanted[socket] = what;
  // Registered once and left alone: libcurl asks for a socket's removal after each request.
  if (what == CURL_POLL_REMOVE) return 0;
  uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
  if (told[socket] != events + 1) watch(socket, events, told[socket] != 0);
  told[socket] = events + 1;
  return 0;
}

static int set_timer(CURLM *handle, long milliseconds, void *context) {
  (void)handle, (void)context;
  timeout = milliseconds;
  return 0;
}

static void collect(void) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(multi, &left)) != NULL) {
    struct client *c;
    CURLcode result = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &c);
    curl_multi_remove_handle(multi, c->easy);
    c->running = 0;
    flush(c);
    if (result != CURLE_OK || (c->closing && c->from == c->to)) drop(c);
  }
}

int main(int count, char **words) {
  if (count != 3) return fprintf(stderr, "usage: floor PORT UPSTREAM_PORT\n"), 64;
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max < FILES ? limit.rlim_max : FILES;
  setrlimit(RLIMIT_NOFILE, &limit);

  char text[64];
  snprintf(text, sizeof text, "http://127.0.0.1:%s", words[2]);
  base = text;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const char *all[] = {"Host: bench.example", "User-Agent: load", "Accept: */*", "X-Forwarded-User: bench", "X-Forwarded-For: 127.0.0.1",
                       "X-Forwarded-Proto: http", "X-Forwarded-Host: bench.example", "X-Forwarded-Port: 8080",
                       "X-Request-Id: 0123456789abcdef0123456789abcdef"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) fields = curl_slist_append(fields, all[i]);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 4096L);

  loop = epoll_create1(EPOLL_CLOEXEC);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((uint16_t)atoi(words[1]));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) return perror("floor"), 1;
  watch(listener, EPOLLIN, 0);

  struct epoll_event events[256];
  int running;
  for (;;) {
    int n = epoll_wait(loop, events, 256, timeout < 0 ? -1 : (int)timeout);
    for (int i = 0; i < n; i++) {
      int file = events[i].data.fd;
      if (file == listener) {
        admit(listener);
      } else if (clients[file] != NULL) {
        ready(clients[file], events[i].events);
      } else if (told[file] != 0 && wanted[file] == CURL_POLL_REMOVE) {
        // Nobody uses it: the upstream has closed it, and libcurl finds that out before it uses it again.
        epoll_ctl(loop, EPOLL_CTL_DEL, file, NULL);
        told[file] = 0;
      } else if (told[file] != 0) {
        uint32_t is = events[i].events;
        int action = is & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
        if (is & EPOLLOUT) action |= CURL_CSELECT_OUT;
        if (is & EPOLLERR) action |= CURL_CSELECT_ERR;
        curl_multi_socket_action(multi, file, action, &running);
      }
    }
    if (timeout == 0 || n == 0) {
      timeout = -1;
      curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    collect();
  }
}
