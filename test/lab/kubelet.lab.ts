/**
 * examples/container/pod.yaml under a real kubelet (no API server: a static
 * pod). KUBELET names the program; Debian has it as a source package only
 * (kubernetes 1.20), which `go build k8s.io/kubernetes/cmd/kubelet` compiles.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Child, type Result, run, start, until } from "../support/lab.ts";
import { EXAMPLE, lab, makeRoot, must, needs, ownDir, removeDir, report } from "./lab.ts";

const KUBELET = process.env["KUBELET"] ?? "kubelet";

const BOOT = `set -e
D=$1 K=$2
mount -t proc proc /proc; mount --make-rshared /; busybox ip link set lo up
mkdir -p /var/log/pods /var/log/containers /var/lib/kubelet
mount --bind "$D/log" /var/log/pods; mount -t tmpfs t /var/log/containers; mount --bind "$D/kubelet" /var/lib/kubelet
containerd -c "$D/containerd.toml" >"$D/containerd.log" 2>&1 &
until ctr -a "$D/sock" version >/dev/null 2>&1; do sleep 0.1; done
for i in "$D"/*.tar; do ctr -a "$D/sock" -n k8s.io images import "$i" >/dev/null; done
exec "$K" --config "$D/kubelet.yaml" --root-dir "$D/kubelet" --cert-dir "$D/pki" --container-runtime=remote \\
  --container-runtime-endpoint="unix://$D/sock" --hostname-override lab >"$D/kubelet.log" 2>&1
`;

const KUBELET_CONFIG = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
address: 127.0.0.1
readOnlyPort: 10255
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
fileCheckFrequency: 1s
syncFrequency: 1s
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
evictionHard: {}
`;

type ContainerStatus = {
  readonly name: string;
  readonly ready: boolean;
  readonly started?: boolean;
  readonly restartCount: number;
  readonly containerID?: string;
  readonly lastState: { readonly terminated?: { readonly exitCode: number } };
};
type PodList = {
  readonly items:
    | readonly { readonly status: { readonly phase: string; readonly containerStatuses?: readonly ContainerStatus[] } }[]
    | null;
};

/** containerd and kubelet in network, mount and PID namespaces of their own. */
class Node {
  readonly dir: string = ownDir();
  #boot: Child | null = null;

  constructor(t: TestContext) {
    t.after(async () => {
      rmSync(join(this.dir, "manifests/pod.yaml"), { force: true });
      if (this.#boot !== null) {
        await until("no pod is left", async () => (await this.ctr("tasks", "ls", "-q")).stdout === "", 60_000).catch(
          () => undefined,
        );
        this.#boot.kill("SIGKILL");
        await this.#boot.exited;
      }
      removeDir(this.dir);
    });
  }

  async start(t: TestContext, images: () => Promise<void>): Promise<void> {
    const d = this.dir;
    for (const sub of ["manifests", "log", "cni", "kubelet"]) mkdirSync(join(d, sub), { recursive: true });
    await images();
    writeFileSync(join(d, "kubelet.yaml"), `${KUBELET_CONFIG}staticPodPath: ${d}/manifests\n`);
    writeFileSync(
      join(d, "containerd.toml"),
      `version = 2
root = "${d}/cd/root"
state = "${d}/cd/state"
[grpc]
  address = "${d}/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:lab"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "${d}/cni"
`,
    );
    this.#boot = start(t, "unshare", [
      "--fork",
      "--kill-child",
      "--pid",
      "--mount",
      "--net",
      "bash",
      "-c",
      BOOT,
      "bash",
      d,
      KUBELET,
    ]);
    await until(
      "kubelet answers",
      async () => (await this.inside("busybox", "wget", "-qO-", "http://127.0.0.1:10255/healthz")).code === 0,
      90_000,
    );
  }

  inside(...words: readonly string[]): Promise<Result> {
    const boot = this.#boot?.pid ?? 0;
    const pid = readFileSync(`/proc/${boot}/task/${boot}/children`, "utf8").trim();
    return run("nsenter", ["-t", pid, "-n", "-m", "-p", ...words]);
  }

  ctr(...words: readonly string[]): Promise<Result> {
    return this.inside("ctr", "-a", join(this.dir, "sock"), "-n", "k8s.io", ...words);
  }

  async status(): Promise<ContainerStatus | null> {
    const answer = await this.inside("busybox", "wget", "-qO-", "http://127.0.0.1:10255/pods");
    const list = JSON.parse(answer.stdout) as PodList;
    return list.items?.[0]?.status.containerStatuses?.[0] ?? null;
  }

  async exec(...words: readonly string[]): Promise<Result> {
    const id = ((await this.status())?.containerID ?? "").replace(/.*\/\//, "");
    const result = await this.ctr("tasks", "exec", "--exec-id", `x${Math.floor(Math.random() * 1e9)}`, id, ...words);
    if (result.code !== 0) throw new Error(`${words.join(" ")}: ${result.code}\n${result.stdout}${result.stderr}`);
    return result;
  }

  logs(): string {
    const found: string[] = [];
    for (const pod of readdirSync(join(this.dir, "log"))) {
      const dir = join(this.dir, "log", pod, "example");
      if (existsSync(dir)) for (const file of readdirSync(dir).sort()) found.push(readFileSync(join(dir, file), "utf8"));
    }
    return found.join("");
  }
}

lab("kubelet: startup, readiness and liveness probes, preStop, the grace period, a restart", async (t) => {
  if (!needs(t, KUBELET, "containerd", "ctr", "runc", "docker", "dockerd", "busybox")) return;
  const node = new Node(t);
  await node.start(t, async () => {
    // Images as files: our example, and a pause container that sleeps.
    const store = node.dir;
    const daemon = start(t, "dockerd", [
      ...["--data-root", `${store}/dr`, "--exec-root", `${store}/de`, "--pidfile", `${store}/dp`, "-H", `unix://${store}/ds`],
      ...["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"],
    ]);
    writeFileSync(join(store, "docker"), `#!/bin/sh\nexec docker -H unix://${store}/ds "$@"\n`, { mode: 0o755 });
    const docker = join(store, "docker");
    await until("dockerd answers", async () => (await run(docker, ["version"])).code === 0, 60_000);
    await must(join(EXAMPLE, "build"), ["localhost/upkeep-example:lab"], { ENGINE: docker, BUILD_OPTIONS: "-q" });
    await must(docker, ["save", "-o", join(store, "example.tar"), "localhost/upkeep-example:lab"]);
    const root = makeRoot(t, "upkeep", false);
    execFileSync("sh", [
      "-c",
      `tar -C "${root}" -c . | "${docker}" import -c 'CMD ["/bin/busybox","sleep","2000000000"]' - localhost/pause:lab`,
    ]);
    await must(docker, ["save", "-o", join(store, "pause.tar"), "localhost/pause:lab"]);
    daemon.kill("SIGTERM");
    await daemon.exited;
  });
  const pod = readFileSync(join(EXAMPLE, "pod.yaml"), "utf8")
    .replace("image: upkeep-example", "image: localhost/upkeep-example:lab")
    .replace("imagePullPolicy: IfNotPresent", "imagePullPolicy: Never")
    .replace("\nspec:\n", "\nspec:\n  hostNetwork: true\n");
  const from = performance.now();
  writeFileSync(join(node.dir, "manifests/pod.yaml"), pod);
  await until("started and ready", async () => (await node.status())?.ready === true, 90_000).catch((e: unknown) => {
    throw new Error(`${String(e)}\n${readFileSync(join(node.dir, "kubelet.log"), "utf8").slice(-3000)}${node.logs()}`);
  });
  report(t, `ready ${Math.round(performance.now() - from)} ms after the manifest was there`);
  // Readiness follows the service.
  await node.exec("sv", "pause", "web");
  await until("not ready", async () => (await node.status())?.ready === false, 60_000);
  await node.exec("sv", "cont", "web");
  await until("ready again", async () => (await node.status())?.ready === true, 60_000);
  assert.equal((await node.status())?.restartCount, 0);
  report(t, "readiness: false while web hangs, true again after it went on, no restart");
  // Liveness: what hangs for long is restarted as a whole, and the state left in the emptyDir is no obstacle.
  await node.exec("sv", "pause", "web");
  await until("restarted", async () => (await node.status())?.restartCount === 1, 120_000);
  await until("ready after the restart", async () => (await node.status())?.ready === true, 90_000);
  const last = (await node.status())?.lastState.terminated?.exitCode;
  assert.equal(last, 0);
  report(t, `liveness: restarted after web hung, exit code ${last}, ready again`);
  const stop = performance.now();
  rmSync(join(node.dir, "manifests/pod.yaml"));
  await until("no container is left", async () => !(await node.ctr("tasks", "ls")).stdout.includes("RUNNING"), 90_000);
  const took = Math.round(performance.now() - stop);
  assert.match(node.logs(), / worker: finished the last piece/);
  assert.match(node.logs(), / worker: cleaned up after exit code 0/);
  report(t, `the pod was removed: preStop, TERM, end after ${took} ms (grace period 20 s)`);
});
