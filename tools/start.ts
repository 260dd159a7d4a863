/**
 * `npm start`: the services of examples/services under supervision, in a
 * private copy, until Ctrl-C.
 *
 * runsvdir runs in a session of its own, so that the terminal's Ctrl-C reaches
 * this script alone. It then takes one service after the other out of the
 * scanned directory, waits for its end and its log's, and stops runsvdir last,
 * which therefore has reaped all of them: nothing is left to PID 1.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");
/** Another toolchain's programs (also runit's own) can be shown instead. */
const BIN = resolve(ROOT, process.env["UPKEEP_BIN_DIR"] ?? "dist/bin");
const PATIENCE_SECONDS = 10;

type Stage = { readonly dir: string; readonly scan: string; readonly names: readonly string[] };

/** The private copy: services/NAME, and service/NAME as links, which runsvdir scans. */
function prepare(): Stage {
  const dir = mkdtempSync(join(tmpdir(), "upkeep-"));
  const scan = join(dir, "service");
  const names = readdirSync(join(ROOT, "examples/services")).sort();
  cpSync(join(ROOT, "examples/services"), join(dir, "services"), { recursive: true });
  mkdirSync(scan);
  for (const name of names) symlinkSync(`../services/${name}`, join(scan, name));
  return { dir, scan, names };
}

/** A port that is free: the wanted one, or any. */
function freePort(wanted: number): Promise<number> {
  return new Promise((done) => {
    const server = createServer();
    server.on("error", () => done(wanted === 0 ? 8080 : freePort(0)));
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(address !== null && typeof address === "object" ? address.port : wanted));
    });
  });
}

function introduce({ scan }: Stage, port: number): void {
  const sv = join(BIN, "sv");
  process.stdout.write(`
upkeep supervises the services in ${scan}.
The web server: http://127.0.0.1:${port}/   Ctrl-C stops everything.

Try from another terminal:

  ${sv} status ${scan}/*
  ${sv} restart ${scan}/web
  tail -F ${scan}/*/log/main/current

`);
}

function children(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  } catch {
    return "";
  }
}

/** Stops service after service, then runsvdir, waiting for each. */
async function stop({ dir, scan, names }: Stage, runsvdir: ChildProcess, ended: Promise<void>): Promise<void> {
  process.stdout.write("\nstopping\n");
  for (const name of names) {
    if (existsSync(join(scan, name))) unlinkSync(join(scan, name));
    const sv = ["-w", String(PATIENCE_SECONDS), "force-shutdown", join(dir, "services", name)];
    const { stdout } = spawnSync(join(BIN, "sv"), sv, { encoding: "latin1" });
    process.stdout.write(stdout.split(`${join(dir, "services")}/`).join(""));
  }
  const limit = performance.now() + PATIENCE_SECONDS * 1000;
  while (children(runsvdir.pid ?? 0) !== "" && performance.now() < limit) await new Promise((done) => setTimeout(done, 20));
  runsvdir.kill("SIGTERM");
  await ended;
}

/** The first of Ctrl-C, TERM and a closed terminal. Later ones change nothing: npm passes on what the terminal sent already. */
function toldToStop(): Promise<void> {
  return new Promise((done) => {
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => done());
  });
}

async function main(): Promise<void> {
  const told = toldToStop();
  const port = await freePort(Number(process.env["PORT"] ?? 8080));
  const stage = prepare();
  try {
    introduce(stage, port);
    const path = `${BIN}:${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
    const runsvdir = spawn(join(BIN, "runsvdir"), ["-P", stage.scan], {
      env: { ...process.env, PATH: path, PORT: String(port) },
      stdio: ["ignore", "inherit", "inherit"],
      detached: true,
    });
    const ended = new Promise<void>((done) => {
      runsvdir.on("exit", () => done());
      runsvdir.on("error", (e) => {
        process.stderr.write(`upkeep: fatal: unable to run runsvdir: ${e.message}\n`);
        done();
      });
    });
    const early = await Promise.race([told.then(() => false), ended.then(() => true)]);
    await stop(stage, runsvdir, ended);
    process.exitCode = early ? 1 : 0;
  } finally {
    rmSync(stage.dir, { recursive: true, force: true });
  }
}

await main();
process.exit();
