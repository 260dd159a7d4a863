/**
 * A trap in svlogd ends nothing: the process starts itself again under its pid,
 * goes on with its pipe and its files, and no line is lost or comes twice.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run, serviceDir, start, tempDir, UPKEEP, until } from "../support/lab.ts";
import { all, closeInput, logDir, rotated, startLog } from "../support/logs.ts";
import { imageOf, Service } from "../support/service.ts";

/** Has the process meet its trap, and waits until it is back. */
async function trap(pid: number): Promise<void> {
  const image = imageOf(pid);
  process.kill(pid, "SIGUSR2");
  await until("it came back", () => imageOf(pid) !== image && imageOf(pid) !== "");
}

function numbered(from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += `line ${i} of many, so that files fill up\n`;
  return text;
}

/** Everything written so far is in the files. */
async function logged(dir: string, text: string): Promise<void> {
  await until(`${text.length} bytes are logged`, () => all(dir).length >= text.length);
  assert.ok(all(dir) === text);
}

for (const kind of ["index", "stack"]) {
  const env = { ...process.env, UPKEEP_TEST_TRAP: kind };

  test(`a trap in svlogd (${kind}): lines whole, once and in order, also one that is half there`, async (t) => {
    const dir = logDir(join(tempDir(t), "log"), "s2000\nn0\n");
    const log = startLog(t, UPKEEP, [dir], { env });
    let text = "";
    for (let i = 0; i < 4; i++) {
      text += numbered(i * 100, i * 100 + 100);
      log.write(numbered(i * 100, i * 100 + 100));
      await logged(dir, text);
      log.write("half a li");
      await trap(log.child.pid);
      log.write("ne\n");
      text += "half a line\n";
    }
    assert.equal(await closeInput(log), 0);
    assert.ok(all(dir) === text);
    assert.ok(rotated(dir).length > 4);
  });

  test(`a trap in svlogd (${kind}) while a processor runs: every file is processed once`, async (t) => {
    const top = tempDir(t);
    const processor = join(top, "processor");
    // It waits until it may go on, and adds a mark.
    writeFileSync(
      processor,
      '#!/bin/sh\necho x >>"$T/begun"\nwhile [ ! -e "$T/go" ]; do sleep 0.05; done\ncat\necho processed\n',
    );
    chmodSync(processor, 0o755);
    const dir = logDir(join(top, "log"), `s2000\nn0\n!${processor}\n`);
    const begun = new Service(top);
    const log = startLog(t, UPKEEP, [dir], { env: { ...env, T: top } });
    log.write(numbered(0, 60));
    await begun.has("begun");
    await trap(log.child.pid);
    log.write(numbered(60, 120));
    writeFileSync(join(top, "go"), "");
    assert.equal(await closeInput(log), 0);
    const lines = all(dir).split("\n");
    // What was current at the trap is kept as it is, as after any unclean end.
    const processed = rotated(dir).filter((name) => name.endsWith(".s"));
    assert.equal(rotated(dir).length, processed.length + 1);
    assert.equal(lines.filter((line) => line === "processed").length, processed.length);
    assert.equal(lines.filter((line) => line !== "processed").join("\n"), numbered(0, 120));
  });

  test(`a trap in svlogd (${kind}) as a log service: it and the service go on`, async (t) => {
    const dir = join(tempDir(t), "svc");
    const counts = 'n=0; while :; do n=$((n+1)); echo "$$ $n"; sleep 0.01; done';
    serviceDir(dir, { run: `#!/bin/sh\n${counts}\n`, log: { run: "#!/bin/sh\nexec svlogd ./main\n" } });
    logDir(join(dir, "log/main"), "s2000\nn0\n");
    start(t, UPKEEP.program("runsv"), [dir], { env: { ...env, PATH: `${UPKEEP.path}:${process.env["PATH"]}` } });
    const s = new Service(dir);
    const service = await s.runs();
    const log = await s.log.runs();
    for (let i = 0; i < 3; i++) {
      const size = (): number => all(join(dir, "log/main")).length;
      let before = Number.POSITIVE_INFINITY;
      // A look while files are renamed fails, and is taken again.
      await until("lines arrive", () => {
        const now = size();
        before = Math.min(before, now);
        return now > before;
      });
      await trap(log);
    }
    assert.deepEqual([s.pid, s.log.pid], [service, log]);
    assert.equal((await run(UPKEEP.program("sv"), ["-w", "20", "exit", dir])).code, 0);
    await until("both are down", () => s.stat === "down" && s.log.stat === "down");
    const lines = all(join(dir, "log/main")).trimEnd().split("\n");
    assert.deepEqual(
      lines,
      lines.map((_, i) => `${service} ${i + 1}`),
    );
  });

  test(`a trap in svlogd (${kind}) with more to read: what its last block had of a line is not lost`, async (t) => {
    const dir = logDir(join(tempDir(t), "log"));
    const log = startLog(t, UPKEEP, [dir], { env });
    log.write(numbered(0, 50));
    await logged(dir, numbered(0, 50));
    log.write(numbered(50, 3000));
    await until("a block is logged, which ends in a line", () => all(dir).length > 60_000);
    await trap(log.child.pid);
    assert.equal(await closeInput(log), 0);
    // Not by assert.equal: a difference would be a long text.
    assert.ok(all(dir) === numbered(0, 3000));
  });
}
