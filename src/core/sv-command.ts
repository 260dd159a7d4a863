/** The command words of sv(8) and what they stand for. */
import { byteAt, text } from "../base/bytes.ts";

/** What sv does with each service. */
export type SvCommand = {
  /** Bytes for supervise/control, in one write; "C" (check) writes nothing; "" is a status report. */
  readonly acts: string;
  /** Wait until every letter of `acts` has come true. */
  readonly wait: boolean;
  /** On timeout, send `k` and say "kill: " instead of "timeout: ". */
  readonly kill: boolean;
};

export const CHECK = "C";

function plain(acts: string, verbose: boolean): SvCommand {
  return { acts, wait: verbose, kill: false };
}
function waiting(acts: string): SvCommand {
  return { acts, wait: true, kill: false };
}
function forcing(acts: string): SvCommand {
  return { acts, wait: true, kill: true };
}

/** Words that count in full; every other one counts by its first letter. */
function fullWord(word: string): SvCommand | null {
  switch (word) {
    case "start":
      return waiting("u");
    case "stop":
      return waiting("d");
    case "shutdown":
      return waiting("x");
    case "restart":
      return waiting("tcu");
    case "try-restart":
      return waiting("tc");
    case "reload":
      return waiting("h");
    case "check":
      return waiting(CHECK);
    case "force-stop":
      return forcing("d");
    case "force-reload":
      return forcing("tc");
    case "force-restart":
      return forcing("tcu");
    case "force-shutdown":
      return forcing("x");
    default:
      return null;
  }
}

/**
 * The command of a word, or null for a wrong one. `verbose` is -v or -w. In
 * init.d mode a word with `s` must be spelled out.
 */
export function svCommand(word: Uint8Array, verbose: boolean, initd: boolean): SvCommand | null {
  const name = text(word);
  const full = fullWord(name);
  if (full !== null) return full;
  const letter = byteAt(word, 0);
  switch (letter < 0 ? "" : String.fromCharCode(letter)) {
    case "u":
    case "d":
    case "o":
    case "p":
    case "c":
    case "h":
    case "a":
    case "i":
    case "q":
    case "k":
    case "t":
    case "1":
    case "2":
      return plain(String.fromCharCode(letter), verbose);
    case "e":
    case "x":
      return plain("x", verbose);
    case "E":
    case "X":
      return forcing("x");
    case "D":
      return forcing("d");
    case "T":
      return forcing("tc");
    case "s":
      return initd && name !== "status" ? null : plain("", false);
    default:
      return null;
  }
}
