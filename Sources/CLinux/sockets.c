#define _GNU_SOURCE
#include "clinux_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

union any {
  struct sockaddr plain;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  struct sockaddr_un local;
};

static int answer(int result) { return result < 0 ? -errno : result; }

static socklen_t fill(union any *out, const gh_address *address, const char *path, size_t path_length) {
  memset(out, 0, sizeof *out);
  switch (address->family) {
  case AF_INET:
    out->four.sin_family = AF_INET;
    out->four.sin_port = htons(address->port);
    out->four.sin_addr.s_addr = htonl((uint32_t)address->low);
    return sizeof out->four;
  case AF_INET6:
    out->six.sin6_family = AF_INET6;
    out->six.sin6_port = htons(address->port);
    out->six.sin6_scope_id = address->scope;
    for (int i = 0; i < 8; i++) {
      out->six.sin6_addr.s6_addr[i] = (uint8_t)(address->high >> (56 - 8 * i));
      out->six.sin6_addr.s6_addr[8 + i] = (uint8_t)(address->low >> (56 - 8 * i));
    }
    return sizeof out->six;
  case AF_UNIX:
    if (path_length == 0 || path_length >= sizeof out->local.sun_path) return 0;
    out->local.sun_family = AF_UNIX;
    memcpy(out->local.sun_path, path, path_length);
    // An abstract name has no NUL at its end; a file's name does.
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length + (path[0] == 0 ? 0 : 1));
  default:
    return 0;
  }
}

static void read_back(const union any *in, gh_address *address) {
  memset(address, 0, sizeof *address);
  address->family = in->plain.sa_family;
  if (in->plain.sa_family == AF_INET) {
    address->port = ntohs(in->four.sin_port);
    address->low = ntohl(in->four.sin_addr.s_addr);
  } else if (in->plain.sa_family == AF_INET6) {
    address->port = ntohs(in->six.sin6_port);
    address->scope = in->six.sin6_scope_id;
    for (int i = 0; i < 8; i++) {
      address->high = address->high << 8 | in->six.sin6_addr.s6_addr[i];
      address->low = address->low << 8 | in->six.sin6_addr.s6_addr[8 + i];
    }
  }
}

int gh_socket_create(int family) { return answer(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

int gh_socket_bind(int fd, const gh_address *address, const char *path, size_t path_length) {
  union any any;
  socklen_t length = fill(&any, address, path, path_length);
  return length == 0 ? -EINVAL : answer(bind(fd, &any.plain, length));
}

int gh_socket_connect(int fd, const gh_address *address, const char *path, size_t path_length) {
  union any any;
  socklen_t length = fill(&any, address, path, path_length);
  return length == 0 ? -EINVAL : answer(connect(fd, &any.plain, length));
}

int gh_socket_listen(int fd, int backlog) { return answer(listen(fd, backlog)); }

int gh_socket_local(int fd, gh_address *address) {
  union any any;
  socklen_t length = sizeof any;
  memset(&any, 0, sizeof any);
  if (getsockname(fd, &any.plain, &length) < 0) return -errno;
  read_back(&any, address);
  return 0;
}

int gh_socket_local_path(int fd, char *path, size_t size) {
  union any any;
  socklen_t length = sizeof any;
  memset(&any, 0, sizeof any);
  if (getsockname(fd, &any.plain, &length) < 0) return -errno;
  if (any.plain.sa_family != AF_UNIX || length <= offsetof(struct sockaddr_un, sun_path)) return 0;
  size_t count = length - offsetof(struct sockaddr_un, sun_path);
  // The kernel counts the NUL behind a file's name; an abstract name begins with one.
  if (any.local.sun_path[0] != 0) count = strnlen(any.local.sun_path, count);
  if (count > size) return -ENAMETOOLONG;
  memcpy(path, any.local.sun_path, count);
  return (int)count;
}

int gh_socket_get(int fd, int level, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, option, &value, &length) < 0 ? -errno : value;
}

int gh_socket_bind_to_interface(int fd, const char *name) {
  return answer(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1));
}

int gh_tcp_drop_beginnings(int fd) {
  // What a filter of a TCP socket sees begins with the TCP header, whose byte 13 holds the flags (RFC 9293 section 3.1).
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xFFFFFFFF),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  return answer(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

int gh_socket_accept(int fd, gh_address *peer) {
  union any any;
  int accepted;
  do {
    socklen_t length = sizeof any;
    any.plain.sa_family = AF_UNIX;
    accepted = accept4(fd, &any.plain, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (accepted < 0 && errno == EINTR);
  if (accepted < 0) return -errno;
  read_back(&any, peer);
  return accepted;
}

int gh_socket_set(int fd, int level, int option, int value) {
  return answer(setsockopt(fd, level, option, &value, sizeof value));
}

int gh_socket_reset_on_close(int fd) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  return answer(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

int gh_socket_peer_user(int fd, uint32_t *user) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  *user = credentials.uid;
  return 0;
}

// What a request needs goes by syscall(2): the C library's functions of these names are points where a thread may be cancelled, which costs each call
// two atomic operations in a process with threads, and nobody here cancels one.

static ssize_t receive(int fd, void *bytes, size_t count, int flags) {
  ssize_t n;
  do n = syscall(SYS_recvfrom, fd, bytes, count, flags, NULL, NULL);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

ssize_t gh_socket_receive(int fd, void *bytes, size_t count) { return receive(fd, bytes, count, 0); }

ssize_t gh_socket_peek(int fd, void *bytes, size_t count) { return receive(fd, bytes, count, MSG_PEEK); }

ssize_t gh_socket_send(int fd, const void *bytes, size_t count) {
  ssize_t n;
  do n = syscall(SYS_sendto, fd, bytes, count, MSG_NOSIGNAL, NULL, 0);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

ssize_t gh_socket_send_two(int fd, const void *a, size_t a_count, const void *b, size_t b_count) {
  struct iovec parts[2] = {{(void *)a, a_count}, {(void *)b, b_count}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t n;
  do n = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int gh_socket_notify(const char *path, size_t path_length, const void *bytes, size_t count) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path_length == 0 || path_length >= sizeof address.sun_path) return -EINVAL;
  memcpy(address.sun_path, path, path_length);
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
  if (path[0] == '@') address.sun_path[0] = 0;
  else length += 1;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  ssize_t n;
  do n = sendto(fd, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&address, length);
  while (n < 0 && errno == EINTR);
  int result = n < 0 ? -errno : 0;
  close(fd);
  return result;
}

int gh_address_is_loopback(const void *address) {
  const union any *any = address;
  static const uint8_t mapped[13] = {[10] = 0xFF, [11] = 0xFF, [12] = 127};
  switch (any->plain.sa_family) {
  case AF_INET: return ntohl(any->four.sin_addr.s_addr) >> 24 == 127;
  case AF_INET6: return IN6_IS_ADDR_LOOPBACK(&any->six.sin6_addr) || memcmp(&any->six.sin6_addr, mapped, sizeof mapped) == 0;
  default: return 0;
  }
}

int gh_tcp_is_paced(int fd) {
  char name[16] = "";
  socklen_t length = sizeof name;
  return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0 && strncmp(name, "bbr", 3) == 0;
}

int gh_tcp_end_pacing(int fd) { return answer(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4)); }

int gh_pipe_create(int ends[2]) { return answer(pipe2(ends, O_NONBLOCK | O_CLOEXEC)); }

int gh_pipe_resize(int end, int size) {
  int granted = fcntl(end, F_SETPIPE_SZ, size);
  // Refused (EPERM, EBUSY) it is as large as it was.
  return granted < 0 ? answer(fcntl(end, F_GETPIPE_SZ)) : granted;
}

ssize_t gh_splice(int from, int to, size_t count) {
  ssize_t n;
  do n = splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}
