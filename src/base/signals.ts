/** Signal numbers (signal(7); x86-64 and arm64 agree). */

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGWINCH = 28;
export const SIGPWR = 30;
export const SIGSYS = 31;
/** SIGRTMIN+3 as the C library counts it (the kernel's 32 and two kept for threads): halt, for systemd's tools. */
export const SIGRTMIN_PLUS_3 = 37;
/** Power off, and reboot, likewise. */
export const SIGRTMIN_PLUS_4 = 38;
export const SIGRTMIN_PLUS_5 = 39;
