// Typed doors to the parts of OpenSSL that Swift can't import by itself (macros) or that cost too much the modern way
// (EVP fetches an algorithm by name on each use; the low-level calls hash a credential in a third of a microsecond).
#ifndef GATEHOUSE_COPENSSL_SHIM_H
#define GATEHOUSE_COPENSSL_SHIM_H

#define OPENSSL_SUPPRESS_DEPRECATED 1
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#endif
