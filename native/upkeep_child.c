/* What happens between fork and exec, and which kind of fork it is. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "upkeep_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Low descriptors that are kept free to hand others on in; none: children get copies of all. */
enum { SLOTS = 4 };
static int g_slot[SLOTS], g_slots;
/* So many descriptors a child copies: a multiple of 64, as Linux before 6.11 leaves traces of the others if it is none. */
static int g_low;
enum { LOW_MAX = 1024 };
#define UNSHARE 2u /* CLOSE_RANGE_UNSHARE */

static int close_high(unsigned from) { return (int)syscall(SYS_close_range, from, ~0u, UNSHARE); }

/* A child whose memory and descriptors are its parent's, until exec or its end: as vfork(2), which copies the
 * descriptors. Inline, so that there is no frame that both return from. */
#if defined(__x86_64__)
static inline __attribute__((always_inline)) long share_all(void) {
  long r = SYS_clone;
  register long tid __asm__("r10") = 0;
  register long tls __asm__("r8") = 0;
  __asm__ volatile("syscall"
                   : "+a"(r)
                   : "D"((long)(CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD)), "S"(0L), "d"(0L), "r"(tid), "r"(tls)
                   : "rcx", "r11", "memory");
  return r;
}
int few_descriptors(int given) {
  g_low = (given + SLOTS + 63) & ~63;
  if (given < 0 || g_low > LOW_MAX) return -EMFILE;
  if (close_high(~0u) < 0) return -errno;
  for (int i = 0; i < SLOTS; i++) {
    g_slot[i] = fcntl(0, F_DUPFD_CLOEXEC, given);
    if (g_slot[i] < 0) return -errno;
    if (g_slot[i] >= g_low) return -EMFILE;
  }
  g_slots = SLOTS;
  return 0;
}
#else
static inline long share_all(void) { return -ENOSYS; }
int few_descriptors(int given) { return (void)given, -ENOSYS; }
#endif

static int32_t at(const uint8_t *moves, size_t i) { int32_t v; memcpy(&v, moves + i, 4); return v; }

/* Copies of the high ones that are moved, and moves that name the copies; 0: they do not fit. */
static int fill_slots(const struct child *c, uint8_t *low) {
  int used = 0;
  for (size_t i = 0; i + 8 <= c->moves_bytes; i += 8) {
    int32_t from = at(c->moves, i), to = at(c->moves, i + 4);
    if (from >= g_low) {
      if (used == g_slots || dup3(from, g_slot[used], O_CLOEXEC) < 0) return 0;
      from = g_slot[used++];
    }
    memcpy(low + i, &from, 4);
    memcpy(low + i + 4, &to, 4);
  }
  return 1;
}
static void empty_slots(const struct child *c) {
  int used = 0;
  for (size_t i = 0; i + 8 <= c->moves_bytes && used < g_slots; i += 8)
    if (at(c->moves, i) >= g_low) dup3(0, g_slot[used++], O_CLOEXEC);
}

/* In the child. light: its descriptors are its parent's until they have become few. */
static int run(struct child *c, const uint8_t *moves, int light) {
  c->step = STEP_SETUP;
  if (c->flags & CHILD_SETSID) setsid();
  if (c->flags & CHILD_SETPGID) setpgid(0, 0);
  if (c->flags & CHILD_FOREGROUND) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    setpgid(0, 0);
    tcsetpgrp(0, getpgrp());
  }
  if (c->record >= 0) {
    uint32_t me = (uint32_t)getpid();
    if (pwrite(c->record, &me, 4, c->record_at) < 0) { /* the record is a help, not a condition */ }
  }
  int entered = c->dir < 0 ? 0 : fchdir(c->dir), why = errno;
  if (light && close_high((unsigned)g_low) < 0 && unshare(CLONE_FILES) < 0) return errno;
  for (size_t i = 0; i + 8 <= c->moves_bytes; i += 8) {
    int from = at(moves, i), to = at(moves, i + 4);
    if (from < 0) { close(to); continue; }
    if (from == to) { if (fcntl(to, F_SETFD, 0) < 0) return errno; continue; }
    if (dup2(from, to) < 0) return errno;
  }
  if (c->flags & CHILD_CTTY) ioctl(0, TIOCSCTTY, 0);
  if (c->files) syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, c->files, 0);
  c->step = STEP_CHDIR;
  if (entered < 0) return why;
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_handler = SIG_DFL;
  for (int s = 1; s < 65; s++) if (sigismember(c->defaults, s) == 1) sigaction(s, &a, 0);
  sigprocmask(SIG_SETMASK, c->blocked, 0);
  c->step = STEP_EXEC;
  execve(c->path, c->argv, c->envp);
  return errno;
}

/* vfork(2) apart from everything else, as its frame is shared with the child. */
static __attribute__((noinline)) pid_t fork_and_run(struct child *c, const uint8_t *moves, int light) {
  pid_t pid = light ? (pid_t)share_all() : vfork();
  if (pid == 0) {
    c->error = run(c, moves, light);
    _exit(111);
  }
  return pid < 0 && !light ? -errno : pid;
}

pid_t start_child(struct child *c) {
  uint8_t low[8 * SLOTS];
  int light = g_slots > 0 && c->moves_bytes <= sizeof low && fill_slots(c, low);
  pid_t pid = fork_and_run(c, light ? low : c->moves, light);
  if (g_slots > 0) empty_slots(c);
  return pid;
}
