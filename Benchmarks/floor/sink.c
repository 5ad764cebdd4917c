// What answers uploads: swallows bodies faster than anybody can send them, since tcp(7) throws bytes away without copying them
// (MSG_TRUNC), and answers with how many there were. `sink PORT` listens on 127.0.0.1. One thread, one epoll; trusts the proxy before it
// to send what is well formed.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 16 << 10, FILES = 65536 };
enum state { IN_HEAD, IN_BODY, IN_SIZE, IN_CHUNK, IN_TRAILER };

struct connection {
  int socket;
  enum state state;
  size_t have;               // bytes in `text`
  unsigned long long left;   // of the body, or of the chunk and its line end
  unsigned long long count;  // bytes of the body so far
  char text[HEAD];           // a head, the line of a chunk's size, or a line of the trailer
};

static struct connection *connections[FILES];

static int say(struct connection *c, const char *text) {
  size_t count = strlen(text);
  return send(c->socket, text, count, MSG_NOSIGNAL) == (ssize_t)count;
}

static int answer(struct connection *c) {
  char text[160], number[32];
  int digits = snprintf(number, sizeof number, "%llu\n", c->count);
  snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", digits, number);
  c->state = IN_HEAD;
  c->have = 0;
  return say(c, text);
}

// The head is complete.
static int began(struct connection *c) {
  const char *length = strcasestr(c->text, "\r\ncontent-length:");
  c->have = 0;
  c->count = 0;
  if (strcasestr(c->text, "\r\nexpect: 100-continue") != NULL && !say(c, "HTTP/1.1 100 Continue\r\n\r\n")) return 0;
  if (strcasestr(c->text, "\r\ntransfer-encoding: chunked") != NULL) {
    c->state = IN_SIZE;
    return 1;
  }
  c->left = length == NULL ? 0 : strtoull(length + 17, NULL, 10);
  c->state = IN_BODY;
  return c->left > 0 || answer(c);
}

// A line of the chunked framing is complete.
static int line(struct connection *c) {
  int empty = c->have <= 2;
  unsigned long long size = strtoull(c->text, NULL, 16);
  c->have = 0;
  if (c->state == IN_TRAILER) return !empty || answer(c);
  c->count += size;
  c->left = size + 2;
  c->state = size == 0 ? IN_TRAILER : IN_CHUNK;
  return 1;
}

// So many bytes of a body have come.
static int swallowed(struct connection *c, unsigned long long count) {
  c->left -= count;
  if (c->state == IN_BODY) c->count += count;
  if (c->left > 0) return 1;
  if (c->state == IN_BODY) return answer(c);
  c->state = IN_SIZE;
  return 1;
}

// Bytes that were read: heads and lines byte by byte, bodies by their length.
static int feed(struct connection *c, const char *bytes, size_t count) {
  while (count > 0) {
    if (c->state == IN_BODY || c->state == IN_CHUNK) {
      size_t n = count < c->left ? count : (size_t)c->left;
      if (!swallowed(c, n)) return 0;
      bytes += n, count -= n;
      continue;
    }
    if (c->have == HEAD - 1) return 0;
    c->text[c->have++] = *bytes;
    c->text[c->have] = 0;
    int ends = *bytes == '\n';
    bytes++, count--;
    if (!ends) continue;
    if (c->state == IN_HEAD ? c->have >= 4 && memcmp(c->text + c->have - 4, "\r\n\r\n", 4) == 0 && !began(c) : !line(c)) return 0;
  }
  return 1;
}

// 0 when the connection is to be closed.
static int ready(struct connection *c) {
  char bytes[HEAD];
  for (;;) {
    int skips = c->state == IN_BODY || c->state == IN_CHUNK;
    size_t most = !skips ? sizeof bytes : c->left < (4 << 20) ? (size_t)c->left : 4 << 20;
    // Behind a chunk's size comes the chunk: what is read with it is copied, so not much.
    if (c->state == IN_SIZE || c->state == IN_TRAILER) most = 64;
    ssize_t n = recv(c->socket, skips ? NULL : bytes, most, MSG_DONTWAIT | (skips ? MSG_TRUNC : 0));
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return 0;
    if (skips ? !swallowed(c, (unsigned long long)n) : !feed(c, bytes, (size_t)n)) return 0;
    if (c->state == IN_HEAD) return 1;
  }
}

int main(int count, char **words) {
  if (count != 2) return fprintf(stderr, "usage: sink PORT\n"), 64;
  signal(SIGPIPE, SIG_IGN);
  int loop = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((uint16_t)atoi(words[1]));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) return perror("sink"), 1;
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
  epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int n = epoll_wait(loop, events, 64, -1);
    for (int i = 0; i < n; i++) {
      int file = events[i].data.fd;
      if (file == listener) {
        int taken = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (taken < 0) continue;
        setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections[taken] = calloc(1, sizeof(struct connection));
        connections[taken]->socket = taken;
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = taken};
        epoll_ctl(loop, EPOLL_CTL_ADD, taken, &event);
      } else if (!ready(connections[file])) {
        free(connections[file]);
        close(file);
      }
    }
  }
}
