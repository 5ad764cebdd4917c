#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CFront.h"

enum { PARTS = 4, STREAMS = 4096 };

struct text {
  uint8_t *bytes;
  size_t count, room;
};

struct stream {
  struct text parts[PARTS];
  // The request: names and values, one after another, and its body.
  uint8_t *fields, *body;
  size_t body_count, body_sent;
  int status, ended;
  int32_t number;
  uint32_t error;
};

struct front_h2 {
  nghttp2_session *session;
  // By place(number). One that has ended is kept until its place is needed.
  struct stream *streams[STREAMS];
  int64_t goaway;
};

static void append(struct text *text, const void *bytes, size_t count) {
  if (text->room - text->count < count) {
    text->room = (text->count + count) * 2;
    text->bytes = realloc(text->bytes, text->room);
    if (text->bytes == NULL) abort();
  }
  memcpy(text->bytes + text->count, bytes, count);
  text->count += count;
}

static size_t place(int32_t number) { return ((size_t)number - 1) / 2 % STREAMS; }

static struct stream *find(front_h2 *h2, int32_t number) {
  struct stream *stream = number > 0 ? h2->streams[place(number)] : NULL;
  return stream != NULL && stream->number == number ? stream : NULL;
}

static void forget(struct stream *stream) {
  if (stream == NULL) return;
  for (int part = 0; part < PARTS; part++) free(stream->parts[part].bytes);
  free(stream->fields);
  free(stream->body);
  free(stream);
}

// A head's fields gather in FRONT_TRAILERS until it is known what they are.
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_count, const uint8_t *value,
                     size_t value_count, uint8_t flags, void *data) {
  (void)session, (void)flags;
  struct stream *stream = find(data, frame->hd.stream_id);
  if (stream == NULL) return 0;
  struct text *text = &stream->parts[FRONT_TRAILERS];
  if (name_count == 7 && memcmp(name, ":status", 7) == 0) {
    stream->status = (int)strtol((const char *)value, NULL, 10);
    append(text, "HTTP/2 ", 7);
    append(text, value, value_count);
    append(text, " \r\n", 3);
    return 0;
  }
  append(text, name, name_count);
  append(text, ": ", 2);
  append(text, value, value_count);
  append(text, "\r\n", 2);
  return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data) {
  (void)session;
  front_h2 *h2 = data;
  if (frame->hd.type == NGHTTP2_GOAWAY) h2->goaway = frame->goaway.error_code;
  struct stream *stream = find(h2, frame->hd.stream_id);
  if (stream == NULL) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && stream->status != 0 && stream->parts[FRONT_HEAD].count == 0) {
    struct text *gathered = &stream->parts[FRONT_TRAILERS];
    append(gathered, "\r\n", 2);
    append(&stream->parts[stream->status < 200 ? FRONT_INTERIM : FRONT_HEAD], gathered->bytes, gathered->count);
    gathered->count = 0;
  }
  return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t number, const uint8_t *bytes, size_t count, void *data) {
  (void)session, (void)flags;
  struct stream *stream = find(data, number);
  if (stream != NULL) append(&stream->parts[FRONT_BODY], bytes, count);
  return 0;
}

static int on_close(nghttp2_session *session, int32_t number, uint32_t error, void *data) {
  (void)session;
  struct stream *stream = find(data, number);
  if (stream != NULL) stream->ended = 1, stream->error = error;
  return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t number, uint8_t *bytes, size_t count, uint32_t *flags, nghttp2_data_source *source,
                         void *data) {
  (void)session, (void)number, (void)data;
  struct stream *stream = source->ptr;
  size_t left = stream->body_count - stream->body_sent, part = left < count ? left : count;
  memcpy(bytes, stream->body + stream->body_sent, part);
  stream->body_sent += part;
  if (part == left) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)part;
}

front_h2 *front_h2_new(void) {
  front_h2 *h2 = calloc(1, sizeof *h2);
  nghttp2_session_callbacks *callbacks = NULL;
  nghttp2_option *option = NULL;
  if (h2 == NULL || nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) return NULL;
  h2->goaway = -1;
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_session_client_new2(&h2->session, callbacks, h2, option);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
  nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20}};
  nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, 2);
  nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
  return h2;
}

void front_h2_free(front_h2 *h2) {
  nghttp2_session_del(h2->session);
  for (size_t i = 0; i < STREAMS; i++) forget(h2->streams[i]);
  free(h2);
}

int32_t front_h2_request(front_h2 *h2, const void *const *fields, const size_t *lengths, size_t count, const void *body, size_t body_count) {
  nghttp2_nv *pairs = calloc(count + 1, sizeof *pairs);
  struct stream *stream = calloc(1, sizeof *stream);
  if (pairs == NULL || stream == NULL) abort();
  // What nghttp2 copies it puts into lower case: so these are kept as they are, here.
  size_t room = 0;
  for (size_t i = 0; i < 2 * count; i++) room += lengths[i];
  uint8_t *next = stream->fields = malloc(room + 1);
  if (next == NULL) abort();
  for (size_t i = 0; i < count; i++) {
    pairs[i] = (nghttp2_nv){next, next + lengths[2 * i], lengths[2 * i], lengths[2 * i + 1],
                            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
    memcpy(next, fields[2 * i], lengths[2 * i]);
    memcpy(next + lengths[2 * i], fields[2 * i + 1], lengths[2 * i + 1]);
    next += lengths[2 * i] + lengths[2 * i + 1];
  }
  nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = read_body};
  if (body != NULL) {
    stream->body = malloc(body_count + 1);
    if (stream->body == NULL) abort();
    memcpy(stream->body, body, body_count);
    stream->body_count = body_count;
  }
  int32_t number = nghttp2_submit_request(h2->session, NULL, pairs, count, body != NULL ? &provider : NULL, NULL);
  free(pairs);
  if (number < 0) {
    forget(stream);
    return -1;
  }
  struct stream *before = h2->streams[place(number)];
  // So many at a time no test has.
  if (before != NULL && !before->ended) abort();
  forget(before);
  stream->number = number;
  h2->streams[place(number)] = stream;
  return number;
}

ssize_t front_h2_output(front_h2 *h2, const uint8_t **bytes) { return nghttp2_session_mem_send(h2->session, bytes); }

_Bool front_h2_input(front_h2 *h2, const void *bytes, size_t count) {
  return nghttp2_session_mem_recv(h2->session, bytes, count) == (ssize_t)count;
}

_Bool front_h2_has_ended(front_h2 *h2, int32_t number) {
  struct stream *stream = find(h2, number);
  return stream == NULL || stream->ended;
}

uint32_t front_h2_error(front_h2 *h2, int32_t number) {
  struct stream *stream = find(h2, number);
  return stream == NULL ? 0 : stream->error;
}

int64_t front_h2_goaway(front_h2 *h2) { return h2->goaway; }

const uint8_t *front_h2_part(front_h2 *h2, int32_t number, enum front_part part, size_t *count) {
  struct stream *stream = find(h2, number);
  *count = stream == NULL ? 0 : stream->parts[part].count;
  return stream == NULL ? NULL : stream->parts[part].bytes;
}
