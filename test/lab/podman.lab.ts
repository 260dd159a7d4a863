/** Under podman: examples/container built, run, stopped, killed; read-only, another user, --init. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { run, until } from "../support/lab.ts";
import { EXAMPLE, lab, must, needs, ownDir, removeDir, report, timed } from "./lab.ts";

/** A podman with a store of its own and no network; removed at the end with everything in it. */
class Podman {
  readonly program: string;

  constructor(t: TestContext) {
    // Short: sockets below it have names of at most 107 bytes.
    const dir = ownDir();
    mkdirSync(join(dir, "s"));
    const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
    const files = limit === "unlimited" || Number(limit) > 1048576 ? "1048576" : limit;
    writeFileSync(
      join(dir, "containers.conf"),
      `[containers]
default_ulimits = ["nofile=${files}:${files}", "nproc=8192:8192"]
netns = "none"
log_driver = "k8s-file"
init_path = "/usr/bin/catatonit"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
`,
    );
    this.program = join(dir, "podman");
    writeFileSync(
      this.program,
      `#!/bin/sh\nexport CONTAINERS_CONF=${dir}/containers.conf\nexec podman --root ${dir}/s/root --runroot ${dir}/s/run --tmpdir ${dir}/s/tmp --log-level error "$@"\n`,
    );
    chmodSync(this.program, 0o755);
    t.after(async () => {
      await run(this.program, ["rm", "-af", "-t", "0"], { timeoutMs: 120_000 });
      await run(this.program, ["rmi", "-af"], { timeoutMs: 120_000 });
      removeDir(dir);
    });
  }

  do(...args: readonly string[]): Promise<string> {
    return must(this.program, args);
  }

  async build(): Promise<void> {
    await must(join(EXAMPLE, "build"), ["example:lab"], { ENGINE: this.program, BUILD_OPTIONS: "--isolation chroot -q" });
  }

  async start(name: string, ...options: readonly string[]): Promise<void> {
    await this.do("run", "-d", "--name", name, ...options, "localhost/example:lab");
    await until("web answers", async () => (await run(this.program, ["exec", name, "sv", "-w", "1", "check", "web"])).code === 0);
    await until("the worker works", async () => (await this.do("logs", name)).includes("worker: working\n"));
  }

  async exitCode(name: string): Promise<number> {
    return Number(await this.do("inspect", "-f", "{{.State.ExitCode}}", name));
  }
}

lab(
  "podman: the example, read-only, as another user, without capabilities, with and without --init: stop is orderly",
  async (t) => {
    if (!needs(t, "podman", "conmon", "runc", "catatonit", "busybox")) return;
    const podman = new Podman(t);
    await podman.build();
    const strict = ["--read-only", "--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    const kinds: readonly (readonly [string, readonly string[]])[] = [
      ["plain", []],
      ["strict", strict],
      ["init", ["--init"]],
      ["strict-init", [...strict, "--init"]],
    ];
    for (const [name, options] of kinds) {
      await podman.start(name, ...options);
      const took = await timed(() => podman.do("stop", "-t", "10", name));
      const code = await podman.exitCode(name);
      const logs = await podman.do("logs", name);
      assert.equal(code, 0, name);
      for (const line of ["worker: finished the last piece", "worker: cleaned up after exit code 0"])
        assert.match(logs, new RegExp(`^${line}$`, "m"), name);
      report(t, `${name}: podman stop took ${took} ms, exit ${code}`);
    }
  },
);

lab("podman: a command; kill with several signals; the exit codes", async (t) => {
  if (!needs(t, "podman", "conmon", "runc", "catatonit", "busybox")) return;
  const podman = new Podman(t);
  await podman.build();
  const code = await run(podman.program, ["run", "--rm", "localhost/example:lab", "--", "sh", "-c", "exit 42"], {
    timeoutMs: 60_000,
  });
  assert.equal(code.code, 42);
  for (const signal of ["INT", "QUIT", "PWR", "RTMIN+3"]) {
    const name = signal.replace("+", "");
    await podman.start(name);
    await podman.do("kill", "-s", signal, name);
    await podman.do("wait", name);
    assert.equal(await podman.exitCode(name), 0, signal);
    await podman.do("rm", name);
  }
  await podman.start("again");
  await podman.do("exec", "again", "runit-init", "6");
  await podman.do("wait", "again");
  assert.equal(await podman.exitCode("again"), 129);
  report(t, "exit 42 from a command, 0 after INT QUIT PWR RTMIN+3, 129 after runit-init 6");
});
