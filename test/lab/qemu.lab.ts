/**
 * On a real kernel, in qemu's software emulation: boot, power off, reboot,
 * ctrl-alt-del, never a panic; and a Debian that boots with our binaries.
 * The kernel is Debian's linux-image-cloud-amd64, downloaded and unpacked, not
 * installed; KERNEL names a vmlinuz, KERNEL_MODULES its modules, to use instead.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { BIN_DIR, type Child, run, start, until } from "../support/lab.ts";
import { lab, makeRoot, must, needs, ownDir, removeDir, report, type Suite } from "./lab.ts";

const TOOLS = ["qemu-system-x86_64", "cpio", "socat", "busybox", "dpkg"];
/** Emulation is slow, and other tests may run. */
const BOOT_MS = 180_000;

/** Run as the kernel's first program: mounts, a shell on the second serial line that is nobody's service, then the init. */
const FIRST = `#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev
for pass in 1 2 3; do for m in /modules/*.ko; do [ ! -e $m ] || busybox insmod $m 2>/dev/null; done; done
busybox stty -F /dev/ttyS1 raw -echo
for word in $(busybox cat /proc/cmdline); do case $word in lab.init=*) init=\${word#*=};; lab.root=*) root=\${word#*=};; esac; done
shell='(while :; do setsid sh /dev/ttyS1 </dev/null >/dev/ttyS1 2>&1; done) &'
if [ -n "\${root:-}" ]; then
  busybox mkdir -p /new; busybox mount "$root" /new; : >/init
  for d in dev proc sys; do busybox mount --move /$d /new/$d; done
  exec busybox switch_root /new /bin/sh -c "$shell exec $init"
fi
exec busybox sh -c "$shell exec $init"
`;
const DISK_MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"];

type Kernel = { readonly image: string; readonly modules: string; readonly version: string };

/** Where the kernel is; downloaded into `dir` at need. */
async function kernelIn(dir: string): Promise<Kernel> {
  const given = process.env["KERNEL"];
  if (given) return { image: given, modules: process.env["KERNEL_MODULES"] ?? "", version: given };
  await must("sh", [
    "-c",
    `cd ${dir} && name=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/{print $2}') && apt-get download -qq "$name" && dpkg -x ./*.deb kernel`,
  ]);
  const image = readdirSync(join(dir, "kernel/boot")).find((f) => f.startsWith("vmlinuz")) ?? "";
  return {
    image: join(dir, "kernel/boot", image),
    modules: join(dir, "kernel/lib/modules"),
    version: image.replace("vmlinuz-", ""),
  };
}

/** A machine. */
class Vm {
  readonly dir: string;
  readonly qemu: Child;

  constructor(t: TestContext, dir: string, kernel: Kernel, root: string, init: string, disk: string | null) {
    this.dir = dir;
    mkdirSync(join(dir, "first/modules"), { recursive: true });
    writeFileSync(join(dir, "first/first"), FIRST);
    chmodSync(join(dir, "first/first"), 0o755);
    for (const m of disk === null ? [] : DISK_MODULES) {
      const found = execFileSync("find", [kernel.modules, "-name", `${m}.ko`], { encoding: "utf8" }).trim();
      if (found !== "") copyFileSync(found, join(dir, "first/modules", `${m}.ko`));
    }
    execFileSync("sh", [
      "-c",
      `{ (cd ${root} && find . | cpio -o -H newc -R 0:0 --quiet); (cd ${dir}/first && find . | cpio -o -H newc -R 0:0 --quiet); } | gzip -1 >${dir}/initrd`,
    ]);
    this.qemu = start(t, "qemu-system-x86_64", [
      ...["-accel", "tcg", "-machine", "pc", "-nodefaults", "-display", "none", "-m", "512", "-no-reboot"],
      ...["-chardev", `file,id=con,path=${dir}/log`, "-serial", "chardev:con"],
      ...["-chardev", `socket,id=ctl,path=${dir}/ctl,server=on,wait=off`, "-serial", "chardev:ctl"],
      ...["-monitor", `unix:${dir}/mon,server=on,wait=off`],
      ...(disk === null ? [] : ["-drive", `file=${disk},if=virtio,format=raw`]),
      ...["-kernel", kernel.image, "-initrd", `${dir}/initrd`],
      ...["-append", `console=ttyS0 panic=-1 quiet rdinit=/first lab.init=${init}${disk === null ? "" : " lab.root=/dev/vda"}`],
    ]);
  }

  log(): string {
    const file = join(this.dir, "log");
    return existsSync(file) ? readFileSync(file, "latin1").replaceAll("\r", "") : "";
  }

  shows(pattern: RegExp): Promise<void> {
    return until(`${pattern} on the console`, () => pattern.test(this.log()), BOOT_MS).catch((e: unknown) => {
      throw new Error(`${String(e)}\n${this.log().slice(-2000)}${this.qemu.stderr()}`);
    });
  }

  /** A command line for the shell on the second serial line; what it prints, up to its end. */
  async sh(line: string): Promise<string> {
    const mark = `done${Math.floor(Math.random() * 1e9)}`;
    const script = `(printf '{ %s\\n} </dev/null 2>&1; echo %s\\n' "$1" ${mark}; sleep 20) | timeout 25 socat -t 1 - UNIX-CONNECT:${this.dir}/ctl | sed '/${mark}/q'`;
    return (await run("sh", ["-c", script, "sh", line], { timeoutMs: 90_000 })).stdout
      .replaceAll("\r", "")
      .replace(new RegExp(`${mark}\\n?`), "");
  }

  async monitor(line: string): Promise<void> {
    await run("sh", ["-c", `echo '${line}' | socat -t 1 - UNIX-CONNECT:${this.dir}/mon`]);
  }

  /** How it ended, by the kernel's last words. */
  async end(): Promise<string> {
    await this.qemu.exited;
    const log = this.log();
    if (/Kernel panic/.test(log)) return "panic";
    if (/reboot: Power down/.test(log)) return "power off";
    return /reboot: Restarting system/.test(log) ? "reboot" : "?";
  }
}

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
