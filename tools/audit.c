/* Linked into the sanitized program only (tools/sanitize.ts): lets a command
 * return from main instead of calling _exit, so that the runtime's audit of
 * reference counts and the leak check run, and makes what they find a file
 * that no redirected standard error can hide. */
#include <fcntl.h>
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pid_t g_first;
static int g_code = -1;

void __real_k_exit(double code);
void __wrap_k_exit(double code);
void __real__Exit(int code) __attribute__((noreturn));
void __wrap__Exit(int code) __attribute__((noreturn));

/* Runs last: exit handlers run in reverse order of registration. */
static void end(void) {
  if (getpid() != g_first || g_code < 0) return;
  __lsan_do_leak_check();
  _exit(g_code);
}

__attribute__((constructor)) static void begin(void) {
  g_first = getpid();
  atexit(end);
}

/* The call of a forked child is final; the one at the end of main may return. */
void __wrap_k_exit(double code) {
  if (getpid() != g_first) __real_k_exit(code);
  g_code = (int)code;
}

/* The audit has printed its counts and ends the process. */
void __wrap__Exit(int code) {
  const char *dir = getenv("UPKEEP_AUDIT_DIR");
  char path[4096];
  if (code == 99 && dir && snprintf(path, sizeof path, "%s/audit.%d", dir, (int)getpid()) < (int)sizeof path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
      static const char text[] = "objects were live at exit: see standard error of the program\n";
      if (write(fd, text, sizeof text - 1) < 0) code = 98;
      close(fd);
    }
  }
  __real__Exit(code);
}
