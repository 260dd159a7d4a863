/** Numbers whose mix-up would be silent carry a brand. */

/** A process id, as kill(2) and waitpid(2) know it; 0 stands for none. */
export type Pid = number & { readonly __brand: "Pid" };
/** A moment on the monotonic clock, in milliseconds (clock_gettime(2) CLOCK_MONOTONIC). */
export type Instant = number & { readonly __brand: "Instant" };
/** A span in milliseconds. */
export type DurationMs = number;
/** A file descriptor, or -errno where a call failed. */
export type Fd = number;

export const NO_PID = 0 as Pid;

export function pid(n: number): Pid {
  return n as Pid;
}

export function instant(ms: number): Instant {
  return ms as Instant;
}

export function after(t: Instant, ms: DurationMs): Instant {
  return (t + ms) as Instant;
}

/** The earlier of two moments, where null stands for never. */
export function earlier(a: Instant | null, b: Instant | null): Instant | null {
  if (a === null) return b;
  if (b === null) return a;
  return a < b ? a : b;
}
