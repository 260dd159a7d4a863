/* orphans N, as a child of process 1: leaves N orphans to it, waits until no process but
 * the two is left, and prints the wall ns and the CPU ticks of process 1 (in /proc/1/stat). */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static int others(void) {
  DIR *d = opendir("/proc");
  int n = 0;
  for (struct dirent *e; d && (e = readdir(d));) n += isdigit((unsigned char)e->d_name[0]) && atoi(e->d_name) != 1 && atoi(e->d_name) != getpid();
  if (d) closedir(d);
  return d ? n : -1;
}
static long ticks(void) {
  char b[1024];
  FILE *f = fopen("/proc/1/stat", "r");
  size_t l = f ? fread(b, 1, sizeof b - 1, f) : 0;
  unsigned long u = 0, s = 0;
  b[l] = 0;
  if (f) fclose(f);
  char *p = strrchr(b, ')');
  if (p) sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s);
  return (long)(u + s);
}
int main(int n, char **v) {
  int count = n > 1 ? atoi(v[1]) : 0, status;
  long before = ticks();
  long long start = now();
  for (int i = 0; i < count; i++) {
    pid_t p = vfork();
    if (p == 0) {
      if (fork() == 0) _exit(0);
      _exit(0);
    }
    if (p < 0 || waitpid(p, &status, 0) != p) return 1;
  }
  while (others() > 0) {
    struct timespec w = {0, 500000};
    nanosleep(&w, 0);
    if (now() - start > 60000000000LL) return 2;
  }
  printf("%lld %ld\n", now() - start, ticks() - before);
  return 0;
}
