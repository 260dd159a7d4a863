/**
 * The command lines of chpst and the six programs of daemontools it stands in
 * for. All eight names (with a `d` in front, too) lead to ProcessChanges.
 */
import { ascii, basename, byteAt, EMPTY, item, text } from "../base/bytes.ts";
import { parseNumber64 } from "../base/number64.ts";
import { OptionReader, type OptionStep } from "../base/options.ts";
import { ID_LINE } from "../version.ts";
import { isLimitOption, longKind, setLongFlag, setLongValue } from "./chpst-long.ts";
import { limitsOfChpst, limitsOfSoftlimit, parseLimit } from "./limits.ts";
import { type ParsedChanges, ProcessChanges } from "./process-changes.ts";

const TWO_TO_32 = 4294967296;
const D = 100;

/** Which usage text; it is put together only when it is asked for. */
type Synopsis = "chpst" | "softlimit" | "setlock" | " child" | " dir child" | " account child";

function synopsisText(synopsis: Synopsis): string {
  switch (synopsis) {
    case "chpst":
      return (
        " [-vVP012] [-u user[:group]] [-U user[:group]] [-b argv0] [-e dir] [-/ root] [-C pwd] [-n nice] [-l|-L lock]" +
        " [-m n] [-d n] [-o n] [-p n] [-f n] [-c n] [-t n] prog"
      );
    case "softlimit":
      return (
        " [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes] [-o openfiles]" +
        " [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child"
      );
    case "setlock":
      return " [ -nNxX ] file program [ arg ... ]";
    default:
      return synopsis;
  }
}

/** What a step of parsing found wrong: the whole message, or "" when nothing is. */
type Wrong = string;

/** One command line on its way to a value. */
class CommandLine {
  readonly changes: ProcessChanges = new ProcessChanges();
  readonly #argv: readonly Uint8Array[];
  /** As called, and without the `d` that may stand in front. */
  readonly #called: Uint8Array;
  readonly #name: Uint8Array;

  constructor(argv: readonly Uint8Array[]) {
    this.#argv = argv;
    const first = item(argv, 0);
    this.#called = first === null ? ascii("chpst") : basename(first);
    this.#name = byteAt(this.#called, 0) === D ? this.#called.subarray(1) : this.#called;
  }

  parse(): ParsedChanges {
    const wrong = this.#parseAs(text(this.#name));
    return wrong === "" ? { kind: "run", changes: this.changes } : { kind: "misuse", message: wrong };
  }

  #parseAs(name: string): Wrong {
    switch (name) {
      case "setuidgid":
      case "envuidgid":
      case "envdir":
        return this.#oneWord(name);
      case "pgrphack":
        this.changes.tryNewSession = true;
        return this.#program(1) ? "" : this.#usage(" child");
      case "setlock":
        return this.#setlock();
      case "softlimit":
        return this.#softlimit();
      default:
        return this.#chpst();
    }
  }

  #usage(synopsis: Synopsis): string {
    return `usage: ${text(this.#name)}${synopsisText(synopsis)}\n\n`;
  }

  /** The program and its arguments start at word `at`; false when there are none. */
  #program(at: number): boolean {
    this.changes.program = this.#argv.slice(at);
    return this.changes.program.length > 0;
  }

  /** What getopt says of a step that is no option. */
  #illegal(step: OptionStep, synopsis: Synopsis): Wrong {
    if (step.kind === "unknown") return `${text(this.#called)}: illegal option -- ${step.letter}\n${this.#usage(synopsis)}`;
    if (step.kind === "missing") {
      return `${text(this.#called)}: option requires an argument -- ${step.letter}\n${this.#usage(synopsis)}`;
    }
    return "";
  }

  #oneWord(name: string): Wrong {
    const word = item(this.#argv, 1);
    if (word === null || !this.#program(2)) return this.#usage(name === "envdir" ? " dir child" : " account child");
    if (name === "envdir") this.changes.environment = { path: word, strict: true };
    else if (name === "setuidgid") this.changes.user = { text: word, plain: true };
    else this.changes.environmentUser = { text: word, plain: true };
    return "";
  }

  #setlock(): Wrong {
    const options = new OptionReader(this.#argv, ascii("nNxX"));
    // compat: -n waits and -N does not, the reverse of daemontools; blackbox/chpst-aliases.
    let wait = false;
    let silent = false;
    for (;;) {
      const step = options.next();
      if (step.kind === "end") break;
      if (step.kind !== "option") return this.#illegal(step, "setlock");
      const letter = step.option.letter;
      if (letter === "n" || letter === "N") wait = letter === "n";
      else silent = letter === "x";
    }
    const path = options.takeWord();
    if (path === null || !this.#program(options.at)) return this.#usage("setlock");
    this.changes.lock = { path, wait, silent };
    return "";
  }

  #softlimit(): Wrong {
    const options = new OptionReader(this.#argv, ascii("a:c:d:f:l:m:o:p:r:s:t:"));
    for (;;) {
      const long = options.longWord();
      if (long !== null) {
        const wrong = this.#long(options, "softlimit");
        if (wrong !== "") return wrong;
        continue;
      }
      const step = options.next();
      if (step.kind === "end") break;
      if (step.kind !== "option") return this.#illegal(step, "softlimit");
      const value = step.option.value ?? EMPTY;
      const hard = value.length === 1 && byteAt(value, 0) === 61;
      const wrong = this.#limit(limitsOfSoftlimit(step.option.letter), hard ? ascii("18446744073709551615") : value);
      // compat: a bad number prints chpst's usage under this name; blackbox/chpst-aliases.
      if (wrong !== "") return wrong;
    }
    return this.#program(options.at) ? "" : this.#usage("softlimit");
  }

  #chpst(): Wrong {
    const options = new OptionReader(this.#argv, ascii("u:U:b:e:m:d:o:p:f:c:r:t:/:C:n:l:L:vP012V"));
    for (;;) {
      if (options.longWord() !== null) {
        const wrong = this.#long(options, "chpst");
        if (wrong !== "") return wrong;
        continue;
      }
      const step = options.next();
      if (step.kind === "end") break;
      if (step.kind !== "option") return this.#illegal(step, "chpst");
      const value = step.option.value;
      const wrong = value === null ? this.#flag(step.option.letter) : this.#value(step.option.letter, value);
      if (wrong !== "") return wrong;
    }
    if (!this.#program(options.at)) return this.#usage("chpst");
    return this.#contradiction();
  }

  #flag(letter: string): Wrong {
    switch (letter) {
      case "v":
        this.changes.verbose = true;
        return "";
      case "P":
        this.changes.tryNewSession = true;
        return "";
      case "0":
        this.changes.closeInput = true;
        return "";
      case "1":
        this.changes.closeOutput = true;
        return "";
      case "2":
        this.changes.closeError = true;
        return "";
      default:
        return `${ID_LINE}${this.#usage("chpst")}`;
    }
  }

  #value(letter: string, value: Uint8Array): Wrong {
    switch (letter) {
      case "u":
        this.changes.user = { text: value, plain: false };
        return "";
      case "U":
        this.changes.environmentUser = { text: value, plain: false };
        return "";
      case "b":
        this.changes.argv0 = value;
        return "";
      case "e":
        this.changes.environment = { path: value, strict: false };
        return "";
      case "/":
        this.changes.root = value;
        return "";
      case "C":
        this.changes.directory = value;
        return "";
      case "n":
        return this.#nice(value);
      case "l":
      case "L":
        if (this.changes.lock !== null) return this.#usage("chpst");
        this.changes.lock = { path: value, wait: letter === "l", silent: false };
        return "";
      default:
        return this.#limit(limitsOfChpst(letter), value);
    }
  }

  /** -n [+-]number. nice(2) takes an int, so the low 32 bits count. */
  #nice(value: Uint8Array): Wrong {
    const sign = byteAt(value, 0);
    const parsed = parseNumber64(sign === 45 || sign === 43 ? value.subarray(1) : value);
    if (parsed.kind !== "number") return this.#badNumber(parsed.kind === "too-large", value);
    const { low, high } = parsed.value;
    const size = high > 0 || low >= TWO_TO_32 / 2 ? TWO_TO_32 / 2 - 1 : low;
    this.changes.niceBy = sign === 45 ? 0 - size : size;
    return "";
  }

  #limit(resources: readonly number[], value: Uint8Array): Wrong {
    const limit = parseLimit(value);
    if (limit === null) return this.#badNumber(parseNumber64(value).kind === "too-large", value);
    for (let i = 0; i < resources.length; i++) this.changes.limits.set(resources[i]!, limit);
    return "";
  }

  #badNumber(tooLarge: boolean, value: Uint8Array): Wrong {
    return tooLarge ? `chpst: fatal: number too large: ${text(value)}\n` : this.#usage("chpst");
  }

  /** A long option, --name, --name=value or --name value; the reader stands on it. */
  #long(options: OptionReader, synopsis: Synopsis): Wrong {
    const word = text(options.takeWord() ?? EMPTY).slice(2);
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const kind = synopsis === "softlimit" && !isLimitOption(name) ? "unknown" : longKind(name);
    if (kind === "unknown") return `${text(this.#called)}: unknown option -- ${word}\n${this.#usage(synopsis)}`;
    if (kind === "flag") {
      if (equals >= 0) return `chpst: fatal: --${name} takes no value\n`;
      setLongFlag(this.changes, name);
      return "";
    }
    const next = equals < 0 ? options.takeWord() : null;
    if (equals < 0 && next === null) {
      return `${text(this.#called)}: option requires an argument -- ${name}\n${this.#usage(synopsis)}`;
    }
    const value = next === null ? word.slice(equals + 1) : text(next);
    return setLongValue(this.changes, name, value) ? "" : `chpst: fatal: invalid value for --${name}: ${value}\n`;
  }

  /** Options that cannot go together. */
  #contradiction(): Wrong {
    const user = this.changes.user;
    if (this.changes.userGroups && (user === null || byteAt(user.text, 0) === 58)) {
      return "chpst: fatal: --user-groups needs -u with a user name\n";
    }
    return "";
  }
}

/** Understands a command line of any of the eight names; argv[0] tells which. */
export function parseChanges(argv: readonly Uint8Array[]): ParsedChanges {
  return new CommandLine(argv).parse();
}
