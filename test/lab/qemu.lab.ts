/**
 * On a real kernel, in qemu's software emulation: boot, power off, reboot,
 * ctrl-alt-del, never a panic; clocks that jump; and a Debian that boots with
 * our binaries. The kernel: vm.ts.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { BIN_DIR } from "../support/lab.ts";
import { lab, makeRoot, must, needs, ownDir, removeDir, report, type Suite } from "./lab.ts";
import { type Kernel, kernelIn, TOOLS, Vm } from "./vm.ts";

/** One boot of a small root, from the kernel's start to its end by `stop`. */
async function life(
  t: TestContext,
  dir: string,
  kernel: Kernel,
  suite: Suite,
  stop: (vm: Vm) => Promise<unknown>,
): Promise<Vm & { how: string }> {
  const sub = join(dir, `vm${Math.floor(Math.random() * 1e6)}`);
  mkdirSync(sub);
  const from = performance.now();
  const vm = new Vm(t, sub, kernel, makeRoot(t, suite, true), "/sbin/runit", null);
  await vm.shows(/^tick 1$/m);
  const booted = Math.round(performance.now() - from);
  assert.match(
    await vm.sh("sv -w 20 check /etc/service/tick; sv status /etc/service/tick"),
    /run: \/etc\/service\/tick: \(pid \d+\)/,
  );
  const stopping = performance.now();
  void stop(vm);
  const how = await vm.end();
  report(t, `${suite}: services up after ${booted} ms, ${how} after ${Math.round(performance.now() - stopping)} ms`);
  return Object.assign(vm, { how });
}

lab("qemu: boot, services, power off, reboot, ctrl-alt-del; never a panic", async (t) => {
  if (!needs(t, ...TOOLS)) return;
  const dir = ownDir();
  t.after(() => removeDir(dir));
  const kernel = await kernelIn(dir);
  report(t, `kernel ${kernel.version}`);
  const off = await life(t, dir, kernel, "upkeep", (vm) => vm.sh("runit-init 0"));
  assert.equal(off.how, "power off");
  assert.match(
    off.log(),
    /stage 1 done\n[\s\S]*enter stage: \/etc\/runit\/2\n[\s\S]*leave stage: \/etc\/runit\/2\n[\s\S]*stage 3 done\n[\s\S]*power off\.\.\./,
  );
  const again = await life(t, dir, kernel, "upkeep", (vm) => vm.sh("runit-init 6"));
  assert.equal(again.how, "reboot");
  assert.match(again.log(), /system reboot\./);
  const keys = await life(t, dir, kernel, "upkeep", (vm) => vm.monitor("sendkey ctrl-alt-delete"));
  assert.equal(keys.how, "reboot");
  assert.match(keys.log(), /ctrl-alt-del request\.\.\.\n[\s\S]*ctrl-alt-del\n/);
  // Everything at process 1 that could end it.
  const attacked = await life(t, dir, kernel, "upkeep", async (vm) => {
    await vm.sh(
      "for s in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 31; do kill -$s 1; done; for i in 1 2 3; do kill -9 $(pidof runsvdir) $(pidof runsv); sleep 1; done",
    );
    await vm.sh("runit-init 0");
  });
  assert.notEqual(attacked.how, "panic");
  if (needs(t, "runsvdir")) await life(t, dir, kernel, "runit", (vm) => vm.sh("runit-init 0"));
});

/** A service that ends at once, and notes when it was started, by the monotonic clock. */
const CRASHES = "#!/bin/sh\ncut -d' ' -f1 /proc/uptime >>/tmp/starts\n";
const JUMPS = ["2001-01-01 00:00:00", "2031-05-05 05:05:05", "1999-12-31 23:59:59", "2026-11-26 12:00:00"];

/** After `before`: the service's pid, and when it was started, in seconds since boot by what sv shows as its age. */
async function shown(vm: Vm, before: string): Promise<{ readonly pid: number; readonly age: number; readonly since: number }> {
  const told = await vm.sh(`${before}; cut -d' ' -f1 /proc/uptime; sv status /etc/service/tick`);
  const [, uptime = "", pid = "", age = ""] = /^([\d.]+)\n.*\(pid (\d+)\) (-?\d+)s/m.exec(told) ?? [];
  return { pid: Number(pid), age: Number(age), since: Number(uptime) - Number(age) };
}

lab("qemu: a wall clock that jumps by decades: ages, throttle and taking over do not notice", async (t) => {
  if (!needs(t, ...TOOLS)) return;
  const dir = ownDir();
  t.after(() => removeDir(dir));
  const kernel = await kernelIn(dir);
  for (const suite of ["upkeep", "runit"] as const) {
    if (suite === "runit" && !needs(t, "runsvdir")) return;
    const root = makeRoot(t, suite, true);
    mkdirSync(join(root, "etc/service/crash"));
    writeFileSync(join(root, "etc/service/crash/run"), CRASHES, { mode: 0o755 });
    mkdirSync(join(dir, suite));
    const vm = new Vm(t, join(dir, suite), kernel, root, "/sbin/runit", null);
    await vm.shows(/^tick 1$/m);
    const first = await shown(vm, "true");
    const ages: number[] = [];
    for (const date of JUMPS) {
      const { pid, age, since } = await shown(vm, `date -s '${date}'; sleep 3`);
      ages.push(age);
      if (suite !== "upkeep") continue;
      assert.equal(pid, first.pid);
      assert.ok(Math.abs(since - first.since) < 3, `${date}: started ${first.since} s after boot, now ${since}`);
    }
    report(t, `${suite}: ages after each jump ${ages.join(", ")} s`);
    const starts = (await vm.sh("cat /tmp/starts")).trim().split("\n").map(Number);
    const gaps = starts.slice(1).map((at, i) => at - (starts[i] ?? 0));
    report(
      t,
      `${suite}: ${starts.length} starts of a service that ends at once, ${Math.min(...gaps)} to ${Math.max(...gaps)} s apart`,
    );
    if (suite === "upkeep") {
      // A tenth for the time from the start to the note.
      assert.ok(Math.min(...gaps) > 0.9 && Math.max(...gaps) < 10, gaps.join());
      const after = await shown(vm, "kill -9 $(pidof runsv); date -s '2012-12-12 12:12:12'; sleep 4");
      assert.equal(after.pid, first.pid);
      assert.ok(Math.abs(after.since - first.since) < 3, `started ${first.since} s after boot, now ${after.since}`);
    }
    void vm.sh("runit-init 0");
    assert.equal(await vm.end(), "power off");
  }
});

lab("qemu: a Debian root boots to its login prompt with our binaries, and powers off", async (t) => {
  if (!needs(t, ...TOOLS, "debootstrap", "mkfs.ext4")) return;
  const dir = ownDir();
  t.after(() => removeDir(dir));
  const kernel = await kernelIn(dir);
  const tree = join(dir, "debian");
  await must("sh", [
    "-c",
    `mirror=$(apt-cache policy base-files | awk '$2 ~ /^http/{print $2; exit}'); . /etc/os-release
debootstrap --variant=minbase --include=runit-init,runit,procps "$VERSION_CODENAME" ${tree} "$mirror" >${dir}/debootstrap.log 2>&1`,
  ]);
  writeFileSync(join(tree, "etc/fstab"), "/dev/vda / ext4 defaults,noatime 0 1\n");
  // There are no such screens here; the serial line's getty stays.
  execFileSync("sh", ["-c", `rm -f ${tree}/etc/runit/runsvdir/default/getty-tty[1-6v]*`]);
  for (const [place, names] of [
    ["sbin", ["runit"]],
    ["lib/runit", ["runit-init"]],
    ["usr/bin", ["runsvdir", "runsv", "sv", "chpst"]],
    ["usr/sbin", ["runsvchdir"]],
  ] as const) {
    for (const name of names)
      if (existsSync(join(BIN_DIR, name)))
        execFileSync("cp", ["-L", "--remove-destination", join(BIN_DIR, name), join(tree, place, name)]);
  }
  const disk = join(dir, "disk.img");
  await must("sh", ["-c", `truncate -s 700M ${disk} && mkfs.ext4 -q -F -d ${tree} ${disk}`]);
  const vmDir = join(dir, "vm");
  mkdirSync(vmDir);
  const from = performance.now();
  const vm = new Vm(t, vmDir, kernel, makeRoot(t, "upkeep", false), "/sbin/init", disk);
  await vm.shows(/login:/);
  const booted = Math.round(performance.now() - from);
  assert.match(await vm.sh("sv status /etc/service/*"), /^run: \/etc\/service\/getty-ttyS0: /m);
  assert.match(await vm.sh("cat /proc/1/comm"), /^runit$/m);
  const stopping = performance.now();
  void vm.sh("init 0");
  assert.equal(await vm.end(), "power off");
  report(t, `Debian: login prompt after ${booted} ms, power off ${Math.round(performance.now() - stopping)} ms after init 0`);
});
