/**
 * examples/etc-runit, run as they are. In a user namespace: they mount and
 * unmount, and there they have no right to more than what is the machine's own.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT, UPKEEP, until } from "../support/lab.ts";
import { boot } from "../support/pidns.ts";

const example = (name: string): string => readFileSync(join(ROOT, "examples/etc-runit", name), "utf8");

test("the example stages boot, supervise, stop and reboot", { timeout: 180_000 }, async (t) => {
  const m = await boot(t, UPKEEP, ["/sbin/runit"], {
    user: true,
    etc: {
      fstab: "",
      "runit/1": example("1").replace("PATH=/usr", "PATH=/opt/bin:/usr"),
      "runit/2": example("2").replace("PATH=/usr", "PATH=/opt/bin:/usr"),
      "runit/3": example("3").replace("PATH=/usr", "PATH=/opt/bin:/usr").replace("sleep 2", "sleep 0.2"),
      "runit/ctrlaltdel": example("ctrlaltdel").replace("sleep 5", "sleep 0.1"),
      "service/web/run":
        "#!/bin/sh\nexec 2>&1\necho web is up\ntrap 'echo web stops; exit 0' TERM\nwhile :; do sleep 0.1; done\n",
      "service/web/log/run": "#!/bin/sh\nexec cat >>/run/web.log\n",
      "service/web/finish": "#!/bin/sh\necho finish $1 $2 >/dev/console\n",
    },
  });
  await until(`the service runs:\n${m.console()}`, async () => (await m.sh("cat /run/web.log")).includes("web is up"));
  assert.match(await m.sh("sv check /etc/service/web; sv status /etc/service/web"), /^ok: run: .*\nrun: .*; run: log: /);
  m.kill("SIGINT");
  assert.equal(await m.end, "reboot");
  await until("all lines came", () => m.console().includes("system reboot"));
  const log = m.console();
  assert.match(log, /ctrl-alt-del request.*ok: down.*Sending TERM.*Unmounting.*leave stage: \/etc\/runit\/3.*system reboot/s);
  assert.match(log, /^finish 0 0$/m);
  assert.doesNotMatch(log, /needs? help|unable|not found/);
});
