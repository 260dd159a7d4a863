/**
 * A machine with a real kernel, in qemu's software emulation. The kernel is
 * Debian's linux-image-cloud-amd64, downloaded and unpacked, not installed;
 * KERNEL names a vmlinuz, KERNEL_MODULES its modules, to use instead.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, run, start, until } from "../support/lab.ts";
import { must } from "./lab.ts";

export const TOOLS = ["qemu-system-x86_64", "cpio", "socat", "busybox", "dpkg"];
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

export type Kernel = { readonly image: string; readonly modules: string; readonly version: string };

/** Where the kernel is; downloaded into `dir` at need. */
export async function kernelIn(dir: string): Promise<Kernel> {
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
export class Vm {
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
