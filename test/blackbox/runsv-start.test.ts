/**
 * runsv(8), how it starts: usage, the order of what it makes and opens, what it
 * refuses, and the files of supervise with their modes and bytes. On our runsv
 * and runit's.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { each } from "../support/compare.ts";
import { both, type Result, run, serviceDir, start, type Toolchain, tempDir, UPKEEP, until } from "../support/lab.ts";
import { Service, SLEEP, together } from "../support/service.ts";

const READ_LOG = "#!/bin/sh\nexec cat >>lines\n";

function service(dir: string, files: Partial<Parameters<typeof serviceDir>[1]> = {}): Service {
  return new Service(serviceDir(join(dir, "svc"), { run: SLEEP, ...files }));
}

/** runsv on "svc" in `dir`, which is expected to end by itself. */
function attempt(tools: Toolchain, dir: string): Promise<Result> {
  return run(tools.program("runsv"), ["svc"], { cwd: dir });
}

async function refused(tools: Toolchain, dir: string, message: string): Promise<void> {
  const r = await attempt(tools, dir);
  assert.deepEqual([r.code, r.stdout, r.stderr], [111, "", `runsv svc: fatal: ${message}\n`]);
}

together("runsv-start", () => {
  together("start", () => {
    both("usage: exactly one argument, the name as it was called", async (tools) => {
      for (const args of [[], ["a", "b"], ["a", "b", "c"]]) {
        const r = await run(tools.program("runsv"), args);
        assert.deepEqual([r.code, r.stdout, r.stderr], [1, "", `usage: ${tools.program("runsv")} dir\n\n`]);
      }
      // There are no options: a word with a dash is a directory.
      for (const word of ["-V", "-h", "--help", "--", ""]) {
        const r = await run(tools.program("runsv"), [word]);
        assert.deepEqual(
          [r.code, r.stderr],
          [111, `runsv ${word}: fatal: unable to change to directory: file does not exist\n`],
          word,
        );
      }
    });

    both("a directory that is none", async (tools, dir) => {
      await refused(tools, dir, "unable to change to directory: file does not exist");
      writeFileSync(join(dir, "svc"), "");
      await refused(tools, dir, "unable to change to directory: not a directory");
      rmSync(join(dir, "svc"));
      symlinkSync("svc", join(dir, "svc"));
      await refused(tools, dir, "unable to change to directory: symbolic link loop");
    });

    both("what cannot be opened in supervise", async (tools, dir) => {
      const s = service(dir);
      const fresh = (): void => {
        rmSync(s.path("supervise"), { recursive: true, force: true });
        mkdirSync(s.path("supervise"));
      };
      fresh();
      mkdirSync(s.path("supervise/lock"));
      await refused(tools, dir, "unable to open supervise/lock: is a directory");
      fresh();
      writeFileSync(s.path("supervise/control"), "");
      await refused(tools, dir, "supervise/control exists but is not a fifo");
      fresh();
      symlinkSync("control", s.path("supervise/control"));
      await refused(tools, dir, "unable to stat supervise/control: symbolic link loop");
      fresh();
      symlinkSync("ok", s.path("supervise/ok"));
      await refused(tools, dir, "unable to read supervise/ok: symbolic link loop");
      rmSync(s.path("supervise"), { recursive: true });
      writeFileSync(s.path("supervise"), "");
      await refused(tools, dir, "unable to open supervise/lock: not a directory");
    });

    both("what cannot be opened in log/supervise", async (tools, dir) => {
      const s = service(dir, { log: { run: READ_LOG } });
      const fresh = (): void => {
        rmSync(s.path("log/supervise"), { recursive: true, force: true });
        mkdirSync(s.path("log/supervise"));
      };
      fresh();
      mkdirSync(s.path("log/supervise/lock"));
      await refused(tools, dir, "unable to open log/supervise/lock: is a directory");
      fresh();
      symlinkSync("ok", s.path("log/supervise/ok"));
      await refused(tools, dir, "unable to read log/supervise/ok: symbolic link loop");
      rmSync(s.path("log/supervise"), { recursive: true });
      writeFileSync(s.path("log/supervise"), "");
      await refused(tools, dir, "unable to open log/supervise/lock: not a directory");
    });

    // 2.1.2 looks at the main FIFO here and reads the file as if it were one; 2.3.0 is our measure.
    test("a log control that is no FIFO is refused, as in 2.3.0", async (t) => {
      const dir = tempDir(t);
      const s = service(dir, { log: { run: READ_LOG } });
      mkdirSync(s.path("log/supervise"));
      writeFileSync(s.path("log/supervise/control"), "");
      await refused(UPKEEP, dir, "log/supervise/control exists but is not a fifo");
    });

    both("supervise/ok need not be a FIFO", async (tools, dir, t) => {
      const s = service(dir);
      mkdirSync(s.path("supervise"));
      writeFileSync(s.path("supervise/ok"), "");
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.runs();
    });

    both("a second runsv", async (tools, dir, t) => {
      const s = service(dir);
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const pid = await s.runs();
      const before = s.statusBytes;
      await refused(tools, dir, "unable to lock supervise/lock: temporary failure");
      assert.equal(s.pid, pid);
      assert.deepEqual(s.statusBytes, before);
    });

    // runit waits for the lock of the log service without limit and deaf: doc/differences.md, runsv-log-lock.
    test("a runsv that runs on the log directory by itself", async (t) => {
      const dir = tempDir(t);
      const s = service(dir, { log: { run: "#!/bin/sh\nexec sleep 1000\n" } });
      start(t, UPKEEP.program("runsv"), ["svc/log"], { cwd: dir });
      await s.log.runs();
      await refused(UPKEEP, dir, "unable to lock log/supervise/lock: temporary failure");
    });

    both("down: any file counts, a dangling link does not", async (tools, dir, t) => {
      const make: Readonly<Record<string, (path: string) => void>> = {
        file: (path) => writeFileSync(path, ""),
        directory: (path) => mkdirSync(path),
        fifo: (path) => execFileSync("mkfifo", [path]),
        link: (path) => symlinkSync("run", path),
        dangling: (path) => symlinkSync("nowhere", path),
      };
      for (const [what, fn] of Object.entries(make)) {
        const s = new Service(serviceDir(join(dir, what), { run: SLEEP }));
        fn(s.path("down"));
        start(t, tools.program("runsv"), [what], { cwd: dir });
      }
      await new Service(join(dir, "dangling")).runs();
      for (const what of Object.keys(make).filter((name) => name !== "dangling")) {
        const s = new Service(join(dir, what));
        await s.is("down");
        assert.deepEqual([s.file("supervise/pid"), s.status.want, s.status.state], ["", "down", "down"], what);
      }
    });

    both("log: a file, a link to nothing, a link to itself, a link to a directory", async (tools, dir, t) => {
      const messages: Record<string, string> = {
        file: "runsv file: warning: ./log: not a directory.\n",
        dangling: "",
        loop: "runsv loop: warning: unable to stat() ./log: : symbolic link loop\n",
      };
      const make: Readonly<Record<string, (path: string) => void>> = {
        file: (path) => writeFileSync(path, ""),
        dangling: (path) => symlinkSync("nowhere", path),
        loop: (path) => symlinkSync("log", path),
      };
      for (const [what, fn] of Object.entries(make)) {
        const s = new Service(
          serviceDir(join(dir, what), { run: '#!/bin/sh\nx=$(readlink /proc/$$/fd/1)\necho "$x" >out\nexec sleep 1000\n' }),
        );
        fn(s.path("log"));
        const child = start(t, tools.program("runsv"), [what], { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
        // Without a log service the standard output is runsv's.
        assert.deepEqual(await s.has("out"), ["/dev/null"], what);
        await until("it is told", () => child.stderr() === messages[what]);
      }
      serviceDir(join(dir, "elsewhere"), { run: READ_LOG });
      const s = new Service(serviceDir(join(dir, "linked"), { run: "#!/bin/sh\necho hello\nexec sleep 1000\n" }));
      symlinkSync("../elsewhere", s.path("log"));
      start(t, tools.program("runsv"), ["linked"], { cwd: dir });
      assert.deepEqual(await s.log.has("lines"), ["hello"]);
    });

    both("log: decided once, a directory that comes later is not looked at", async (tools, dir, t) => {
      const s = service(dir);
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const first = await s.runs();
      serviceDir(s.path("log"), { run: READ_LOG });
      s.tell("t");
      await s.runs(first);
      assert.equal(statSync(s.path("log")).isDirectory(), true);
      assert.deepEqual(readdirSync(s.path("log")), ["run"]);
    });

    both("log/down: the log service stays down, the service runs", async (tools, dir, t) => {
      const s = service(dir, { log: { run: READ_LOG, down: true } });
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.runs();
      assert.deepEqual([s.log.stat, s.log.status.want], ["down", "down"]);
      s.log.tell("u");
      await s.log.runs();
    });
  });

  together("supervise", () => {
    both("files, modes, and bytes while it runs and after its end", async (tools, dir, t) => {
      const runsv = tools.program("runsv");
      for (const umask of ["022", "077", "000"]) {
        const name = `u${umask}`;
        const s = new Service(serviceDir(join(dir, name), { run: SLEEP, log: { run: "#!/bin/sh\nexec cat\n" } }));
        const child = start(t, "/bin/sh", ["-c", `umask ${umask}; exec '${runsv}' ${name}`], { cwd: dir });
        await s.runs();
        await s.log.runs();
        const off = Number.parseInt(umask, 8);
        for (const which of [s, s.log]) {
          assert.equal(lstatSync(which.path("supervise")).mode & 0o7777, 0o700 & ~off);
          const modes: Record<string, number> = {
            lock: 0o600,
            control: 0o600,
            ok: 0o600,
            pid: 0o644,
            stat: 0o644,
            status: 0o644,
          };
          for (const [file, mode] of Object.entries(modes)) {
            const stat = lstatSync(which.path(`supervise/${file}`));
            assert.equal(stat.mode & 0o7777, mode & ~off, `${umask} ${file}`);
            assert.equal(stat.isFIFO(), file === "control" || file === "ok", file);
          }
          // Ours keeps one file more, for a successor: doc/differences.md, runsv-adopt.
          const names = readdirSync(which.path("supervise")).filter((file) => file !== "adopt");
          assert.deepEqual(names.sort(), Object.keys(modes).sort());
          assert.equal(statSync(which.path("supervise/lock")).size, 0);
          assert.match(which.file("supervise/pid"), /^[1-9]\d*\n$/);
          assert.equal(which.file("supervise/stat"), "run\n");
          const b = which.statusBytes;
          assert.deepEqual([b.length, b.readUInt32LE(12), ...b.subarray(16)], [20, which.pid, 0, 0x75, 0, 1]);
          const seconds = b.readBigUInt64BE(0) - 0x4000_0000_0000_000an;
          assert.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 60, `${seconds}`);
          assert.equal(b.readUInt32BE(8) % 1000, 500);
        }
        s.tell("x");
        assert.deepEqual(await child.exited, { code: 0, signal: null });
        for (const which of [s, s.log]) {
          assert.equal(which.file("supervise/pid"), "");
          assert.equal(which.file("supervise/stat"), "down\n");
          assert.deepEqual([...which.statusBytes.subarray(12)], [0, 0, 0, 0, 0, 0x64, 0, 0]);
          assert.ok(lstatSync(which.path("supervise/control")).isFIFO());
        }
      }
    });

    both("pid, stat and status are replaced, never written in place", async (tools, dir, t) => {
      const s = service(dir);
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const first = await s.runs();
      const inodes = (): number[] => ["pid", "stat", "status"].map((file) => statSync(s.path(`supervise/${file}`)).ino);
      const keep = ["pid", "stat", "status"].map((file) => readFileSync(s.path(`supervise/${file}`)));
      // Held open, so that the numbers are not used again.
      execFileSync("ln", ["-f", ...["pid", "stat", "status"].map((file) => s.path(`supervise/${file}`)), dir]);
      const before = inodes();
      s.tell("t");
      await s.runs(first);
      const after = inodes();
      for (const [i, inode] of before.entries()) assert.notEqual(inode, after[i]);
      for (const [i, file] of ["pid", "stat", "status"].entries()) assert.deepEqual(readFileSync(join(dir, file)), keep[i]);
      assert.deepEqual(
        readdirSync(s.path("supervise")).filter((file) => file.endsWith(".new")),
        [],
      );
    });

    both("state files that cannot be written or put in place: a warning, and the service runs", async (tools, dir, t) => {
      const files = ["pid", "stat", "status"];
      const rows = [...files.map((file) => [file, `${file}.new`]), ...files.map((file) => [file, file])];
      const cases = rows.flatMap(([file = "", blocked = ""], i) =>
        ["", "log/"].map((log) => ({ file, blocked, log, name: `s${i}${log.slice(0, 3)}` })),
      );
      await each(cases, async ({ file, blocked, log, name }) => {
        const run = "#!/bin/sh\necho >>starts\nexec sleep 1000\n";
        const s = new Service(serviceDir(join(dir, name), { run, log: { run } }));
        const child = start(t, tools.program("runsv"), [name], { cwd: dir });
        await s.runs();
        await s.log.runs();
        const which = log === "" ? s : s.log;
        rmSync(which.path(`supervise/${blocked}`), { force: true });
        mkdirSync(which.path(`supervise/${blocked}/inside`), { recursive: true });
        // Not k: a service that ran for a second is up again at once, and stat says what it said.
        which.tell("d");
        await until("it is told", () => child.stderr() !== "");
        which.tell("u");
        await which.has("starts", 2);
        const place = `${log}supervise`;
        const message = blocked.endsWith(".new")
          ? `unable to open ${place}/${blocked}: is a directory`
          : `unable to rename ${file}.new to ${place}/${file}: is a directory`;
        const told = [...new Set(child.stderr().split("\n").slice(0, -1))];
        assert.deepEqual(told, [`runsv ${name}: warning: ${message}`]);
      });
    });

    both("supervise as a link: its target is made, also the log's, from the directory it stands in", async (tools, dir, t) => {
      const s = service(dir, { log: { run: READ_LOG } });
      symlinkSync("foo", s.path("supervise"));
      symlinkSync("bar", s.path("log/supervise"));
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.runs();
      await s.log.runs();
      for (const made of [s.path("foo"), s.path("log/bar")]) {
        assert.equal(lstatSync(made).mode & 0o7777, 0o700);
        assert.equal(new Service(join(made, "..")).stat, made.endsWith("foo") || made.endsWith("bar") ? "run" : "");
      }
    });

    both(
      "supervise as a link: absolute, to a directory that is there, and what is too long or has no parent",
      async (tools, dir, t) => {
        const s = service(dir);
        mkdirSync(join(dir, "there"), { mode: 0o755 });
        chmodSync(join(dir, "there"), 0o755);
        symlinkSync(join(dir, "there"), s.path("supervise"));
        start(t, tools.program("runsv"), ["svc"], { cwd: dir });
        await s.runs();
        assert.equal(statSync(join(dir, "there")).mode & 0o7777, 0o755);
        const other = tempDir(t);
        const o = service(other);
        symlinkSync("no/parent", o.path("supervise"));
        await refused(tools, other, "unable to open supervise/lock: file does not exist");
        rmSync(o.path("supervise"));
        symlinkSync("x".repeat(256), o.path("supervise"));
        await refused(tools, other, "unable to readlink ./supervise: name too long");
        rmSync(o.path("supervise"));
        symlinkSync("x".repeat(255), o.path("supervise"));
        const child = start(t, tools.program("runsv"), ["svc"], { cwd: other });
        await o.runs();
        assert.ok(statSync(o.path("x".repeat(255))).isDirectory());
        child.kill("SIGTERM");
        await child.exited;
      },
    );

    both("log/supervise as a link that is too long", async (tools, dir) => {
      const s = service(dir, { log: { run: READ_LOG } });
      symlinkSync("x".repeat(256), s.path("log/supervise"));
      await refused(tools, dir, "unable to readlink ./log/supervise: name too long");
    });

    both("ok can be opened for writing exactly while runsv runs", async (tools, dir, t) => {
      const s = service(dir);
      const probe = async (): Promise<number | null> =>
        (
          await run("/usr/bin/timeout", ["5", "dd", "of=svc/supervise/ok", "oflag=nonblock", "conv=nocreat,notrunc", "count=0"], {
            cwd: dir,
          })
        ).code;
      const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.runs();
      assert.equal(await probe(), 0);
      child.kill("SIGKILL");
      await child.exited;
      await until("nobody reads", async () => (await probe()) === 1);
    });

    both("the log service starts before the service", async (tools, dir, t) => {
      const note = (name: string): string => `#!/bin/sh\necho ${name} >>'${dir}/order'\n`;
      const s = service(dir, { run: `${note("main")}exec sleep 1000\n`, log: { run: `${note("log")}exec cat\n` } });
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.runs();
      await s.log.runs();
      await until("both have begun", () => readFileSync(join(dir, "order"), "latin1").split("\n").length === 3);
      // Process numbers count up, unless they just began anew.
      assert.ok(s.log.pid < s.pid || s.log.pid > s.pid + 1000, `${s.log.pid} ${s.pid}`);
    });
  });
});
