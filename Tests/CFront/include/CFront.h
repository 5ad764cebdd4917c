// What the end-to-end tests need of TLS and HTTP/2 as clients, apart from the house itself: what tests must not share the faults of what is tested.
// Neither part waits or touches anything but its own bytes and the one socket: who calls does the waiting.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

// MARK: TLS on a socket that does not block

typedef struct front_tls front_tls;

/// What a call says instead of a count of bytes.
enum { FRONT_END = 0, FRONT_READ = -1, FRONT_WRITE = -2, FRONT_LOST = -3, FRONT_REFUSED = -4 };

/// A client that trusts `authority` (a PEM file) alone, for a server at 127.0.0.1, and offers `protocol` by ALPN. NULL when that can't be.
front_tls *_Nullable front_tls_new(int socket, const char *authority, const char *protocol);
void front_tls_free(front_tls *tls);
/// 1 when it is done; FRONT_READ and FRONT_WRITE: what to wait for; FRONT_LOST: the connection ended; FRONT_REFUSED: not this server, or not this protocol.
int front_tls_handshake(front_tls *tls);
/// Bytes; FRONT_END at the peer's orderly end; FRONT_LOST when the connection ended without one.
ssize_t front_tls_read(front_tls *tls, void *bytes, size_t count);
/// As reading, but what is there stays: whether there is something.
ssize_t front_tls_peek(front_tls *tls);
ssize_t front_tls_write(front_tls *tls, const void *bytes, size_t count);
/// Says that we have ended, if that can be said now.
void front_tls_end(front_tls *tls);

/// What a service proves with that it has read `key` (RFC 6455 section 4.2.2): 28 characters and a NUL.
void front_websocket_accept(const char *key, char *_Nonnull accept);

// MARK: HTTP/2, bytes in and bytes out

typedef struct front_h2 front_h2;

front_h2 *_Nullable front_h2_new(void);
void front_h2_free(front_h2 *h2);
/// A request. `fields` are `count` pairs of pointers and lengths, name then value; whatever they hold is sent. `body` is copied; NULL for no
/// body at all. The stream's number, or less than 0.
int32_t front_h2_request(front_h2 *h2, const void *const _Nonnull *_Nonnull fields, const size_t *lengths, size_t count,
                         const void *_Nullable body, size_t body_count);
/// What is to be sent next; 0 when there is nothing. The bytes are good until the next call.
ssize_t front_h2_output(front_h2 *h2, const uint8_t *_Nullable *_Nonnull bytes);
/// Takes what came; false when it is no HTTP/2.
_Bool front_h2_input(front_h2 *h2, const void *bytes, size_t count);
/// Whether the stream has ended: answered to its end or reset.
_Bool front_h2_has_ended(front_h2 *h2, int32_t stream);
/// The code by which a stream was reset, or 0 (also for one that ended well).
uint32_t front_h2_error(front_h2 *h2, int32_t stream);
/// The code of the peer's GOAWAY, or -1 when there was none.
int64_t front_h2_goaway(front_h2 *h2);

enum front_part { FRONT_HEAD, FRONT_BODY, FRONT_TRAILERS, FRONT_INTERIM };
/// What came of a stream: heads as lines of HTTP/1 (`HTTP/2 200 `, `name: value`, …, an empty line), one after another for interim ones.
const uint8_t *_Nullable front_h2_part(front_h2 *h2, int32_t stream, enum front_part part, size_t *count);

#pragma clang assume_nonnull end
