/* A record of 16 bytes appended to the file of UPKEEP_BENCH_STARTS: monotonic ns, pid. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static void mark(void) {
  const char *path = getenv("UPKEEP_BENCH_STARTS");
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t r[2] = {(uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec, (uint64_t)getpid()};
  int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
  if (fd >= 0) {
    if (write(fd, r, sizeof r) != sizeof r) _exit(9);
    close(fd);
  }
}
