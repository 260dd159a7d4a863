/**
 * runsvchdir(8): switches the services directory of runsvdir by renaming
 * symbolic links: `current.new` → `current` → `previous`. Between the two
 * renames there is no `current`; runsvdir waits for it to come back.
 */
import { ascii, byteAt, item, text } from "../base/bytes.ts";
import { errorText } from "../base/error-text.ts";
import { AT_FDCWD, ENOENT, ENOTDIR } from "../kernel/constants.ts";
import { type Kernel, Stat } from "../kernel/kernel.ts";
import { complain, say } from "../kernel/output.ts";
import { environmentValue } from "../kernel/self.ts";

const DIRECTORY = "/etc/runit/runsvdir";
const CURRENT = ascii("current");
const CURRENT_NEW = ascii("current.new");
const PREVIOUS = ascii("previous");
const EXIT_USAGE = 1;
const EXIT_FATAL = 111;
const DOT = 46;

class Switch {
  readonly #kernel: Kernel;
  readonly #program: string;
  readonly #name: Uint8Array;

  constructor(kernel: Kernel, program: string, name: Uint8Array) {
    this.#kernel = kernel;
    this.#program = program;
    this.#name = name;
  }

  #fatal(message: string): number {
    complain(this.#kernel, `${this.#program}: fatal: ${message}\n`);
    return EXIT_FATAL;
  }

  /** Exit code: 111 after a message, or 0 when `current` leads to the directory. */
  run(): number {
    const shown = text(this.#name);
    if (byteAt(this.#name, 0) === DOT) return this.#fatal(`${shown}: must not start with a dot.`);
    const variable = environmentValue("RUNSVDIR");
    const dir = variable === null ? ascii(DIRECTORY) : variable;
    const entered = this.#kernel.chdir(dir);
    if (entered < 0) return this.#fatal(`unable to chdir: ${text(dir)}: ${errorText(-entered)}`);
    const wanted = new Stat();
    const r = this.#kernel.stat(AT_FDCWD, this.#name, 0, wanted);
    if (r === -ENOENT) return this.#fatal(`${shown}: ${errorText(ENOENT)}`);
    if (r < 0) return this.#fatal(`unable to stat: ${shown}: ${errorText(-r)}`);
    if (!wanted.isDirectory()) return this.#fatal(`${shown}: ${errorText(ENOTDIR)}.`);
    const current = new Stat();
    const c = this.#kernel.stat(AT_FDCWD, CURRENT, 0, current);
    if (c < 0) return this.#fatal(`unable to stat: current: ${errorText(-c)}`);
    if (wanted.ino === current.ino && wanted.dev === current.dev) return this.#told("current.");
    return this.#relink();
  }

  #relink(): number {
    const k = this.#kernel;
    const gone = k.unlink(AT_FDCWD, CURRENT_NEW, 0);
    if (gone < 0 && gone !== -ENOENT) return this.#fatal(`unable to unlink: current.new: ${errorText(-gone)}`);
    const made = k.symlink(this.#name, AT_FDCWD, CURRENT_NEW);
    if (made < 0) return this.#fatal(`unable to create: current.new -> ${text(this.#name)}: ${errorText(-made)}`);
    const old = k.unlink(AT_FDCWD, PREVIOUS, 0);
    if (old < 0 && old !== -ENOENT) return this.#fatal(`unable to unlink: previous: ${errorText(-old)}`);
    const kept = k.rename(AT_FDCWD, CURRENT, AT_FDCWD, PREVIOUS);
    if (kept < 0) return this.#fatal(`unable to copy: current to previous: ${errorText(-kept)}`);
    const switched = k.rename(AT_FDCWD, CURRENT_NEW, AT_FDCWD, CURRENT);
    if (switched < 0) {
      if (k.rename(AT_FDCWD, PREVIOUS, AT_FDCWD, CURRENT) < 0) {
        complain(k, `${this.#program}: warning: unable to move previous back to current\n`);
      }
      return this.#fatal(`unable to move: current.new to current: ${errorText(-switched)}`);
    }
    return this.#told("now current.");
  }

  #told(what: string): number {
    say(this.#kernel, `runsvchdir: ${text(this.#name)}: ${what}\n`);
    return 0;
  }
}

export function runsvchdir(kernel: Kernel, argv: readonly Uint8Array[]): number {
  const name = item(argv, 0);
  const program = name === null ? "runsvchdir" : text(name);
  const dir = item(argv, 1);
  if (dir === null) {
    complain(kernel, `usage: ${program} dir\n\n`);
    return EXIT_USAGE;
  }
  return new Switch(kernel, program, dir).run();
}
