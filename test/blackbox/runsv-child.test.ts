/**
 * runsv(8), what the programs of a service directory are born with, and what
 * happens when they cannot be started. On our runsv and runit's.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { both, type ServiceFiles, serviceDir, start, until } from "../support/lab.ts";
import { Service, SLEEP, together } from "../support/service.ts";

/** Notes, in `name`, everything a program can tell about how it was started. Descriptors from 10 on are the shell's own. */
function note(name: string): string {
  return `
exec 9>${name}.new
tr '\\0' '|' </proc/$$/cmdline >&9
echo " $#:$*" >&9
pwd >&9
umask >&9
echo "$MARK" >&9
for fd in 0 1 2 3 4 5 6 7 8; do
  [ ! -e /proc/$$/fd/$fd ] || echo "$fd $(readlink /proc/$$/fd/$fd)" >&9
done
exec 9>&-
mv ${name}.new ${name}
`;
}

/** perl keeps the signal mask it is born with; a shell clears it. */
const SIGNALS = (name: string): string => `#!/usr/bin/perl
open(S, "<", "/proc/self/status"); @l = grep(/^Sig(Blk|Ign)/, <S>);
open(O, ">", "${name}.new"); print O @l; close(O); rename("${name}.new", "${name}");
sleep 1000 if "${name}" eq "run.sig";
`;

function make(dir: string, files: ServiceFiles): Service {
  return new Service(serviceDir(join(dir, "svc"), files));
}

/** The signals of a mask line of proc(5) status. */
function signals(lines: readonly string[], name: string): number[] {
  const hex = lines.find((line) => line.startsWith(name))?.split("\t")[1] ?? "";
  const bits = BigInt(`0x${hex}`);
  return Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
}

together("runsv-child", () => {
  together("children", () => {
    both("directory, arguments, environment, umask, descriptors", async (tools, dir, t) => {
      const s = make(dir, {
        run: `#!/bin/sh${note("run.txt")}exec sleep 1000\n`,
        finish: `#!/bin/sh${note("finish.txt")}exit 0\n`,
        control: { h: `#!/bin/sh${note("hook.txt")}exit 0\n`, u: `#!/bin/sh${note("u.txt")}exit 0\n` },
      });
      const shell = `umask 027; exec 7</dev/null 8>/dev/zero; exec '${tools.program("runsv")}' svc`;
      start(t, "/bin/sh", ["-c", shell], { cwd: dir, env: { MARK: "a mark\n" }, stdio: ["ignore", "ignore", "ignore"] });
      await s.runs();
      await s.has("run.txt", 6);
      s.tell("h");
      await s.has("hook.txt", 6);
      s.tell("d");
      await s.is("down");
      const rest = [
        `${dir}/svc`,
        "0027",
        "a mark",
        "",
        "0 /dev/null",
        "1 /dev/null",
        "2 /dev/null",
        "7 /dev/null",
        "8 /dev/zero",
      ];
      assert.deepEqual(s.lines("run.txt"), ["/bin/sh|./run| 0:", ...rest]);
      assert.deepEqual(s.lines("hook.txt"), ["/bin/sh|control/h| 0:", ...rest]);
      assert.deepEqual(s.lines("u.txt"), ["/bin/sh|control/u| 0:", ...rest]);
      assert.deepEqual(s.lines("finish.txt"), ["/bin/sh|./finish|-1|15| 2:-1 15", ...rest]);
    });

    both("no descriptor of runsv's own", async (tools, dir, t) => {
      const s = make(dir, { run: SLEEP, log: { run: SLEEP } });
      const open = (pid: number): string[] =>
        readdirSync(`/proc/${pid}/fd`).filter((fd) => readlink(`/proc/${pid}/fd/${fd}`) !== "");
      const plain = start(t, "/bin/sleep", ["1000"]);
      start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const service = await s.runs();
      const log = await s.log.runs();
      for (const pid of [service, log]) {
        await until("it has become sleep", () => readlink(`/proc/${pid}/exe`) === readlink(`/proc/${plain.pid}/exe`));
        assert.deepEqual(open(pid), open(plain.pid));
      }
    });

    both("session and process group are runsv's", async (tools, dir, t) => {
      const ids = "#!/bin/sh\necho $(ps -o sid=,pgid= -p $$) >ids\nexec sleep 1000\n";
      const s = make(dir, { run: ids, log: { run: ids } });
      const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const [service] = await s.has("ids");
      const [log] = await s.log.has("ids");
      const want = `${child.pid} ${child.pid}`;
      assert.deepEqual([service, log], [want, want]);
    });

    both(
      "with a log service: one pipe from run, finish and hooks to the log; standard error is left alone",
      async (tools, dir, t) => {
        const where = (name: string): string => `#!/bin/sh
told="$(readlink /proc/$$/fd/0) $(readlink /proc/$$/fd/1) $(readlink /proc/$$/fd/2) $(pwd)"
echo "$told" >&2
echo ${name}
`;
        const s = make(dir, {
          run: `${where("run")}exec sleep 1000\n`,
          finish: where("finish"),
          control: { h: where("hook"), u: where("u") },
          log: { run: `${where("log")}exec cat >>lines\n` },
        });
        const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
        await s.runs();
        s.tell("h");
        await s.log.has("lines", 3);
        s.tell("d");
        const lines = await s.log.has("lines", 4);
        assert.deepEqual(lines, ["u", "run", "hook", "finish"]);
        await until("all have told", () => child.stderr().split("\n").length === 6);
        const told = child.stderr().split("\n").slice(0, -1).sort();
        const log = told.find((line) => line.endsWith("/log"))?.split(" ") ?? [];
        assert.match(log[0] ?? "", /^pipe:/);
        assert.notEqual(log[1], log[0]);
        assert.match(child.stdout(), /^log\n$/);
        const others = told.filter((line) => !line.endsWith("/log"));
        assert.equal(others.length, 4);
        for (const line of others) assert.equal(line, `/dev/null ${log[0]} ${log[2]} ${dir}/svc`);
      },
    );

    both("signals: TERM and CHLD are default and unblocked, all others as inherited", async (tools, dir, t) => {
      const s = make(dir, {
        run: SIGNALS("run.sig"),
        finish: SIGNALS("finish.sig"),
        control: { h: SIGNALS("hook.sig") },
        log: { run: SIGNALS("run.sig") },
      });
      const options = ["--ignore-signal=INT,PIPE,TERM,CHLD,USR2", "--block-signal=USR1,TERM,CHLD,WINCH"];
      start(t, "/usr/bin/env", [...options, tools.program("runsv"), "svc"], { cwd: dir });
      await s.has("run.sig", 2);
      await s.log.has("run.sig", 2);
      await s.runs();
      s.tell("h");
      await s.has("hook.sig", 2);
      s.tell("d");
      await s.has("finish.sig", 2);
      for (const [lines, hook] of [
        [s.lines("run.sig"), false],
        [s.log.lines("run.sig"), false],
        [s.lines("finish.sig"), false],
        [s.lines("hook.sig"), true],
      ] as const) {
        // compat: doc/differences.md, runsv-hook-mask: runit's hooks have TERM and CHLD blocked.
        const blocked = hook && tools.name === "runit" ? [10, 15, 17, 28] : [10, 28];
        // perl ignores FPE itself.
        assert.deepEqual(
          signals(lines, "SigIgn").filter((signal) => signal !== 8),
          [2, 12, 13],
        );
        assert.deepEqual(signals(lines, "SigBlk"), blocked);
      }
    });

    both("TERM is heard, and children are noticed, by a runsv that was started with both ignored", async (tools, dir, t) => {
      const s = make(dir, { run: SLEEP });
      const child = start(t, "/usr/bin/env", ["--ignore-signal=TERM,CHLD", tools.program("runsv"), "svc"], { cwd: dir });
      const first = await s.runs();
      s.tell("t");
      await s.runs(first);
      process.kill(child.pid, "SIGTERM");
      assert.deepEqual(await child.exited, { code: 0, signal: null });
    });
  });

  function readlink(path: string): string {
    try {
      return readlinkSync(path);
    } catch {
      return "";
    }
  }

  /** What makes ./run impossible to start, and what is said about it. */
  const BROKEN: Readonly<Record<string, { readonly make: (run: string) => void; readonly error: string }>> = {
    missing: { make: (run) => rmSync(run, { force: true }), error: "file does not exist" },
    "not executable": { make: (run) => chmodSync(run, 0o644), error: "access denied" },
    "a directory": {
      make: (run) => {
        rmSync(run);
        mkdirSync(run);
      },
      error: "access denied",
    },
    "no interpreter line": { make: (run) => writeFileSync(run, "echo hello\n", { mode: 0o755 }), error: "exec format error" },
    empty: { make: (run) => writeFileSync(run, "", { mode: 0o755 }), error: "exec format error" },
    "missing interpreter": { make: (run) => writeFileSync(run, "#!/no/such\n", { mode: 0o755 }), error: "file does not exist" },
  };

  together("what cannot be started", () => {
    for (const [what, { make: spoil, error }] of Object.entries(BROKEN)) {
      both(`run: ${what}`, async (tools, dir, t) => {
        const s = make(dir, { run: SLEEP, finish: '#!/bin/sh\necho "$@" >>ended\n' });
        spoil(s.path("run"));
        const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir });
        // finish is told 111 0, and it is tried again each second.
        assert.deepEqual((await s.has("ended", 2)).slice(0, 2), ["111 0", "111 0"]);
        const message = `runsv svc: fatal: unable to start ./run: ${error}\n`;
        await until("it was told twice", () => child.stderr().startsWith(message.repeat(2)));
        // It is put right, and runs.
        rmSync(s.path("run"), { recursive: true, force: true });
        writeFileSync(s.path("run"), SLEEP, { mode: 0o755 });
        await until("it runs", () => s.stat === "run" && s.pid > 0 && Date.now() / 1000 - s.since > 0.3);
      });
    }

    both("log/run", async (tools, dir, t) => {
      const s = make(dir, { run: SLEEP, log: { run: SLEEP } });
      rmSync(s.path("log/run"));
      const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      const message = "runsv svc: fatal: unable to start log/./run: file does not exist\n";
      await until("it was tried twice", () => child.stderr().length >= 2 * message.length);
      assert.equal(child.stderr().slice(0, 2 * message.length), message.repeat(2));
      assert.equal(s.stat, "run");
      writeFileSync(s.path("log/run"), "#!/bin/sh\nexec cat\n", { mode: 0o755 });
      await until("it runs", () => s.log.stat === "run" && Date.now() / 1000 - s.log.since > 0.3);
    });

    both(
      "finish that can be opened but not executed costs one child; one that is unreadable for root is not",
      async (tools, dir, t) => {
        // Noted before there is a process that TERM could end.
        const control = { u: "#!/bin/sh\necho started >>starts\n" };
        const s = make(dir, { run: "#!/bin/sh\nexec sleep 0.1\n", control });
        writeFileSync(s.path("finish"), SLEEP, { mode: 0o644 });
        const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir });
        await s.has("starts", 2);
        const message = "runsv svc: fatal: unable to start ./finish: access denied\n";
        assert.equal(child.stderr().slice(0, message.length), message);
        rmSync(s.path("finish"));
        mkdirSync(s.path("finish"));
        await s.has("starts", 4);
        assert.equal(child.stderr().slice(0, message.length), message);
        s.tell("d");
        await s.is("down");
        const lines = child.stderr().split("\n").length - 1;
        assert.ok(lines >= 3 && lines <= s.lines("starts").length, `${lines} messages`);
      },
    );

    both("finish that leads nowhere is none", async (tools, dir, t) => {
      const s = make(dir, { run: "#!/bin/sh\necho started >>starts\n" });
      const child = start(t, tools.program("runsv"), ["svc"], { cwd: dir });
      await s.has("starts", 2);
      assert.equal(child.stderr(), "");
    });
  });
});
