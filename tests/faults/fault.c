/* Preloaded into an unmodified pmtop: the k-th call of a kind, counted over all threads, fails or kills the process.
 * FAULT_KIND write|sync|rename|truncate|open   FAULT_AT k   FAULT_DO ENOSPC|EDQUOT|EIO|KILL   FAULT_ON 1: all later calls too
 * FAULT_COUNT file: calls of each kind, written at the end. (strace -f counts each thread by itself.) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *kinds[] = {"write", "sync", "rename", "truncate", "open"};
static atomic_long seen[5];
static int kind = -1, on, error;
static long at;

__attribute__((constructor)) static void start(void) {
  const char *k = getenv("FAULT_KIND"), *a = getenv("FAULT_AT"), *d = getenv("FAULT_DO");
  on = getenv("FAULT_ON") != NULL;
  at = a ? atol(a) : 0;
  error = !d || !strcmp(d, "KILL") ? 0 : !strcmp(d, "EIO") ? EIO : !strcmp(d, "EDQUOT") ? EDQUOT : ENOSPC;
  for (int i = 0; k && i < 5; i++)
    if (!strcmp(k, kinds[i])) kind = i;
}

__attribute__((destructor)) static void stop(void) {
  const char *path = getenv("FAULT_COUNT");
  FILE *out = path ? fopen(path, "w") : NULL;
  for (int i = 0; out && i < 5; i++) fprintf(out, "%s %ld\n", kinds[i], seen[i]);
  if (out) fclose(out);
}

static int fault(int which) {
  long k = atomic_fetch_add(&seen[which], 1) + 1;
  if (which != kind || !(k == at || (on && k > at))) return 0;
  if (!error) raise(SIGKILL);
  errno = error;
  return 1;
}

#define WRAP(type, name, which, when, args, ...)                        \
  type name args {                                                      \
    static type(*real) args;                                            \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);               \
    if ((when) && fault(which)) return -1;                              \
    return real(__VA_ARGS__);                                           \
  }

WRAP(ssize_t, write, 0, f > 2, (int f, const void *b, size_t n), f, b, n)
WRAP(ssize_t, writev, 0, f > 2, (int f, const struct iovec *v, int n), f, v, n)
WRAP(ssize_t, pwrite, 0, 1, (int f, const void *b, size_t n, off_t o), f, b, n, o)
WRAP(ssize_t, pwrite64, 0, 1, (int f, const void *b, size_t n, off_t o), f, b, n, o)
WRAP(int, fsync, 1, 1, (int f), f)
WRAP(int, fdatasync, 1, 1, (int f), f)
WRAP(int, rename, 2, 1, (const char *a, const char *b), a, b)
WRAP(int, link, 2, 1, (const char *a, const char *b), a, b)
WRAP(int, linkat, 2, 1, (int x, const char *a, int y, const char *b, int g), x, a, y, b, g)
WRAP(int, mkdir, 2, 1, (const char *a, mode_t m), a, m)
WRAP(int, ftruncate, 3, 1, (int f, off_t n), f, n)
WRAP(int, ftruncate64, 3, 1, (int f, off_t n), f, n)

#define OPEN(name)                                                      \
  int name(const char *path, int flags, ...) {                          \
    static int (*real)(const char *, int, ...);                         \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);               \
    va_list list;                                                       \
    va_start(list, flags);                                              \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
    va_end(list);                                                       \
    if ((flags & O_ACCMODE) != O_RDONLY && fault(4)) return -1;         \
    return real(path, flags, mode);                                     \
  }
OPEN(open)
OPEN(open64)
