/** The bytes of supervise/control (runsv(8), CONTROL) and the commands they stand for. */
import { SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2 } from "../base/signals.ts";

export type Command =
  | "up"
  | "down"
  | "once"
  | "exit"
  | "term"
  | "kill"
  | "pause"
  | "continue"
  | "alarm"
  | "hangup"
  | "interrupt"
  | "quit"
  | "usr1"
  | "usr2";

/** The command of a control byte, or null: other bytes (newline, `e`, garbage) are ignored. */
export function commandOf(byte: number): Command | null {
  switch (byte) {
    case 117:
      return "up";
    case 100:
      return "down";
    case 111:
      return "once";
    case 120:
      return "exit";
    case 116:
      return "term";
    case 107:
      return "kill";
    case 112:
      return "pause";
    case 99:
      return "continue";
    case 97:
      return "alarm";
    case 104:
      return "hangup";
    case 105:
      return "interrupt";
    case 113:
      return "quit";
    case 49:
      return "usr1";
    case 50:
      return "usr2";
    default:
      return null;
  }
}

/** The control byte of a command as text, which also names its hook: control/LETTER. */
export function letterOf(command: Command): string {
  switch (command) {
    case "up":
      return "u";
    case "down":
      return "d";
    case "once":
      return "o";
    case "exit":
      return "x";
    case "term":
      return "t";
    case "kill":
      return "k";
    case "pause":
      return "p";
    case "continue":
      return "c";
    case "alarm":
      return "a";
    case "hangup":
      return "h";
    case "interrupt":
      return "i";
    case "quit":
      return "q";
    case "usr1":
      return "1";
    case "usr2":
      return "2";
  }
}

/** The signal a command sends to a running service; 0 where it sends none by itself. */
export function signalOf(command: Command): number {
  switch (command) {
    case "term":
      return SIGTERM;
    case "kill":
      return SIGKILL;
    case "pause":
      return SIGSTOP;
    case "continue":
      return SIGCONT;
    case "alarm":
      return SIGALRM;
    case "hangup":
      return SIGHUP;
    case "interrupt":
      return SIGINT;
    case "quit":
      return SIGQUIT;
    case "usr1":
      return SIGUSR1;
    case "usr2":
      return SIGUSR2;
    case "up":
    case "down":
    case "once":
    case "exit":
      return 0;
  }
}
