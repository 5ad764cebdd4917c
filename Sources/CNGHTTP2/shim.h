// libnghttp2, as it is. A data source is a union, whose parts Swift would set one over the other: hence the two wrappers.
#ifndef GATEHOUSE_CNGHTTP2_SHIM_H
#define GATEHOUSE_CNGHTTP2_SHIM_H

#include <nghttp2/nghttp2.h>

static inline nghttp2_data_provider gh_data_provider(int slot, nghttp2_data_source_read_callback read) {
  nghttp2_data_provider provider = {.source = {.fd = slot}, .read_callback = read};
  return provider;
}
static inline int gh_data_source_slot(const nghttp2_data_source *source) { return source->fd; }

#endif
