// pass read|splice DIR: the least a logger without time stamps can do. Moves standard input to DIR/current, 64 KiB at a time, by
// read and write or by splice, and changes files at 1,000,000 bytes as svlogd does, ten old ones kept.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static char buffer[65536];
int main(int c, char **v) {
  if (c < 3 || chdir(v[2]) < 0) return 111;
  int splices = strcmp(v[1], "splice") == 0, files = 0;
  size_t size = 0;
  char name[32];
  int f = open("current", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (;;) {
    size_t room = 1000000 - size < sizeof buffer ? 1000000 - size : sizeof buffer;
    ssize_t n = splices ? splice(0, 0, f, 0, room, 0) : read(0, buffer, room);
    if (n <= 0) return n < 0;
    if (!splices && write(f, buffer, (size_t)n) != n) return 111;
    size += (size_t)n;
    if (size < 1000000) continue;
    fsync(f);
    fchmod(f, 0744);
    snprintf(name, sizeof name, "@%024d.s", files);
    rename("current", name);
    close(f);
    snprintf(name, sizeof name, "@%024d.s", files++ - 10);
    unlink(name);
    f = open("current", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size = 0;
  }
}
