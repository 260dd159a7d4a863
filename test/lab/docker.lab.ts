/** Under dockerd: stop, health checks as the engine schedules them, restart policies, the compose file. */
import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, run, start, until } from "../support/lab.ts";
import { EXAMPLE, lab, must, needs, ownDir, removeDir, report, timed } from "./lab.ts";

/** An engine with a store of its own, without bridge and firewall rules; ended and removed after the test. */
class Docker {
  readonly dir: string;
  readonly program: string;
  readonly daemon: Child;

  constructor(t: TestContext) {
    this.dir = ownDir();
    this.program = join(this.dir, "docker");
    writeFileSync(this.program, `#!/bin/sh\nexec docker -H unix://${this.dir}/sock "$@"\n`);
    chmodSync(this.program, 0o755);
    t.after(async () => {
      await run("sh", ["-c", `${this.program} ps -aq | xargs -r ${this.program} rm -f`], { timeoutMs: 120_000 });
      this.daemon.kill("SIGTERM");
      await this.daemon.exited;
      removeDir(this.dir);
    });
    const d = this.dir;
    this.daemon = start(t, "dockerd", [
      ...["--data-root", `${d}/root`, "--exec-root", `${d}/exec`, "--pidfile", `${d}/pid`, "-H", `unix://${d}/sock`],
      ...["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"],
      ...["--exec-opt", "native.cgroupdriver=cgroupfs"],
    ]);
  }

  do(...args: readonly string[]): Promise<string> {
    return must(this.program, args);
  }

  async ready(): Promise<void> {
    await until("dockerd answers", async () => (await run(this.program, ["version"])).code === 0, 60_000);
    await must(join(EXAMPLE, "build"), ["example:lab"], { ENGINE: this.program, BUILD_OPTIONS: "-q" });
  }

  async start(name: string, ...options: readonly string[]): Promise<void> {
    await this.do("run", "-d", "--network", "none", "--health-interval", "1s", "--name", name, ...options, "example:lab");
    await this.healthy(name);
  }

  inspect(name: string, what: string): Promise<string> {
    return this.do("inspect", "-f", `{{${what}}}`, name).then((s) => s.trim());
  }

  healthy(name: string): Promise<void> {
    return until(`${name} is healthy`, async () => (await this.inspect(name, ".State.Health.Status")) === "healthy", 60_000);
  }
}

const TOOLS = ["dockerd", "docker", "containerd", "runc", "busybox"];

lab("docker: healthy, unhealthy, healthy again; stop is orderly, read-only and as another user too", async (t) => {
  if (!needs(t, ...TOOLS)) return;
  const docker = new Docker(t);
  await docker.ready();
  const strict = [
    "--read-only",
    "--tmpfs",
    "/run",
    "--user",
    "1000:1000",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
  ];
  for (const [name, options] of [
    ["plain", []],
    ["strict", strict],
    ["init", ["--init"]],
  ] as const) {
    const healthyAfter = await timed(() => docker.start(name, ...options));
    await docker.do("exec", name, "sv", "pause", "web");
    await until("unhealthy", async () => (await docker.inspect(name, ".State.Health.Status")) === "unhealthy", 60_000);
    await docker.do("exec", name, "sv", "cont", "web");
    await docker.healthy(name);
    const took = await timed(() => docker.do("stop", name));
    assert.equal(await docker.inspect(name, ".State.ExitCode"), "0", name);
    const logs = await docker.do("logs", name);
    for (const line of ["worker: finished the last piece", "worker: cleaned up after exit code 0"])
      assert.match(logs, new RegExp(`^${line}$`, "m"), name);
    report(t, `${name}: healthy after ${healthyAfter} ms, docker stop took ${took} ms, exit 0`);
  }
});

lab("docker: restart policies", async (t) => {
  if (!needs(t, ...TOOLS)) return;
  const docker = new Docker(t);
  await docker.ready();
  await docker.start("failure", "--restart", "on-failure");
  await docker.do("exec", "failure", "runit-init", "6");
  await until("it was restarted", async () => (await docker.inspect("failure", ".RestartCount")) === "1");
  await docker.healthy("failure");
  await docker.do("exec", "failure", "runit-init", "0");
  await until("it has ended", async () => (await docker.inspect("failure", ".State.Running")) === "false");
  assert.equal(await docker.inspect("failure", ".State.ExitCode"), "0");
  assert.equal(await docker.inspect("failure", ".RestartCount"), "1");
  await docker.start("always", "--restart", "always");
  await docker.do("exec", "always", "runit-init", "0");
  await until("it was restarted", async () => (await docker.inspect("always", ".RestartCount")) === "1");
  await docker.healthy("always");
  report(t, "on-failure: 129 is restarted, 0 is not; always: 0 is restarted");
});

lab("docker compose: the example", async (t) => {
  if (!needs(t, ...TOOLS, "docker-compose")) return;
  const docker = new Docker(t);
  await docker.ready();
  await docker.do("tag", "example:lab", "upkeep-example");
  // No network here: instead of its port.
  const file = readFileSync(join(EXAMPLE, "compose.yaml"), "utf8").replace(/^ {4}ports:.*$/m, "    network_mode: none");
  writeFileSync(join(docker.dir, "compose.yaml"), `version: "2.4"\n${file}`);
  const compose = (...args: readonly string[]): Promise<string> =>
    must("docker-compose", ["-H", `unix://${docker.dir}/sock`, "-f", join(docker.dir, "compose.yaml"), "-p", "lab", ...args]);
  await compose("up", "-d");
  const name = (await docker.do("ps", "-q")).trim();
  await docker.healthy(name);
  const took = await timed(() => compose("stop"));
  assert.equal(await docker.inspect(name, ".State.ExitCode"), "0");
  assert.match(await docker.do("logs", name), /^worker: finished the last piece$/m);
  report(t, `compose stop took ${took} ms, exit 0`);
});
