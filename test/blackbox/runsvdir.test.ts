/**
 * runsvdir(8) on both toolchains: the command line, what is scanned and what
 * becomes of it, signals, the log argument, messages.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  both,
  type Child,
  inTime,
  RUNIT,
  run,
  type ServiceFiles,
  type StartOptions,
  serviceDir,
  start,
  type Toolchain,
  tempDir,
  UPKEEP,
  until,
} from "../support/lab.ts";
import { lives, Service, SLEEP, slurp, together } from "../support/service.ts";

/** A service directory that appears in one step. */
function add(scan: string, name: string, files: Partial<ServiceFiles> = {}): Service {
  const hidden = join(scan, `.${name}.new`);
  serviceDir(hidden, { run: SLEEP, ...files });
  renameSync(hidden, join(scan, name));
  return new Service(join(scan, name));
}

function launch(t: TestContext, tools: Toolchain, args: readonly string[], options: StartOptions = {}): Child {
  return start(t, tools.program("runsvdir"), args, { ...options, env: { PATH: tools.path, ...options.env } });
}

/** The pid of the runsv of a service: who holds its lock. */
async function supervisorOf(s: Service): Promise<number> {
  const pid = await s.runs();
  return Number(/\) \S (\d+)/.exec(slurp(`/proc/${pid}/stat`))?.[1]);
}

/** Without the room left at the end of a command line that became shorter. */
function commandLine(pid: number): string {
  return slurp(`/proc/${pid}/cmdline`).replace(/\0+$/, "\0");
}

together("runsvdir", () => {
  together("command line", () => {
    both("usage", async (tools) => {
      const runsvdir = tools.program("runsvdir");
      for (const args of [[], ["-P"], ["--"], ["-Pfoo"], ["--bar"]]) {
        const r = await run(runsvdir, args);
        assert.deepEqual([r.code, r.stdout, r.stderr], [1, "", `usage: ${runsvdir} [-P] dir\n\n`], args.join(" "));
      }
    });

    both("only the first word can be an option", async (tools, dir, t) => {
      for (const [args, at] of [
        [["svc"], "svc"],
        [["-P", "svc"], "svc"],
        [["-Pand-more", "svc"], "svc"],
        [["--anything", "svc"], "svc"],
        [["-x"], "-x"],
        [["-p"], "-p"],
        [["-P", "-P"], "-P"],
        [["--", "-y"], "-y"],
      ] as const) {
        const cwd = join(dir, args.join("_"));
        mkdirSync(join(cwd, at), { recursive: true });
        const s = add(join(cwd, at), "one");
        const child = launch(t, tools, args, { cwd });
        await s.runs();
        child.kill("SIGHUP");
        assert.deepEqual(await child.exited, { code: 111, signal: null }, args.join(" "));
      }
    });

    both("-P: each runsv has a session of its own, which its service shares", async (tools, dir, t) => {
      for (const args of [["-P", dir], [dir]]) {
        const child = launch(t, tools, args);
        const s = add(dir, `with${args.length}`);
        const runsv = await supervisorOf(s);
        const ids = (pid: number): string =>
          execFileSync("ps", ["-o", "sid=,pgid=", "-p", `${pid}`], { encoding: "utf8" }).trim();
        const leader = args.length === 2 ? runsv : child.pid;
        assert.match(ids(runsv), new RegExp(`^${leader} +${leader}$`));
        assert.match(ids(s.pid), new RegExp(`^${leader} +${leader}$`));
        child.kill("SIGHUP");
        await child.exited;
        await until("the service has ended", () => s.stat === "down");
        rmSync(s.dir, { recursive: true });
      }
    });
  });

  together("scan", () => {
    both("what is started: directories and links to them, not files, not names with a dot", async (tools, dir, t) => {
      const scan = join(dir, "scan");
      mkdirSync(scan);
      serviceDir(join(dir, "elsewhere"), { run: SLEEP });
      symlinkSync("../elsewhere", join(scan, "linked"));
      symlinkSync("nowhere", join(scan, "dangling"));
      writeFileSync(join(scan, "file"), "");
      serviceDir(join(scan, ".hidden"), { run: SLEEP });
      const plain = add(scan, "plain");
      const child = launch(t, tools, [scan]);
      const pid = await supervisorOf(plain);
      const linked = new Service(join(dir, "elsewhere"));
      const other = await supervisorOf(linked);
      assert.equal(commandLine(pid), "runsv\0plain\0");
      assert.equal(commandLine(other), "runsv\0linked\0");
      assert.equal(slurp(`/proc/${pid}/comm`), "runsv\n");
      await until("it warns", () => child.stderr().includes("dangling"));
      const warning = `runsvdir ${scan}: warning: unable to stat dangling: file does not exist\n`;
      assert.equal(child.stderr().split(warning).join(""), "");
      assert.throws(() => statSync(join(scan, ".hidden/supervise")));
    });

    both("the directory is missing, comes, and is replaced behind a link", async (tools, dir, t) => {
      const link = join(dir, "current");
      const child = launch(t, tools, [link]);
      const warning = `runsvdir ${link}: warning: unable to stat ${link}: file does not exist\n`;
      await until("it warns twice", () => child.stderr().startsWith(warning.repeat(2)));
      for (const name of ["a", "b"]) {
        mkdirSync(join(dir, name));
        add(join(dir, name), name);
      }
      symlinkSync("a", link);
      const a = new Service(join(dir, "a/a"));
      await a.runs();
      symlinkSync("b", `${link}.new`);
      renameSync(`${link}.new`, link);
      const b = new Service(join(dir, "b/b"));
      await b.runs();
      await a.is("down");
      // While it is away, what runs is left alone.
      const pid = b.pid;
      rmSync(link);
      const told = child.stderr().length;
      await until("it warns again", () => child.stderr().length > told);
      assert.deepEqual([b.stat, b.pid], ["run", pid]);
      symlinkSync("b", link);
      add(join(dir, "b"), "c");
      await new Service(join(dir, "b/c")).runs();
      assert.equal(b.pid, pid);
    });

    both("identity is the directory, not its name", async (tools, dir, t) => {
      const scan = join(dir, "scan");
      mkdirSync(scan);
      const s = new Service(serviceDir(join(dir, "one"), { run: "#!/bin/sh\necho >>starts\nexec sleep 1000\n" }));
      symlinkSync("../one", join(scan, "first"));
      symlinkSync("../one", join(scan, "second"));
      add(scan, "other");
      const child = launch(t, tools, [scan]);
      const runsv = await supervisorOf(s);
      // A renamed link changes nothing until runsv is started again.
      renameSync(join(scan, "first"), join(scan, "renamed"));
      rmSync(join(scan, "second"));
      const third = add(scan, "third");
      await third.runs();
      assert.deepEqual([lives(runsv), s.lines("starts").length], [true, 1]);
      assert.match(commandLine(runsv), /^runsv\0(first|second)\0$/);
      process.kill(runsv, "SIGTERM");
      await until("a new runsv", () => s.lines("starts").length === 2);
      assert.equal(commandLine(await supervisorOf(s)), "runsv\0renamed\0");
      assert.equal(child.stderr(), "");
    });

    test("runsvdir-name: of several names for one directory the first in order is taken, with ours", async (t) => {
      const dir = tempDir(t);
      const scan = join(dir, "scan");
      mkdirSync(scan);
      const s = new Service(serviceDir(join(dir, "one"), { run: SLEEP }));
      for (const name of ["zz", "mm", "aa", "kk", "Zz"]) symlinkSync("../one", join(scan, name));
      launch(t, UPKEEP, [scan]);
      assert.equal(commandLine(await supervisorOf(s)), "runsv\0Zz\0");
    });

    both("a runsv that has ended is started again", async (tools, dir, t) => {
      const s = add(dir, "svc");
      launch(t, tools, [dir]);
      const runsv = await supervisorOf(s);
      const pid = s.pid;
      s.tell("x");
      await s.runs(pid);
      assert.notEqual(await supervisorOf(s), runsv);
    });

    both("what vanishes is told to exit, several at once, and comes back", async (tools, dir, t) => {
      const names = ["a", "b", "c", "d"];
      const services = names.map((name) => add(dir, name));
      launch(t, tools, [dir]);
      for (const s of services) await s.runs();
      const away = tempDir(t);
      for (const name of names) renameSync(join(dir, name), join(away, name));
      for (const name of names) await new Service(join(away, name)).is("down");
      renameSync(join(away, "c"), join(dir, "c"));
      await services[2]?.runs();
    });

    test("runsvdir-reappears: a directory that comes back while its runsv still stops waits for that, with ours", async (t) => {
      const dir = tempDir(t);
      const slow =
        "#!/bin/sh\ntrap 'while [ ! -e go ]; do sleep 0.03; done; exit' TERM\necho >>up\nwhile :; do sleep 0.03; done\n";
      const s = add(dir, "svc", { run: slow });
      const child = launch(t, UPKEEP, [dir]);
      await s.has("up");
      const pid = s.pid;
      renameSync(s.dir, join(dir, ".away"));
      await new Service(join(dir, ".away")).is("run, got TERM, want exit");
      renameSync(join(dir, ".away"), s.dir);
      await delay(1500);
      assert.deepEqual([s.pid, s.lines("up").length, child.stderr()], [pid, 1, ""]);
      writeFileSync(s.path("go"), "");
      await s.has("up", 2);
      assert.equal(child.stderr(), "");
    });

    test("a directory that goes at the moment its runsv ends is not started again, with ours", async (t) => {
      const dir = tempDir(t);
      const child = launch(t, UPKEEP, [dir]);
      const services = Array.from({ length: 5 }, (_, i) => add(dir, `s${i}`));
      for (const s of services) await s.runs();
      // From now on a runsv that ends is started again at once.
      await delay(1200);
      for (const [i, s] of services.entries()) {
        renameSync(s.dir, join(dir, `.s${i}`));
        new Service(join(dir, `.s${i}`)).tell("x");
      }
      await add(dir, "last").runs();
      assert.equal(child.stderr(), "");
    });

    test("runsvdir-inotify: a directory that comes or goes takes effect within 100 ms, with ours", async (t) => {
      const dir = tempDir(t);
      launch(t, UPKEEP, [dir]);
      await delay(1500);
      let i = 0;
      await inTime(100, async () => {
        i++;
        let began = performance.now();
        const s = add(dir, `s${i}`);
        await s.runs();
        const started = performance.now() - began;
        const away = join(dir, `.s${i}`);
        began = performance.now();
        renameSync(s.dir, away);
        await until("it ends", () => new Service(away).stat === "down");
        return Math.max(started, performance.now() - began);
      });
    });
  });

  together("what a runsv inherits", () => {
    both("descriptors, environment, umask, standard streams", async (tools, dir, t) => {
      const s = add(dir, "svc", {
        run: `#!/bin/sh
exec 9>new
for fd in 0 1 2 3 4 5 6 7 8; do [ ! -e /proc/$$/fd/$fd ] || echo "$fd $(readlink /proc/$$/fd/$fd)" >&9; done
umask >&9; echo "$MARK" >&9
exec 9>&-; mv new seen
exec sleep 1000
`,
      });
      const shell = `umask 027; exec 7</dev/null 8>/dev/zero; exec '${tools.program("runsvdir")}' '${dir}'`;
      start(t, "/bin/sh", ["-c", shell], { env: { PATH: tools.path, MARK: "mark" }, stdio: ["ignore", "ignore", "ignore"] });
      const seen = await s.has("seen", 7);
      const want = ["0 /dev/null", "1 /dev/null", "2 /dev/null", "7 /dev/null", "8 /dev/zero", "0027", "mark"];
      assert.deepEqual(seen, want);
    });

    both("its name, of whatever length, also when hundreds came before it", async (tools, dir, t) => {
      for (let i = 0; i < 300; i++) add(dir, `before${i}`, { down: true });
      launch(t, tools, [dir]);
      const last = new Service(join(dir, "before299"));
      await until("all are looked at", () => last.stat === "down");
      for (const name of ["n", "n".repeat(255)]) {
        serviceDir(join(dir, `.${name.length}`), { run: SLEEP });
        renameSync(join(dir, `.${name.length}`), join(dir, name));
        const runsv = await supervisorOf(new Service(join(dir, name)));
        assert.equal(commandLine(runsv), `runsv\0${name}\0`);
      }
    });

    // doc/differences.md, runsvdir-limit.
    test("the limit of open files, which ours raises for itself, also by exec of another runsv", async (t) => {
      for (const supervisors of [UPKEEP, RUNIT]) {
        const dir = tempDir(t);
        const s = add(dir, "svc", { run: "#!/bin/sh\nulimit -Sn >limit; ulimit -Hn >>limit\nexec sleep 1000\n" });
        const program = UPKEEP.program("runsvdir");
        const child = start(t, "/usr/bin/prlimit", ["--nofile=100:1000", program, dir], { env: { PATH: supervisors.path } });
        assert.deepEqual(await s.has("limit", 2), ["100", "1000"], supervisors.name);
        assert.match(slurp(`/proc/${child.pid}/limits`), /Max open files +1000 +1000 /);
      }
    });

    both("signals: HUP and TERM are default, also under nohup, all others as they were", async (tools, dir, t) => {
      const s = add(dir, "svc", {
        run: `#!/usr/bin/perl
open(S, "<", "/proc/self/status"); @l = grep(/^Sig(Blk|Ign)/, <S>);
open(O, ">", "new"); print O @l; close(O); rename("new", "seen");
sleep 1000;
`,
      });
      const options = ["--ignore-signal=HUP,TERM,CHLD,INT", "--block-signal=USR2,TERM"];
      const child = start(t, "/usr/bin/env", [...options, tools.program("runsvdir"), dir], { env: { PATH: tools.path } });
      const [blocked = "", ignored = ""] = await s.has("seen", 2);
      const bits = (line: string): bigint => BigInt(`0x${line.split("\t")[1]}`) & ~(1n << 7n); // perl ignores FPE itself.
      assert.deepEqual([bits(blocked), bits(ignored)], [1n << 11n, 1n << 1n]);
      process.kill(child.pid, "SIGHUP");
      assert.deepEqual(await child.exited, { code: 111, signal: null });
      await s.is("down");
    });
  });

  together("signals", () => {
    both("TERM: exit 0, every runsv goes on", async (tools, dir, t) => {
      const s = add(dir, "svc");
      const child = launch(t, tools, [dir]);
      const runsv = await supervisorOf(s);
      const pid = s.pid;
      child.kill("SIGTERM");
      assert.deepEqual(await child.exited, { code: 0, signal: null });
      await delay(200);
      assert.deepEqual([lives(runsv), lives(pid), s.stat], [true, true, "run"]);
    });

    both("HUP: TERM to every runsv, exit 111 without waiting", async (tools, dir, t) => {
      const slow =
        "#!/bin/sh\ntrap 'while [ ! -e go ]; do sleep 0.03; done; exit' TERM\necho >>up\nwhile :; do sleep 0.03; done\n";
      const names = ["a", "b", "c"];
      const services = names.map((name) => add(dir, name, { run: slow }));
      const child = launch(t, tools, [dir]);
      for (const s of services) await s.has("up");
      child.kill("SIGHUP");
      assert.deepEqual(await child.exited, { code: 111, signal: null });
      for (const s of services) await s.is("run, got TERM, want exit");
      for (const s of services) writeFileSync(s.path("go"), "");
      for (const s of services) await s.is("down");
    });

    both("ALRM: a scan at once, and its time in .forced-rescan", async (tools, dir, t) => {
      const child = launch(t, tools, [dir]);
      add(dir, "first");
      await new Service(join(dir, "first")).runs();
      child.kill("SIGALRM");
      await until("it is noted", () => slurp(join(dir, ".forced-rescan")).length === 25);
      assert.match(slurp(join(dir, ".forced-rescan")), /^@4[0-9a-f]{23}$/);
      const s = add(dir, "second");
      child.kill("SIGALRM");
      await s.runs();
      assert.ok(lives(child.pid));
    });
  });

  together("as process 1", () => {
    const skip = process.getuid?.() !== 0;
    for (const tools of [UPKEEP, RUNIT]) {
      test(`orphans are reaped, TERM ends it [${tools.name}]`, { skip }, async (t) => {
        const dir = tempDir(t);
        const s = add(dir, "svc", { run: "#!/bin/sh\n(sh -c 'echo >>orphans; sleep 0.1' & )\nexec sleep 1000\n" });
        const args = ["--pid", "--fork", "--kill-child", tools.program("runsvdir"), dir];
        const outer = start(t, "/usr/bin/unshare", args, { env: { PATH: tools.path } });
        await s.has("orphans");
        const children = (pid: number): number[] => slurp(`/proc/${pid}/task/${pid}/children`).trim().split(" ").map(Number);
        const [first = 0] = children(outer.pid);
        const zombies = (): number[] => children(first).filter((pid) => / Z /.test(slurp(`/proc/${pid}/stat`)));
        await delay(300);
        await until("nothing is left of the orphan", () => zombies().length === 0 && children(first).length === 1);
        process.kill(first, "SIGTERM");
        assert.deepEqual(await outer.exited, { code: 0, signal: null });
      });
    }
  });

  together("log argument", () => {
    const DOTS = `log: ${".".repeat(60)}`;

    both("fewer than seven bytes: two warnings and no log", async (tools, dir, t) => {
      const s = add(dir, "svc", { run: "#!/bin/sh\necho hello >&2\nexec sleep 1000\n" });
      const child = launch(t, tools, [dir, "log: ."]);
      await s.runs();
      await until("hello", () => child.stderr().includes("hello"));
      const prefix = `runsvdir ${dir}: warning: `;
      assert.equal(child.stderr(), `${prefix}log must have at least seven characters.\n${prefix}log service disabled.\nhello\n`);
    });

    both("the first five bytes stay, and a dot is added at the start", async (tools, dir, t) => {
      const child = launch(t, tools, [dir, "log: abcdefgh"]);
      await until("the dot is there", () => commandLine(child.pid).split("\0").at(-2) === "log: bcdefgh.");
      const short = launch(t, tools, ["-P", dir, "1234567"]);
      await until("the dot is there", () => commandLine(short.pid).split("\0").at(-2) === "123457.");
    });

    both("what is written to standard error scrolls through the last argument", async (tools, dir, t) => {
      const s = add(dir, "svc", { run: "#!/bin/sh\nprintf 'a\\0b\\nc' >&2\necho >>up\nexec sleep 1000\n" });
      const child = launch(t, tools, [dir, DOTS]);
      await s.has("up");
      const want = (text: string): string =>
        `${[tools.program("runsvdir"), dir].join("\0")}\0log: ${".".repeat(60 - text.length)}${text}\0`;
      await until("it shows", () => commandLine(child.pid) === want("ab\nc"));
      // Messages of runsvdir and runsv go there too, and nothing reaches the old standard error.
      rmSync(s.path("run"));
      s.tell("k");
      await until("it shows", () => commandLine(child.pid).includes("unable to start ./run: file does not exist\n"));
      s.tell("d");
      symlinkSync("nowhere", join(dir, "dangling"));
      await until("it warns", () => commandLine(child.pid).includes("unable to stat dangling"));
      assert.equal(child.stderr(), "");
    });

    test("runsvdir-log-blocking: services get a blocking standard error, with ours", async (t) => {
      for (const tools of [UPKEEP, RUNIT]) {
        const dir = tempDir(t);
        const s = add(dir, "svc", {
          run: "#!/bin/sh\ngrep flags /proc/$$/fdinfo/2 >flags\nreadlink /proc/$$/fd/2 >>flags\nexec sleep 1000\n",
        });
        launch(t, tools, [dir, DOTS]);
        const [flags = "", target] = await s.has("flags", 2);
        assert.match(target ?? "", /^pipe:/);
        const nonBlocking = (Number.parseInt(flags.split("\t")[1] ?? "", 8) & 0o4000) !== 0;
        assert.equal(nonBlocking, tools.name === "runit", tools.name);
      }
    });
  });

  together("what goes wrong", () => {
    both("no runsv to be found", async (tools, dir, t) => {
      add(dir, "svc", { run: "#!/bin/sh\nexec /bin/sleep 1000\n" });
      const bin = tempDir(t);
      const child = start(t, tools.program("runsvdir"), [dir], { env: { PATH: bin } });
      if (tools.name === "upkeep") {
        // doc/differences.md, runsvdir-own-runsv: ours needs none.
        await new Service(join(dir, "svc")).runs();
        return;
      }
      await until("it fails", () => child.stderr().length > 0);
      assert.match(child.stderr(), /^runsvdir \S+: fatal: unable to start runsv svc: file does not exist\n/);
    });

    test("runsvdir-exec: another runsv in PATH is used, one that is no program is told", async (t) => {
      const dir = tempDir(t);
      const bin = tempDir(t);
      add(dir, "svc");
      writeFileSync(join(bin, "runsv"), "#!/no/such/interpreter\n", { mode: 0o755 });
      const child = start(t, UPKEEP.program("runsvdir"), [dir], { env: { PATH: bin } });
      const message = `runsvdir ${dir}: fatal: unable to start runsv svc: file does not exist\n`;
      await until("it fails twice", () => child.stderr().startsWith(message.repeat(2)));
    });

    both("a directory that cannot be opened", async (tools, dir, t) => {
      if (process.getuid?.() !== 0) return;
      const scan = join(dir, "scan");
      mkdirSync(scan, { mode: 0o311 });
      const as = ["-u", "nobody", tools.program("runsvdir"), scan];
      const copy = join(dir, "runsvdir");
      execFileSync("cp", ["-L", tools.program("runsvdir"), copy]);
      as[2] = copy;
      const child = start(t, "/usr/bin/chpst", as, { env: { PATH: tools.path } });
      await until("it warns", () => child.stderr().length > 0);
      assert.equal(child.stderr().split("\n")[0], `runsvdir ${scan}: warning: unable to open directory ${scan}: access denied`);
      assert.ok(readlinkSync(`/proc/${child.pid}/exe`).length > 0);
    });
  });
});
