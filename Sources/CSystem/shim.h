// System calls that Swift's own modules do not offer.
#pragma once

#if defined(__linux__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Exchanges two paths in one step (renameat2 with RENAME_EXCHANGE, Linux 3.15): 0, or -1 with errno.
static inline int system_exchange(const char *first, const char *second) {
  const unsigned exchange = 1 << 1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, exchange);
}
#elif defined(__APPLE__)
#include <stdio.h>

/// Exchanges two paths in one step (renamex_np with RENAME_SWAP): 0, or -1 with errno.
static inline int system_exchange(const char *first, const char *second) {
  return renamex_np(first, second, RENAME_SWAP);
}
#endif
