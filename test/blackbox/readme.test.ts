/** The example of README.md does what it says. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { BIN_DIR, mask, ROOT, run, start, tempDir, until } from "../support/lab.ts";

/** A port nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(address !== null && typeof address === "object" ? address.port : 0));
    });
  });
}

test("a service in ten lines", async (t) => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const [, example = ""] = /## A service in ten lines\n\n```sh\n(.*?)```/s.exec(readme) ?? [];
  const port = await freePort();
  const lines = example.replace("8080", String(port)).split("\n");
  const first = lines.findIndex((line) => line.startsWith("dist/bin/sv "));
  assert.ok(first > 0 && lines[first - 1]?.endsWith("&"), example);
  const dir = tempDir(t);
  mkdirSync(join(dir, "dist"));
  symlinkSync(BIN_DIR, join(dir, "dist/bin"));
  start(t, "sh", ["-ec", `${lines.slice(0, first).join("\n")}\nwait`], { cwd: dir });
  await until("the service runs", async () => {
    if (!existsSync(join(dir, "service"))) return false;
    return (await run("dist/bin/sv", ["status", "./service/web"], { cwd: dir })).stdout.startsWith("run: ");
  });
  await until("the web server answers", async () => (await fetch(`http://127.0.0.1:${port}/run`)).status === 200);
  for (const line of lines.slice(first).filter((l) => l !== "")) {
    const [command = "", says = ""] = line.split(/ +# /);
    const { code, stdout } = await run("sh", ["-c", command], { cwd: dir });
    assert.deepEqual([code, mask(stdout)], [0, `${mask(says)}\n`], line);
  }
});
