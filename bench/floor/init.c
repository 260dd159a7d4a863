/* The floor of process 1: starts a command, reaps, ends with it. */
#include <sys/wait.h>
#include <unistd.h>
int main(int n, char **v) {
  pid_t p = n > 1 ? fork() : -1;
  int status;
  if (p == 0) execv(v[1], v + 1), _exit(127);
  for (pid_t q; p > 0 && (q = wait(&status)) > 0;) if (q == p) return WEXITSTATUS(status);
  return 111;
}
