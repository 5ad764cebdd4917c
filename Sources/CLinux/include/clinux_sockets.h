// Stream sockets: addresses without sockaddr's casts, accept4, vectored sends.
// Every function answers a value >= 0, or -errno. A call broken off by a signal is made again here, and nowhere else.
#ifndef GATEHOUSE_CLINUX_SOCKETS_H
#define GATEHOUSE_CLINUX_SOCKETS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// An address of AF_INET (the low 32 bits of `low`), AF_INET6 or AF_UNIX, all numbers in host order.
typedef struct {
  int family;
  uint16_t port;
  uint32_t scope;
  uint64_t high;
  uint64_t low;
} gh_address;

// A stream socket, non-blocking and close-on-exec.
int gh_socket_create(int family);
// bind(2). For AF_UNIX `path` is the file (`path_length` bytes, 1 to 107, no NUL); for others it is ignored.
int gh_socket_bind(int fd, const gh_address *address, const char *path, size_t path_length);
// connect(2), with the same arguments.
int gh_socket_connect(int fd, const gh_address *address, const char *path, size_t path_length);
int gh_socket_listen(int fd, int backlog);
// The address that `fd` is bound to (getsockname(2)); of a Unix socket only the family.
int gh_socket_local(int fd, gh_address *address);
// The path that the Unix socket `fd` is bound to, without a NUL at its end, at most 108 bytes: how many it has; 0 for none.
int gh_socket_local_path(int fd, char *path, size_t size);
// getsockopt(2) of an int, which is answered.
int gh_socket_get(int fd, int level, int option);
// SO_BINDTODEVICE of socket(7): only what comes by way of the interface `name` (NUL-terminated).
int gh_socket_bind_to_interface(int fd, const char *name);
// Has the listening TCP socket `fd` drop what would begin a connection, while those that have begun are completed: a filter of classic BPF
// (SO_ATTACH_FILTER of socket(7)) that lets everything pass but SYN without ACK.
int gh_tcp_drop_beginnings(int fd);
// accept4(2), non-blocking and close-on-exec; the peer's address in `peer`.
int gh_socket_accept(int fd, gh_address *peer);
// setsockopt(2) of an int.
int gh_socket_set(int fd, int level, int option, int value);
// SO_LINGER with 0 seconds: close(2) sends a reset and drops what was not sent.
int gh_socket_reset_on_close(int fd);
// The user who connected, of a connected Unix socket (SO_PEERCRED of unix(7)).
int gh_socket_peer_user(int fd, uint32_t *user);
// recv(2).
ssize_t gh_socket_receive(int fd, void *bytes, size_t count);
// The same without taking the bytes away (recv(2), MSG_PEEK).
ssize_t gh_socket_peek(int fd, void *bytes, size_t count);
// send(2) with MSG_NOSIGNAL.
ssize_t gh_socket_send(int fd, const void *bytes, size_t count);
// Both runs of bytes in one call (sendmsg(2) with MSG_NOSIGNAL).
ssize_t gh_socket_send_two(int fd, const void *a, size_t a_count, const void *b, size_t b_count);

/// Whether the address (a sockaddr) is 127.0.0.0/8, that as IPv6, or ::1.
int gh_address_is_loopback(const void *address);
/// Whether the congestion control of `fd`, a TCP socket, is of BBR's kind, which sends by a timer. tcp(7), TCP_CONGESTION.
int gh_tcp_is_paced(int fd);
/// Gives it Reno instead, which every kernel has and anybody may choose: 0, or -errno.
int gh_tcp_end_pacing(int fd);

/// A pipe that never blocks: ends[0] is read, ends[1] written. pipe2(2).
int gh_pipe_create(int ends[2]);
/// Asks for room for `size` bytes in the pipe of which `end` is one end, and answers how much there is then. fcntl(2), F_SETPIPE_SZ.
int gh_pipe_resize(int end, int size);
/// splice(2) without blocking: moves up to `count` bytes, one of the two being a pipe.
ssize_t gh_splice(int from, int to, size_t count);
// Sends one datagram to the Unix socket at `path`; a path beginning with '@' is in the abstract namespace (unix(7)).
int gh_socket_notify(const char *path, size_t path_length, const void *bytes, size_t count);

#endif
