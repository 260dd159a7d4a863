/* System calls for upkeep, and nothing else: no policy, no state but what a
 * call cannot do without.  Every decision is TypeScript (src/kernel/native.ts
 * is the only caller).
 *
 * Conventions
 *   - Numbers arrive as double (exact to 2^53), byte strings as pointer and
 *     length.  A byte string that the call fills is passed the same way; the
 *     pointer is const only because the foreign interface knows no other kind.
 *   - Result: >= 0, or -errno.
 *   - Paths carry no terminating NUL; a path with a NUL inside is EINVAL.
 *   - "Block" means NUL-terminated items one after the other (argv, environ).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "upkeep_child.h"
#include "upkeep_sys.h"

#define RET(x) do { int ret_ = (int)(x); return ret_ < 0 ? -errno : ret_; } while (0)
#define OUT(b) ((uint8_t *)(b))
enum { MARKED_BYTES = 4096 };

extern char **environ;

/* What a trap does: see the crash handler below. */
static char **g_crash_argv;
static char *g_crash_path, *g_crash_fallback;
static uint32_t g_crash_keep[1024 / 32];

static int g_argc;
static char **g_argv;
int __real_main(int, char **, char **);
int __wrap_main(int, char **, char **);
static sigset_t g_mask; /* what the process was born with */
/* What a trap of the program ends in. */
static const int g_trap[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
#define TRAPS (sizeof g_trap / sizeof *g_trap)
static sigset_t traps(void) {
  sigset_t s;
  sigemptyset(&s);
  for (size_t i = 0; i < TRAPS; i++) sigaddset(&s, g_trap[i]);
  return s;
}
static sigset_t g_held; /* of these, the ones that wait for k_crash_handler() */

/* The second program, src/main-chpst.ts, and the names it is called by; one
 * may have a `d` in front. */
#define OPTIONAL __attribute__((weak, visibility("hidden")))
int chpst_main(int, char **) OPTIONAL;
void heap_small(void) OPTIONAL;
static int is_chpst(const char *path) {
  static const char names[][12] = {"chpst", "envdir", "envuidgid", "pgrphack", "setlock", "setuidgid", "softlimit"};
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0 || (*name == 'd' && strcmp(name + 1, names[i]) == 0)) return 1;
  return 0;
}

/* What a process does without that is gone in a moment: memory by the page, and the search for cycles in it. */
extern size_t cycle_trigger OPTIONAL;
static void become_brief(void) {
  if (heap_small) heap_small();
  if (&cycle_trigger) cycle_trigger = SIZE_MAX;
}

int __wrap_main(int c, char **v, char **e) {
  g_argc = c;
  g_argv = v;
  if (chpst_main && c > 0 && is_chpst(v[0])) {
    become_brief();
    return chpst_main(c, v);
  }
  sigprocmask(SIG_BLOCK, 0, &g_mask);
  sigset_t all = traps();
  sigandset(&g_held, &g_mask, &all);
  return __real_main(c, v, e);
}

/* The runtime sets up a buffer for a standard output it is never asked for. */
int __wrap_setvbuf(void *, char *, int, size_t);
int __wrap_setvbuf(void *f, char *b, int mode, size_t n) { (void)f; (void)b; (void)mode; (void)n; return 0; }

/* upkeep_heap.c and upkeep.ld, where they are linked. */
void heap_seal(void) OPTIONAL;
void heap_fresh(void) OPTIONAL;
void heap_drop(void) OPTIONAL;
extern uint8_t runtime_state[] OPTIONAL, runtime_state_end[] OPTIONAL;

static void put32(const uint8_t *b, size_t at, uint32_t v) { memcpy(OUT(b) + at, &v, 4); }
static void put64(const uint8_t *b, size_t at, uint64_t v) { memcpy(OUT(b) + at, &v, 8); }
static uint32_t get32(const uint8_t *b, size_t at) { uint32_t v; memcpy(&v, b + at, 4); return v; }

/* A path ended with a NUL, on the stack in no more room than it needs: a
 * forked child pays for every page of stack it touches. */
static int bad_path(const uint8_t *p, size_t n) {
  if (n >= PATH_MAX) return -ENAMETOOLONG;
  return memchr(p, 0, n) ? -EINVAL : 0;
}
#define PATH(name, p, n) \
  { int e_ = bad_path(p, n); if (e_ < 0) return e_; } \
  char name[(n) + 1]; \
  memcpy(name, p, n); \
  name[n] = 0

static size_t count_items(const uint8_t *b, size_t n) {
  size_t c = 0;
  for (size_t i = 0; i < n; i++) if (!b[i]) c++;
  return c;
}
/* Pointers into a block; out has room for count_items() + 1. */
static void point_items(char **out, const uint8_t *b, size_t n) {
  size_t c = 0, start = 0;
  for (size_t i = 0; i < n; i++) if (!b[i]) { out[c++] = (char *)b + start; start = i + 1; }
  out[c] = 0;
}
static void bits_to_set(sigset_t *s, double lo, double hi) {
  sigemptyset(s);
  uint64_t bits = (uint64_t)lo | (uint64_t)hi << 32;
  /* Not sigaddset(3): musl keeps 32 to 34 for itself, and 34 is the first real-time signal of everybody else. */
  memcpy(s, &bits, sizeof bits);
}

/* sigprocmask(2) itself: musl's hides 32 to 34 in what it returns, and restoring that would unblock them. */
static int set_mask(int how, const sigset_t *s, sigset_t *old) {
  return (int)syscall(SYS_rt_sigprocmask, how, s, old, 8);
}

/* --- arguments, environment, title ------------------------------------- */

static size_t copy_block(char **v, size_t count, const uint8_t *b, size_t n) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    size_t l = strlen(v[i]) + 1;
    if (at + l <= n) memcpy(OUT(b) + at, v[i], l);
    at += l;
  }
  return at;
}
int32_t k_args(const uint8_t *b, size_t n) { return (int32_t)copy_block(g_argv, (size_t)g_argc, b, n); }
int32_t k_environ(const uint8_t *b, size_t n) {
  size_t c = 0;
  while (environ && environ[c]) c++;
  return c ? (int32_t)copy_block(environ, c, b, n) : 0;
}

/* Value of one variable (the name without =): its length, cut to b; -ENOENT when not set. */
int32_t k_getenv(const uint8_t *p, size_t pn, const uint8_t *b, size_t n) {
  for (char **e = environ; e && *e; e++) {
    if (strncmp(*e, (const char *)p, pn) || (*e)[pn] != '=') continue;
    size_t l = strlen(*e + pn + 1);
    memcpy(OUT(b), *e + pn + 1, l < n ? l : n);
    return (int32_t)l;
  }
  return -ENOENT;
}

/* The bytes of argv and, behind it, environ as the kernel laid them out: what
 * /proc/PID/cmdline shows.  On the first use the environment moves away. */
static char *g_title;
static size_t g_title_size, g_title_used;
static void claim_title(void) {
  if (g_title || g_argc < 1) return;
  char *end = g_argv[0];
  for (int i = 0; i < g_argc; i++) if (g_argv[i] == end) end += strlen(end) + 1;
  size_t c = 0;
  char *env_end = end;
  while (environ && environ[c]) {
    if (environ[c] == env_end) env_end += strlen(env_end) + 1;
    c++;
  }
  g_title_used = (size_t)(end - g_argv[0]);
  char **copy = c ? calloc(c + 1, sizeof *copy) : 0;
  if (copy) {
    for (size_t i = 0; i < c; i++) if (!(copy[i] = strdup(environ[i]))) return;
    environ = copy;
    end = env_end;
  }
  g_title = g_argv[0];
  g_title_size = (size_t)(end - g_title);
}
/* Replaces what ps shows; returns the bytes there was room for. */
int32_t k_set_title(const uint8_t *b, size_t n) {
  claim_title();
  if (!g_title) return -ENOMEM;
  size_t l = n < g_title_size - 1 ? n : g_title_size - 1;
  if (l < g_title_used) memset(g_title + l, 0, g_title_used - l);
  else g_title_used = l;
  memcpy(g_title, b, l);
  return (int32_t)l;
}
/* The addresses that proc_pid_stat(5) shows, and nothing else but the sizes of
 * struct prctl_mm_map: for k_move_title() in the children to come. */
static struct prctl_mm_map g_layout;
int32_t k_note_layout(void) {
  static const struct { unsigned char field, at; } fields[] = {
    { 26, offsetof(struct prctl_mm_map, start_code) }, { 27, offsetof(struct prctl_mm_map, end_code) },
    { 28, offsetof(struct prctl_mm_map, start_stack) }, { 45, offsetof(struct prctl_mm_map, start_data) },
    { 46, offsetof(struct prctl_mm_map, end_data) }, { 47, offsetof(struct prctl_mm_map, start_brk) },
    { 50, offsetof(struct prctl_mm_map, env_start) }, { 51, offsetof(struct prctl_mm_map, env_end) },
  };
  char b[1024];
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  ssize_t n = read(fd, b, sizeof b - 1);
  close(fd);
  if (n <= 0) return -EIO;
  b[n] = 0;
  char *p = strrchr(b, ')');
  size_t next = 0;
  for (unsigned field = 2; p && next < sizeof fields / sizeof *fields; field++) {
    if (field == fields[next].field) {
      uint64_t v = strtoull(p, 0, 10);
      memcpy((char *)&g_layout + fields[next++].at, &v, sizeof v);
    }
    if ((p = strchr(p, ' '))) p++;
  }
  g_layout.brk = (uint64_t)syscall(SYS_brk, 0);
  g_layout.exe_fd = (uint32_t)-1;
  return next == sizeof fields / sizeof *fields ? 0 : -EIO;
}
/* In a forked child, prctl(2) PR_SET_MM_MAP: what ps shows stands on the heap,
 * and not on the page of the stack that is shared with the parent. (Only in
 * anonymous memory does proc_pid_cmdline(5) read it.) */
int32_t k_move_title(const uint8_t *b, size_t n) {
  char *title = malloc(n + 1);
  if (!title) return -ENOMEM;
  memcpy(title, b, n);
  title[n] = 0;
  struct prctl_mm_map map = g_layout;
  map.arg_start = (uint64_t)(uintptr_t)title;
  map.arg_end = map.arg_start + n + 1;
  if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0) return 0;
  int e = errno;
  free(title);
  return -e;
}
/* prctl(2) PR_SET_NAME: what ps -o comm and pgrep show, 15 bytes. */
int32_t k_set_name(const uint8_t *b, size_t n) {
  char name[16] = { 0 };
  memcpy(name, b, n < 15 ? n : 15);
  RET(prctl(PR_SET_NAME, name));
}

/* --- descriptors and files --------------------------------------------- */

int32_t k_openat(double dir, const uint8_t *p, size_t n, double flags, double mode) {
  PATH(path, p, n);
  RET(openat((int)dir, path, (int)flags, (mode_t)mode));
}
int32_t k_close(double fd) { RET(close((int)fd)); }
int32_t k_read(double fd, const uint8_t *b, size_t n) { RET(read((int)fd, OUT(b), n)); }
int32_t k_write(double fd, const uint8_t *b, size_t n) { RET(write((int)fd, b, n)); }
int32_t k_pread(double fd, const uint8_t *b, size_t n, double at) { RET(pread((int)fd, OUT(b), n, (off_t)at)); }
int32_t k_pwrite(double fd, const uint8_t *b, size_t n, double at) { RET(pwrite((int)fd, b, n, (off_t)at)); }
int32_t k_tee(double in, double out, double len) { RET(tee((int)in, (int)out, (size_t)len, SPLICE_F_NONBLOCK)); }
/* Reads n bytes, and a copy of none: the last of them goes to offset `at` of the file `marked` instead of b, in the same
   system call, so that whoever looks at the file later knows whether the bytes were taken. -EINVAL: nothing to read. */
int32_t k_read_marked(double fd, const uint8_t *b, size_t n, double marked, double at) {
  if (n == 0 || at < 0 || at >= MARKED_BYTES) return -EINVAL;
  uint8_t *page = mmap(0, MARKED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, (int)marked, 0);
  if (page == MAP_FAILED) return -errno;
  struct iovec v[2] = { { OUT(b), n - 1 }, { page + (size_t)at, 1 } };
  int r = (int)readv((int)fd, v, 2);
  int e = errno;
  munmap(page, MARKED_BYTES);
  return r < 0 ? -e : r;
}
int32_t k_splice(double in, double out, double len, double flags) {
  RET(splice((int)in, 0, (int)out, 0, (size_t)len, (unsigned)flags));
}
int32_t k_renameat(double d1, const uint8_t *p1, size_t n1, double d2, const uint8_t *p2, size_t n2) {
  PATH(from, p1, n1);
  PATH(to, p2, n2);
  RET(renameat((int)d1, from, (int)d2, to));
}
int32_t k_linkat(double d1, const uint8_t *p1, size_t n1, double d2, const uint8_t *p2, size_t n2, double flags) {
  PATH(from, p1, n1);
  PATH(to, p2, n2);
  RET(linkat((int)d1, from, (int)d2, to, (int)flags));
}
int32_t k_symlinkat(const uint8_t *t, size_t tn, double dir, const uint8_t *p, size_t n) {
  PATH(target, t, tn);
  PATH(path, p, n);
  RET(symlinkat(target, (int)dir, path));
}
int32_t k_readlinkat(double dir, const uint8_t *p, size_t n, const uint8_t *b, size_t bn) {
  PATH(path, p, n);
  RET(readlinkat((int)dir, path, (char *)OUT(b), bn));
}
int32_t k_unlinkat(double dir, const uint8_t *p, size_t n, double flags) {
  PATH(path, p, n);
  RET(unlinkat((int)dir, path, (int)flags));
}
int32_t k_mkdirat(double dir, const uint8_t *p, size_t n, double mode) {
  PATH(path, p, n);
  RET(mkdirat((int)dir, path, (mode_t)mode));
}
int32_t k_mkfifoat(double dir, const uint8_t *p, size_t n, double mode) {
  PATH(path, p, n);
  RET(mkfifoat((int)dir, path, (mode_t)mode));
}
int32_t k_fchmodat(double dir, const uint8_t *p, size_t n, double mode) {
  PATH(path, p, n);
  RET(fchmodat((int)dir, path, (mode_t)mode, 0));
}
int32_t k_fchmod(double fd, double mode) { RET(fchmod((int)fd, (mode_t)mode)); }
int32_t k_fchown(double fd, double uid, double gid) { RET(fchown((int)fd, (uid_t)uid, (gid_t)gid)); }
int32_t k_faccessat(double dir, const uint8_t *p, size_t n, double mode, double flags) {
  PATH(path, p, n);
  RET(faccessat((int)dir, path, (int)mode, (int)flags));
}
/* out: dev ino mode nlink uid gid size mtime.s mtime.ns, u64 little endian. */
static int32_t put_stat(const struct stat *s, const uint8_t *b, size_t n) {
  if (n < 72) return -EINVAL;
  put64(b, 0, s->st_dev);
  put64(b, 8, s->st_ino);
  put64(b, 16, s->st_mode);
  put64(b, 24, s->st_nlink);
  put64(b, 32, s->st_uid);
  put64(b, 40, s->st_gid);
  put64(b, 48, (uint64_t)s->st_size);
  put64(b, 56, (uint64_t)s->st_mtim.tv_sec);
  put64(b, 64, (uint64_t)s->st_mtim.tv_nsec);
  return 0;
}
int32_t k_fstatat(double dir, const uint8_t *p, size_t n, double flags, const uint8_t *b, size_t bn) {
  PATH(path, p, n);
  struct stat s;
  if (fstatat((int)dir, path, &s, (int)flags) < 0) return -errno;
  return put_stat(&s, b, bn);
}
int32_t k_fstat(double fd, const uint8_t *b, size_t bn) {
  struct stat s;
  if (fstat((int)fd, &s) < 0) return -errno;
  return put_stat(&s, b, bn);
}
int32_t k_getdents(double fd, const uint8_t *b, size_t n) { RET(syscall(SYS_getdents64, (int)fd, b, n)); }
double k_lseek(double fd, double at, double whence) {
  off_t r = lseek((int)fd, (off_t)at, (int)whence);
  return r < 0 ? -errno : (double)r;
}
int32_t k_ftruncate(double fd, double size) { RET(ftruncate((int)fd, (off_t)size)); }
int32_t k_fsync(double fd) { RET(fsync((int)fd)); }
int32_t k_flock(double fd, double op) { RET(flock((int)fd, (int)op)); }
/* A mapping nobody reads: the open file description stays for as long as it does, without a descriptor. Not in children. */
double k_hold(double fd) {
  void *at = mmap(0, 1, PROT_NONE, MAP_PRIVATE, (int)fd, 0);
  if (at == MAP_FAILED) return -errno;
  if (madvise(at, 1, MADV_DONTFORK) == 0) return (double)(uintptr_t)at;
  int e = errno;
  munmap(at, 1);
  return -e;
}
int32_t k_let_go(double at) { RET(munmap((void *)(uintptr_t)at, 1)); }
int32_t k_fcntl(double fd, double cmd, double arg) { RET(fcntl((int)fd, (int)cmd, (long)arg)); }
int32_t k_dup3(double from, double to, double flags) { RET(dup3((int)from, (int)to, (int)flags)); }
int32_t k_pipe2(double flags, const uint8_t *b, size_t n) {
  int p[2];
  if (n < 8) return -EINVAL;
  if (pipe2(p, (int)flags) < 0) return -errno;
  put32(b, 0, (uint32_t)p[0]);
  put32(b, 4, (uint32_t)p[1]);
  return 0;
}
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
int32_t k_close_range(double first, double last) {
  RET(syscall(SYS_close_range, (unsigned)first, last > 4294967295.0 ? ~0u : (unsigned)last, 0));
}
int32_t k_chdir(const uint8_t *p, size_t n) { PATH(path, p, n);
  RET(chdir(path)); }
int32_t k_fchdir(double fd) { RET(fchdir((int)fd)); }
int32_t k_chroot(const uint8_t *p, size_t n) { PATH(path, p, n);
  RET(chroot(path)); }
int32_t k_umask(double mask) { return (int32_t)umask((mode_t)mask); }
void k_sync(void) { sync(); }

/* First place of a byte at or after `from`, or -1. */
int32_t k_memchr(const uint8_t *b, size_t n, double from, double byte) {
  if (!(from >= 0 && from < (double)n)) return -1;
  const uint8_t *at = memchr(b + (size_t)from, (int)byte, n - (size_t)from);
  return at ? (int32_t)(at - b) : -1;
}
/* Last place of a byte at or after `from`, or -1. */
int32_t k_memrchr(const uint8_t *b, size_t n, double from, double byte) {
  if (!(from >= 0 && from < (double)n)) return -1;
  const uint8_t *at = memrchr(b + (size_t)from, (int)byte, n - (size_t)from);
  return at ? (int32_t)(at - b) : -1;
}
/* memcpy between two byte strings; -EINVAL, and nothing done, when out of range. */
int32_t k_copy(const uint8_t *d, size_t dn, double dat, const uint8_t *s, size_t sn, double sat, double len) {
  if (!(dat >= 0 && sat >= 0 && len >= 0 && dat + len <= (double)dn && sat + len <= (double)sn)) return -EINVAL;
  memmove(OUT(d) + (size_t)dat, s + (size_t)sat, (size_t)len);
  return 0;
}
/* Tables of u16: see walkTable() and walkLines() in src/kernel/memory.ts.
 * Most bytes lead back to the row they are in, and then the processor need not
 * wait for one look-up before it begins the next. */
static unsigned entry_at(const uint8_t *t, size_t at) { uint16_t v; memcpy(&v, t + 2 * at, 2); return v; }
static const uint8_t *walk(const uint8_t *t, size_t tn, const uint8_t *classes, unsigned *row, const uint8_t *p, const uint8_t *end) {
  unsigned at = *row;
  while (p < end && 2 * ((size_t)at + 256) <= tn) {
    unsigned next;
    do next = entry_at(t + 2 * at, classes[*p]); while (next == at && ++p < end);
    if (p == end || next > 32767) break;
    at = next;
    p++;
  }
  *row = at;
  return p;
}
double k_walk(const uint8_t *t, size_t tn, const uint8_t *classes, size_t cn, double row, const uint8_t *b, size_t n,
              double from, double to) {
  if (!(cn == 256 && row >= 0 && row < 32768 && from >= 0 && from <= to && to <= (double)n)) return -EINVAL;
  unsigned at = (unsigned)row;
  const uint8_t *p = walk(t, tn, classes, &at, b + (size_t)from, b + (size_t)to);
  return (double)(p - b) * 65536 + at;
}
/* out: for each line the place behind it u32, entry u32. */
int32_t k_walk_lines(const uint8_t *t, size_t tn, const uint8_t *classes, size_t cn, const uint8_t *b, size_t n, double from,
                     double most, const uint8_t *out, size_t on) {
  if (!(cn == 256 && tn >= 512 && from >= 0 && from <= (double)n && most >= 0)) return -EINVAL;
  const uint8_t *p = b + (size_t)from, *end = b + n;
  size_t lines = 0;
  for (; p < end && 8 * lines + 8 <= on; lines++) {
    const uint8_t *stop = most < (double)(end - p) ? p + (size_t)most : end;
    unsigned row = 0;
    p = walk(t, tn, classes, &row, p, stop);
    unsigned entry = entry_at(t, row + classes[p < stop ? *p : '\n']);
    p = memchr(p, '\n', (size_t)(end - p));
    if (!p || entry == 65535) break;
    p++;
    put32(out, 8 * lines, (uint32_t)(p - b));
    put32(out, 8 * lines + 4, entry);
  }
  return (int32_t)lines;
}

/* --- waiting ------------------------------------------------------------ */

int32_t k_epoll_create(void) { RET(epoll_create1(EPOLL_CLOEXEC)); }
int32_t k_epoll_ctl(double ep, double op, double fd, double events, double key) {
  struct epoll_event e;
  memset(&e, 0, sizeof e);
  e.events = (uint32_t)events;
  e.data.u64 = (uint64_t)key;
  RET(epoll_ctl((int)ep, (int)op, (int)fd, &e));
}
/* out: for each ready descriptor key u32, events u32.  timeout in ms, < 0 = none. */
int32_t k_epoll_wait(double ep, const uint8_t *b, size_t n, double timeout) {
  struct epoll_event e[64];
  int max = (int)(n / 8 < 64 ? n / 8 : 64);
  int t = timeout < 0 ? -1 : timeout > 1e9 ? 1000000000 : (int)timeout;
  int r = epoll_wait((int)ep, e, max, t);
  if (r < 0) return -errno;
  for (int i = 0; i < r; i++) {
    put32(b, (size_t)i * 8, (uint32_t)e[i].data.u64);
    put32(b, (size_t)i * 8 + 4, e[i].events);
  }
  return r;
}
/* b: struct pollfd items.  timeout in ms, < 0 = none. */
int32_t k_poll(const uint8_t *b, size_t n, double timeout) {
  int t = timeout < 0 ? -1 : timeout > 1e9 ? 1000000000 : (int)timeout;
  RET(poll((struct pollfd *)OUT(b), n / sizeof(struct pollfd), t));
}
/* Milliseconds with fraction of clock `id` (clock_gettime(2)). */
double k_clock(double id) {
  struct timespec t;
  if (clock_gettime((clockid_t)id, &t) < 0) return -errno;
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}
/* CLOCK_REALTIME as seconds u64, nanoseconds u32. */
int32_t k_wall(const uint8_t *b, size_t n) {
  struct timespec t;
  if (n < 12) return -EINVAL;
  if (clock_gettime(CLOCK_REALTIME, &t) < 0) return -errno;
  put64(b, 0, (uint64_t)t.tv_sec);
  put32(b, 8, (uint32_t)t.tv_nsec);
  return 0;
}
/* Seconds local time is ahead of UTC (localtime_r(3)). */
double k_zone_offset(double seconds) {
  time_t t = (time_t)seconds;
  struct tm l;
  return localtime_r(&t, &l) ? (double)l.tm_gmtoff : 0;
}
int32_t k_inotify_init(void) { RET(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)); }
int32_t k_inotify_add(double fd, const uint8_t *p, size_t n, double mask) {
  PATH(path, p, n);
  RET(inotify_add_watch((int)fd, path, (uint32_t)mask));
}
int32_t k_inotify_remove(double fd, double watch) { RET(inotify_rm_watch((int)fd, (int)watch)); }

/* --- signals and processes ---------------------------------------------- */

int32_t k_sigmask(double how, double lo, double hi) {
  sigset_t s;
  bits_to_set(&s, lo, hi);
  sigorset(&s, &s, &g_held);
  RET(set_mask((int)how, &s, 0));
}
/* What SPAWN_KEEP_MASK keeps: signals 1 to 32, and 33 to 64. */
double k_kept_mask(double high) {
  uint64_t bits;
  memcpy(&bits, &g_mask, sizeof bits);
  return (double)(uint32_t)(high ? bits >> 32 : bits);
}
void k_keep_mask(double lo, double hi) { bits_to_set(&g_mask, lo, hi); }
/* Signals that are ignored (nohup(1), a careless parent) would never arrive,
 * and with SIGCHLD ignored children leave no status: they are default from here on. */
int32_t k_signalfd(double fd, double lo, double hi) {
  sigset_t s;
  struct sigaction a;
  bits_to_set(&s, lo, hi);
  for (int i = 1; i < 65; i++) {
    if (sigismember(&s, i) != 1 || sigaction(i, 0, &a) < 0 || a.sa_handler != SIG_IGN) continue;
    a.sa_handler = SIG_DFL;
    sigaction(i, &a, 0);
  }
  RET(signalfd((int)fd, &s, SFD_CLOEXEC | SFD_NONBLOCK));
}
/* Disposition of one signal: 0 default, 1 ignore. */
int32_t k_sigaction(double sig, double ignore) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_handler = ignore ? SIG_IGN : SIG_DFL;
  RET(sigaction((int)sig, &a, 0));
}
int32_t k_kill(double pid, double sig) { RET(kill((pid_t)pid, (int)sig)); }
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
int32_t k_pidfd_open(double pid) { RET(syscall(SYS_pidfd_open, (pid_t)pid, 0)); }
int32_t k_pidfd_kill(double fd, double sig) { RET(syscall(SYS_pidfd_send_signal, (int)fd, (int)sig, 0, 0)); }
/* Wait status of a dead process by PIDFD_GET_INFO (linux/pidfd.h, 6.15+),
 * or -ENODATA while it lives. */
double k_pidfd_status(double fd) {
  uint64_t info[8] = { 1u << 3 /* PIDFD_INFO_EXIT */ };
  if (ioctl((int)fd, 0xc040ff0bu /* PIDFD_GET_INFO, 64-byte struct */, info) < 0) return -errno;
  if (!(info[0] & 1u << 3)) return -ENODATA;
  uint32_t status;
  memcpy(&status, (char *)info + 60, 4);
  return status;
}
/* waitpid(2); out: status u32. */
int32_t k_waitpid(double pid, double options, const uint8_t *b, size_t n) {
  int st = 0;
  if (n < 4) return -EINVAL;
  pid_t r = waitpid((pid_t)pid, &st, (int)options);
  if (r < 0) return -errno;
  put32(b, 0, (uint32_t)st);
  return (int32_t)r;
}
int32_t k_fork(void) {
  pid_t r = fork();
  if (r == 0 && heap_fresh) heap_fresh();
  return r < 0 ? -errno : (int32_t)r;
}
/* From here on what is allocated is not for children: those of k_fork_anew() do not have it, and k_fork() must not be used. */
void k_seal_heap(void) {
  if (heap_seal) heap_seal();
}
/* A child that has nothing of what its parent allocated since k_seal_heap(), and
 * with it goes what the language's runtime remembers of it (its variables are as
 * before main), and the crash handler. */
int32_t k_fork_anew(void) {
  pid_t r = fork();
  if (r == 0 && heap_drop) {
    memset(g_crash_keep, 0, sizeof g_crash_keep);
    g_crash_argv = 0;
    g_crash_path = 0;
    memset(runtime_state, 0, (size_t)(runtime_state_end - runtime_state));
    heap_fresh();
    heap_drop();
  }
  return r < 0 ? -errno : (int32_t)r;
}
/* Bytes for such a child: the parent keeps them here, the child copies them. In
 * slot 0, in a page that each child writes to anyway, what differs from one to
 * the next; in slot 1 what is the same for all. */
static uint8_t g_kept[NAME_MAX + 9], kept_by_all[PATH_MAX + 32];
static size_t g_kept_size, kept_by_all_size;
int32_t k_keep(double slot, const uint8_t *b, size_t n) {
  int all = slot > 0;
  if (n > (all ? sizeof kept_by_all : sizeof g_kept)) return -ENAMETOOLONG;
  memcpy(all ? kept_by_all : g_kept, b, n);
  *(all ? &kept_by_all_size : &g_kept_size) = n;
  return 0;
}
int32_t k_kept(double slot, const uint8_t *b, size_t n) {
  int all = slot > 0;
  size_t size = all ? kept_by_all_size : g_kept_size;
  memcpy(OUT(b), all ? kept_by_all : g_kept, n < size ? n : size);
  return (int32_t)size;
}

/* Forgets which pages of the program this process has used, then waits until fd
 * is readable, or `timeout` ms (< 0: no limit).  The pages stay in memory for
 * whoever uses them and come back at the next use, but a process that has
 * started and now waits counts few of them as its own; hence both in one call. */
int32_t k_rest(double fd, double timeout) {
  extern const char __executable_start[], etext[];
  uintptr_t from = (uintptr_t)__executable_start & ~(uintptr_t)4095, to = ((uintptr_t)etext + 4095) & ~(uintptr_t)4095;
  struct pollfd p = { (int)fd, POLLIN, 0 };
  int t = timeout < 0 ? -1 : timeout > 1e9 ? 1000000000 : (int)timeout;
  madvise((void *)from, to - from, MADV_DONTNEED);
  RET(poll(&p, 1, t));
}
/* A pair of connected sockets that keep messages apart.  b: two i32. */
int32_t k_socketpair(const uint8_t *b, size_t n) {
  int fd[2];
  if (n < 8) return -EINVAL;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0) return -errno;
  put32(b, 0, (uint32_t)fd[0]);
  put32(b, 4, (uint32_t)fd[1]);
  return 0;
}
/* A message, and a descriptor with it (unix(7), SCM_RIGHTS) unless fd < 0.  Does not wait. */
int32_t k_send_fd(double sock, double fd, const uint8_t *b, size_t n) {
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } c;
  struct iovec v = { OUT(b), n };
  struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
  if (fd >= 0) {
    int it = (int)fd;
    memset(&c, 0, sizeof c);
    m.msg_control = &c;
    m.msg_controllen = sizeof c;
    c.head.cmsg_level = SOL_SOCKET;
    c.head.cmsg_type = SCM_RIGHTS;
    c.head.cmsg_len = CMSG_LEN(sizeof it);
    memcpy(CMSG_DATA(&c.head), &it, sizeof it);
  }
  RET(sendmsg((int)sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL));
}
/* The next message into b (its length is returned, 0 when the other side is gone); its descriptor into out, i32, or -1. */
int32_t k_recv_fd(double sock, const uint8_t *b, size_t n, const uint8_t *out, size_t on) {
  union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } c;
  struct iovec v = { OUT(b), n };
  struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
  int fd = -1;
  if (on < 4) return -EINVAL;
  ssize_t r = recvmsg((int)sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (r < 0) return -errno;
  struct cmsghdr *h = CMSG_FIRSTHDR(&m);
  if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(h), sizeof fd);
  put32(out, 0, (uint32_t)fd);
  return (int32_t)r;
}

static struct rlimit64 g_limits;
static int g_limited;
/* prlimit(2) RLIMIT_NOFILE for the programs started from now on. */
void k_limit_programs(const uint8_t *b, size_t n) {
  if (n < sizeof g_limits) return;
  memcpy(&g_limits, b, sizeof g_limits);
  g_limited = 1;
}

/* From fork to exec in one call: struct child has the meaning of dir and moves.
 *   opt    u32: flags (CHILD_*, 8 env is empty: keep ours, 32 mask: also what we were born with),
 *          mask lo, hi, default lo, hi, record fd, record at
 *   out    u32 errno of a failed exec or set-up step, u32 which (STEP_*)
 * Returns the pid, or -errno when there is no child. */
int32_t k_spawn(double dir, const uint8_t *p, size_t pn, const uint8_t *av, size_t an, const uint8_t *ev, size_t en,
                const uint8_t *moves, size_t mn, const uint8_t *opt, size_t on, const uint8_t *out, size_t outn) {
  if (on < 28 || outn < 8) return -EINVAL;
  PATH(path, p, pn);
  size_t ac = count_items(av, an), ec = count_items(ev, en);
  char **argv = malloc((ac + ec + 2) * sizeof *argv);
  if (!argv) return -ENOMEM;
  point_items(argv, av, an);
  point_items(argv + ac + 1, ev, en);
  uint32_t flags = get32(opt, 0);
  sigset_t blocked, defaults, all, old;
  bits_to_set(&blocked, get32(opt, 4), get32(opt, 8));
  bits_to_set(&defaults, get32(opt, 12), get32(opt, 16));
  for (int s = 1; s < 65; s++)
    if (flags & 32 && sigismember(&g_mask, s) == 1 && sigismember(&defaults, s) != 1) sigaddset(&blocked, s);
  struct child c = {
    .dir = (int)dir, .path = path, .argv = argv, .envp = flags & 8 ? environ : argv + ac + 1,
    .moves = moves, .moves_bytes = mn, .flags = flags, .blocked = &blocked, .defaults = &defaults,
    .record = (int32_t)get32(opt, 20), .record_at = get32(opt, 24), .files = g_limited ? &g_limits : 0,
  };
  sigfillset(&all);
  set_mask(SIG_SETMASK, &all, &old);
  pid_t pid = start_child(&c);
  set_mask(SIG_SETMASK, &old, 0);
  free(argv);
  put32(out, 0, (uint32_t)c.error);
  put32(out, 4, c.error ? (uint32_t)c.step : 0);
  return (int32_t)pid;
}
int32_t k_few_descriptors(double given) { return few_descriptors((int)given); }
/* Becomes the second program, in this process, with these words; does not return. */
int32_t k_chpst(const uint8_t *av, size_t n) {
  if (!chpst_main) return -ENOSYS;
  char **argv = malloc((count_items(av, n) + 1) * sizeof *argv);
  if (!argv) return -ENOMEM;
  point_items(argv, av, n);
  g_argc = (int)count_items(av, n);
  g_argv = argv;
  _exit(chpst_main(g_argc, argv));
}

/* execve(2); keep != 0 passes the process's own environment. */
int32_t k_exec(const uint8_t *p, size_t pn, const uint8_t *av, size_t an, const uint8_t *ev, size_t en, double keep) {
  PATH(path, p, pn);
  char **argv = malloc((count_items(av, an) + 1) * sizeof *argv);
  char **envp = malloc((count_items(ev, en) + 1) * sizeof *envp);
  if (!argv || !envp) return -ENOMEM;
  point_items(argv, av, an);
  point_items(envp, ev, en);
  execve(path, argv, keep ? environ : envp);
  int e = errno;
  free(argv);
  free(envp);
  return -e;
}
void k_exit(double code) { _exit((int)code); }
int32_t k_getpid(void) { return (int32_t)getpid(); }
int32_t k_getppid(void) { return (int32_t)getppid(); }
int32_t k_getsid(double pid) { RET(getsid((pid_t)pid)); }
int32_t k_setsid(void) { RET(setsid()); }
int32_t k_setpgid(double pid, double group) { RET(setpgid((pid_t)pid, (pid_t)group)); }
int32_t k_tcsetpgrp(double fd, double group) { RET(tcsetpgrp((int)fd, (pid_t)group)); }
int32_t k_isatty(double fd) { return isatty((int)fd); }
int32_t k_ctty(double fd) { RET(ioctl((int)fd, TIOCSCTTY, 0)); }
int32_t k_reboot(double cmd) { RET(reboot((int)(uint32_t)cmd)); }
int32_t k_prctl(double op, double a, double b, double c, double d) {
  RET(prctl((int)op, (unsigned long)a, (unsigned long)b, (unsigned long)c, (unsigned long)d));
}

/* --- credentials, limits, scheduling ------------------------------------ */

double k_getuid(void) { return getuid(); }
double k_geteuid(void) { return geteuid(); }
double k_getgid(void) { return getgid(); }
/* Without the C library's broadcast to threads: there are none, and it costs six system calls. */
int32_t k_setuid(double id) { RET(syscall(SYS_setuid, (uid_t)id)); }
int32_t k_setgid(double id) { RET(syscall(SYS_setgid, (gid_t)id)); }
/* b: u32 items. */
int32_t k_setgroups(const uint8_t *b, size_t n) { RET(syscall(SYS_setgroups, n / 4, b)); }
int32_t k_getgroups(const uint8_t *b, size_t n) { RET(syscall(SYS_getgroups, n / 4, b)); }
/* b: soft u64, hard u64. */
int32_t k_getrlimit(double what, const uint8_t *b, size_t n) {
  if (n < 16) return -EINVAL;
  RET(syscall(SYS_prlimit64, 0, (int)what, 0, b));
}
int32_t k_setrlimit(double what, const uint8_t *b, size_t n) {
  if (n < 16) return -EINVAL;
  RET(syscall(SYS_prlimit64, 0, (int)what, b, 0));
}
int32_t k_nice(double inc) {
  errno = 0;
  int r = nice((int)inc);
  return r == -1 && errno ? -errno : 0;
}
/* Sets the nice value of this process. */
int32_t k_setpriority(double value) {
  if (setpriority(PRIO_PROCESS, 0, (int)value) == 0) return 0;
  return errno == EACCES ? -EPERM : -errno;
}
int32_t k_ioprio_set(double value) { RET(syscall(SYS_ioprio_set, 1, 0, (int)value)); }
int32_t k_sched_setscheduler(double policy, double priority) {
  struct { int priority; } p = { (int)priority };
  RET(syscall(SYS_sched_setscheduler, 0, (int)policy, &p));
}
/* b: bit mask, little endian. */
int32_t k_sched_setaffinity(const uint8_t *b, size_t n) { RET(syscall(SYS_sched_setaffinity, 0, n, b)); }
/* b: effective, permitted, inheritable u64 (version 3, capget(2)). */
int32_t k_capget(const uint8_t *b, size_t n) {
  uint32_t head[2] = { 0x20080522, 0 }, data[6];
  if (n < 24) return -EINVAL;
  if (syscall(SYS_capget, head, data) < 0) return -errno;
  for (int i = 0; i < 3; i++) put64(b, (size_t)i * 8, data[i] | (uint64_t)data[i + 3] << 32);
  return 0;
}
int32_t k_capset(const uint8_t *b, size_t n) {
  uint32_t head[2] = { 0x20080522, 0 }, data[6];
  if (n < 24) return -EINVAL;
  for (size_t i = 0; i < 3; i++) { data[i] = get32(b, i * 8); data[i + 3] = get32(b, i * 8 + 4); }
  RET(syscall(SYS_capset, head, data));
}

/* --- datagrams (svlogd) --------------------------------------------------- */

int32_t k_udp_socket(void) { RET(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }
/* ip: host order u32. */
int32_t k_udp_send(double fd, const uint8_t *b, size_t n, double ip, double port) {
  struct sockaddr_in a;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl((uint32_t)ip);
  a.sin_port = htons((uint16_t)port);
  RET(sendto((int)fd, b, n, 0, (struct sockaddr *)&a, sizeof a));
}

/* --- crash handler --------------------------------------------------------
 * A trap of the compiled program (abort, bad memory access, stack overflow)
 * replaces the process by a fresh image of the same program under the same
 * pid: open descriptors named with k_crash_keep() stay open, children stay
 * children, and what k_crash_save() named can be read from a descriptor.  What
 * to run is decided beforehand, by k_crash_handler(). */
static const uint8_t *g_saved;
static size_t g_saved_bytes;
static int g_saved_fd;
/* These bytes, as they are at the time, are what fd, one of our own, holds after a crash. */
void k_crash_save(const uint8_t *b, size_t n, double fd) {
  g_saved = b;
  g_saved_bytes = n;
  g_saved_fd = (int)fd;
}
static void hand_on_saved(void) {
  int fd = g_saved_bytes ? memfd_create("saved", 0) : -1;
  if (fd < 0) return;
  for (size_t at = 0; at < g_saved_bytes;) {
    ssize_t n = pwrite(fd, g_saved + at, g_saved_bytes - at, (off_t)at);
    if (n <= 0) break;
    at += (size_t)n;
  }
  dup2(fd, g_saved_fd);
  close(fd);
}

static void on_crash(int sig, siginfo_t *info, void *context) {
  (void)sig;
  (void)context;
  /* kill(2) from outside is no trap: process 1 does not die of it without a handler either. */
  if (getpid() == 1 && info->si_code <= 0 && info->si_pid != 1) return;
  if (!g_crash_path) _exit(111);
  /* Others that were sent along with it are no reason to begin anew once more. */
  sigset_t all = traps();
  struct timespec now = { 0, 0 };
  while (sigtimedwait(&all, 0, &now) > 0) { }
  for (int fd = 3; fd < 1024; fd++)
    if (g_crash_keep[fd / 32] >> (fd % 32) & 1) fcntl(fd, F_SETFD, 0);
  hand_on_saved();
  /* The mask stays: what is blocked must not be lost between here and the new image, which has no handler yet. */
  execve(g_crash_path, g_crash_argv, environ);
  if (*g_crash_fallback) execve(g_crash_fallback, g_crash_argv, environ);
  _exit(111);
}

/* The stack the handler runs on: the ordinary one may be what overflowed. A frame on it is 12 kB where a processor has
 * wide registers (getauxval(3), AT_MINSIGSTKSZ); pages nobody has touched take no memory. */
static int alternate_stack(void) {
  static char crash_stack[65536];
  stack_t s;
  memset(&s, 0, sizeof s);
  s.ss_size = sizeof crash_stack;
  s.ss_sp = crash_stack;
  RET(sigaltstack(&s, 0));
}

/* path: image to run; block: its argv; fallback: path for a system without /proc. */
int32_t k_crash_handler(const uint8_t *p, size_t pn, const uint8_t *av, size_t an, const uint8_t *f, size_t fn) {
  PATH(path, p, pn);
  PATH(fallback, f, fn);
  size_t count = count_items(av, an);
  char **argv = malloc((count + 1) * sizeof *argv + an + pn + fn + 2);
  if (!argv) return -ENOMEM;
  char *text = (char *)(argv + count + 1);
  memcpy(text, av, an);
  point_items(argv, (const uint8_t *)text, an);
  g_crash_path = memcpy(text + an, path, pn + 1);
  g_crash_fallback = memcpy(text + an + pn + 1, fallback, fn + 1);
  free(g_crash_argv);
  g_crash_argv = argv;
  int e = alternate_stack();
  if (e < 0) return e;
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = on_crash;
  a.sa_flags = SA_ONSTACK | SA_SIGINFO;
  /* When all of them are sent at once, one is looked at after the other: no pile of frames. */
  a.sa_mask = traps();
  for (size_t i = 0; i < TRAPS; i++) if (sigaction(g_trap[i], &a, 0) < 0) return -errno;
  sigset_t held = g_held;
  sigemptyset(&g_held);
  RET(sigprocmask(SIG_UNBLOCK, &held, 0));
}
/* Whether descriptor fd, one of our own, stays open across a crash. One that did is ours alone again from here on. */
int32_t k_crash_keep(double fd, double keep) {
  if (!(fd >= 3 && fd < 1024)) return -EINVAL;
  uint32_t i = (uint32_t)fd, bit = 1u << (i % 32);
  g_crash_keep[i / 32] = keep ? g_crash_keep[i / 32] | bit : g_crash_keep[i / 32] & ~bit;
  return keep ? fcntl((int)fd, F_SETFD, FD_CLOEXEC) : 0;
}

/* --- what a forked child keeps ------------------------------------------ */

static uint32_t g_given[1024 / 32];
/* Remembers the descriptors this process was started with: call before any is opened. */
void k_note_descriptors(void) {
  for (int fd = 3; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) == 0) g_given[fd / 32] |= 1u << (fd % 32);
}
/* What exec(2) would do in a forked child that goes on without: closes what its
 * parent opened for itself, but for a and b (either may be -1). */
void k_close_private(double a, double b) {
  int low = (int)(a < b ? a : b), high = (int)(a < b ? b : a), from = 3;
  for (int fd = 3; fd < 1024; fd++) {
    int given = (g_given[fd / 32] & ~g_crash_keep[fd / 32]) >> (fd % 32) & 1;
    if (!given && fd != low && fd != high) continue;
    if (fd > from) k_close_range(from, fd - 1);
    from = fd + 1;
  }
  for (int i = 0; i < 2; i++) {
    int fd = i ? high : low;
    if (fd < from) continue;
    if (fd > from) k_close_range(from, fd - 1);
    from = fd + 1;
  }
  k_close_range(from, 4294967295.0);
}
