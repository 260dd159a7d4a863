/* interleave ROUNDS , COMMAND , COMMAND …   (a word "," stands before each)
 *
 * Runs every command once a round, the first one further on each time, so that
 * a busy moment of the machine and the one before hit them all alike. The first
 * command is what the others are compared with, round by round. Prints a line
 * for each: median wall ns, median and quartiles of the difference in ns to the
 * first, the difference of the least, minor faults. A command must exit with 0. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS 32
static char **command[COMMANDS];
static long long *wall[COMMANDS], *difference[COMMANDS];
static long faults[COMMANDS];

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  long long x = *(const long long *)a, y = *(const long long *)b;
  return (x > y) - (x < y);
}

static long long run(char **argv, long *minor) {
  int status;
  struct rusage used;
  long long start = now();
  pid_t pid = vfork();
  if (pid == 0) {
    execv(argv[0], argv);
    _exit(127);
  }
  if (pid < 0 || wait4(pid, &status, 0, &used) != pid || status != 0) {
    fprintf(stderr, "interleave: %s: status %d\n", argv[0], status);
    exit(1);
  }
  long long took = now() - start;
  *minor += used.ru_minflt;
  return took;
}

int main(int n, char **v) {
  int commands = 0, rounds = n > 1 ? atoi(v[1]) : 0;
  for (int i = 2; i < n; i++)
    if (strcmp(v[i], ",") == 0 && commands < COMMANDS) {
      v[i] = 0;
      command[commands++] = v + i + 1;
    }
  if (rounds < 1 || commands < 1) return 100;
  for (int c = 0; c < commands; c++) {
    wall[c] = calloc((size_t)rounds, sizeof **wall);
    difference[c] = calloc((size_t)rounds, sizeof **difference);
    long ignored;
    for (int i = 0; i < 3; i++) run(command[c], &ignored);
  }
  for (int r = 0; r < rounds; r++) {
    for (int i = 0; i < commands; i++) {
      int c = (r + i) % commands;
      wall[c][r] = run(command[c], &faults[c]);
    }
    for (int c = 0; c < commands; c++) difference[c][r] = wall[c][r] - wall[0][r];
  }
  for (int c = 0; c < commands; c++) {
    long long *w = wall[c], *d = difference[c];
    qsort(w, (size_t)rounds, sizeof *w, by_value);
    qsort(d, (size_t)rounds, sizeof *d, by_value);
    printf("%lld %lld %lld %lld %lld %.1f\n", w[rounds / 2], d[rounds / 2], d[rounds / 4], d[rounds * 3 / 4],
           w[0] - wall[0][0], (double)faults[c] / rounds);
  }
  return 0;
}
