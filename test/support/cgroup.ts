/** Control groups of a test's own, of version 1 or 2, whichever this machine has. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";

const ROOT = "/sys/fs/cgroup";

type Controller = "memory" | "pids" | "freezer";

/** The files that do the same in both versions. */
const FILES: Readonly<Record<string, readonly [v1: string, v2: string]>> = {
  memory: ["memory.limit_in_bytes", "memory.max"],
  pids: ["pids.max", "pids.max"],
  freezer: ["freezer.state", "cgroup.freeze"],
};

/** Whether groups with this controller can be made here; why not, as a reason to skip. */
export function lacksCgroup(controller: Controller): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  try {
    const probe = new Cgroup(controller, `upkeep-probe-${process.pid}`);
    probe.remove();
    return false;
  } catch (e) {
    return `no cgroup ${controller}: ${e instanceof Error ? e.message : String(e)}`;
  }
}

export class Cgroup {
  readonly #dir: string;
  readonly #file: string;
  readonly #v1: boolean;

  constructor(controller: Controller, name: string) {
    this.#v1 = existsSync(join(ROOT, controller));
    const top = this.#v1 ? join(ROOT, controller) : ROOT;
    if (!this.#v1 && controller !== "freezer") writeFileSync(join(top, "cgroup.subtree_control"), `+${controller}`);
    this.#dir = join(top, name);
    mkdirSync(this.#dir);
    this.#file = join(this.#dir, FILES[controller]?.[this.#v1 ? 0 : 1] ?? "");
    if (!existsSync(this.#file)) {
      this.remove();
      throw new Error(`no ${this.#file}`);
    }
  }

  /** A group that is removed when the test ends. */
  static for(t: TestContext, controller: Controller): Cgroup {
    const group = new Cgroup(controller, `upkeep-test-${process.pid}-${controller}`);
    t.after(async () => {
      if (controller === "freezer") group.freeze(false);
      else group.limit(null);
      for (let i = 0; i < 400 && existsSync(group.#dir); i++) {
        for (const pid of group.pids) process.kill(pid, "SIGKILL");
        await new Promise((next) => setTimeout(next, 25));
        try {
          group.remove();
        } catch {
          // Not empty yet.
        }
      }
    });
    return group;
  }

  /** For a shell: what joins the group. */
  get join(): string {
    return `echo $$ >'${join(this.#dir, "cgroup.procs")}'`;
  }

  /** For a shell: what leaves it again. */
  get leave(): string {
    return `echo $$ >'${join(this.#dir, "../cgroup.procs")}'`;
  }

  /** A limit in bytes or processes; null: none. */
  limit(value: number | null): void {
    writeFileSync(this.#file, value === null ? (this.#file.endsWith("limit_in_bytes") ? "-1" : "max") : `${value}`);
  }

  freeze(frozen: boolean): void {
    writeFileSync(this.#file, this.#v1 ? (frozen ? "FROZEN" : "THAWED") : frozen ? "1" : "0");
  }

  /** Its processes. */
  get pids(): number[] {
    return readFileSync(join(this.#dir, "cgroup.procs"), "latin1").trim().split("\n").filter(Boolean).map(Number);
  }

  remove(): void {
    rmdirSync(this.#dir);
  }
}
