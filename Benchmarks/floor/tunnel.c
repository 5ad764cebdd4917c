// Both ends of WebSockets, as cheap as we know how: `serve PORT` answers handshakes and echoes whatever comes then, `drive PORT CONNECTIONS SECONDS
// USER:PASSWORD` keeps one message of 32 bytes on its way on each of so many tunnels, and prints how many came back. Bytes are no frames here: no proxy
// reads them.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 32, MOST = 65536 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return a;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

// What answers a head: 101, where it asks for a WebSocket, else a plain answer.
static int answer(const char *head, char *out, size_t size) {
  const char *key = strcasestr(head, "\r\nsec-websocket-key:");
  if (!key) return snprintf(out, size, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
  key += strlen("\r\nsec-websocket-key:");
  while (*key == ' ') key++;
  char text[128];
  unsigned char digest[SHA_DIGEST_LENGTH], accept[64];
  snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  SHA1((unsigned char *)text, strlen(text), digest);
  EVP_EncodeBlock(accept, digest, SHA_DIGEST_LENGTH);
  return snprintf(out, size, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                  (char *)accept);
}

static void serve(int port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, poller = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in a = loopback(port);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 4096)) fail("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  static char isTunnel[MOST], buffer[MOST + 1], out[512];
  for (;;) {
    int n = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int client = accept(listener, NULL, NULL);
        if (client < 0 || client >= MOST) continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        isTunnel[client] = 0;
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = client};
        epoll_ctl(poller, EPOLL_CTL_ADD, client, &event);
        continue;
      }
      ssize_t count = recv(fd, buffer, MOST, 0);
      if (count <= 0) {
        close(fd);
      } else if (isTunnel[fd]) {
        send(fd, buffer, count, MSG_NOSIGNAL);
      } else {
        // A head comes in one piece over loopback.
        buffer[count] = 0;
        int length = answer(buffer, out, sizeof out);
        isTunnel[fd] = strncmp(out, "HTTP/1.1 101", 12) == 0;
        send(fd, out, length, MSG_NOSIGNAL);
      }
    }
  }
}

static void drive(int port, int connections, double seconds, const char *credentials) {
  unsigned char basic[512];
  EVP_EncodeBlock(basic, (const unsigned char *)credentials, strlen(credentials));
  char head[1024], buffer[4096], message[MESSAGE];
  int length = snprintf(head, sizeof head,
                        "GET /chat HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Basic %s\r\n\r\n", (char *)basic);
  memset(message, 'm', sizeof message);
  int poller = epoll_create1(0), on = 1, *sockets = calloc(connections, sizeof *sockets), *partial = calloc(MOST, sizeof *partial);
  struct sockaddr_in a = loopback(port);
  for (int i = 0; i < connections; i++) {
    int fd = sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (send(fd, head, length, MSG_NOSIGNAL) != length) fail("send");
    ssize_t have = 0;
    do {
      ssize_t n = recv(fd, buffer + have, sizeof buffer - 1 - have, 0);
      if (n <= 0) fail("handshake");
      buffer[have += n] = 0;
    } while (!strstr(buffer, "\r\n\r\n"));
    if (strncmp(buffer, "HTTP/1.1 101", 12)) {
      fprintf(stderr, "no tunnel: %.12s\n", buffer);
      exit(1);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
  long messages = 0;
  double began = now(), end = began + seconds;
  for (int i = 0; i < connections; i++) send(sockets[i], message, MESSAGE, MSG_NOSIGNAL);
  struct epoll_event events[256];
  while (now() < end) {
    int n = epoll_wait(poller, events, 256, 1000);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      ssize_t count = recv(fd, buffer, MESSAGE - partial[fd], 0);
      if (count <= 0) fail("a tunnel ended");
      partial[fd] += count;
      if (partial[fd] < MESSAGE) continue;
      partial[fd] = 0;
      messages++;
      send(fd, message, MESSAGE, MSG_NOSIGNAL);
    }
  }
  printf("{\"messages\": %ld, \"seconds\": %.6f}\n", messages, now() - began);
}

int main(int count, char **words) {
  signal(SIGPIPE, SIG_IGN);
  if (count == 3 && !strcmp(words[1], "serve")) {
    serve(atoi(words[2]));
  } else if (count == 6 && !strcmp(words[1], "drive")) {
    drive(atoi(words[2]), atoi(words[3]), atof(words[4]), words[5]);
  } else {
    fprintf(stderr, "tunnel serve PORT | tunnel drive PORT CONNECTIONS SECONDS USER:PASSWORD\n");
    return 2;
  }
  return 0;
}
