/* From fork to exec in one call (k_spawn). */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct child {
  int dir; /* to change to, or < 0 */
  const char *path;
  char **argv, **envp;
  const uint8_t *moves; /* pairs i32 from, to: dup2, or close `to` when from < 0 */
  size_t moves_bytes;
  uint32_t flags; /* CHILD_* */
  const sigset_t *blocked, *defaults;
  int record; /* gets the pid (u32) before exec, so that it is on disk before the process can matter; or < 0 */
  off_t record_at;
  const struct rlimit64 *files; /* RLIMIT_NOFILE; null: ours */
  /* What kept it from becoming the program: errno, and where. It exits 111 then. */
  volatile int error, step;
};
enum { CHILD_SETSID = 1, CHILD_SETPGID = 2, CHILD_CTTY = 4, CHILD_FOREGROUND = 16 };
enum { STEP_SETUP = 1, STEP_CHDIR = 2, STEP_EXEC = 3 };

/* The pid, or -errno when there is no child. */
pid_t start_child(struct child *c);
/* Below `given` a program inherits descriptors: from now on children copy only low ones, however many there are.
 * -errno: they go on to copy all. */
int few_descriptors(int given);
