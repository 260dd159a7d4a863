/** Tables of the scan machine of runsvdir(8): listings in, starts and stops out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ascii, text } from "../base/bytes.ts";
import { instant, pid } from "../base/units.ts";
import { type Found, RESTART_MS, Scan, type ScanAction } from "./scan.ts";

/** "name=inode", in the order of the directory. */
function found(...items: readonly string[]): Found[] {
  return items.map((item) => {
    const [name = "", ino = ""] = item.split("=");
    return { name: ascii(name), dev: 1, ino: Number(ino) };
  });
}

function shown(actions: readonly ScanAction[]): string[] {
  return actions.map((action) => `${action.act} ${text(action.entry.name)}`);
}

/** A scan whose starts succeed, and give the inode + 1000 as the pid. */
class Player {
  readonly scan = new Scan();

  act(actions: readonly ScanAction[], now: number): string[] {
    const said = shown(actions);
    for (const { act, entry } of actions) {
      if (act === "start") this.scan.started(entry, pid(1000 + Number(entry.key.split(":")[1])), instant(now));
    }
    return said;
  }

  list(now: number, ...items: readonly string[]): string[] {
    return this.act(this.scan.listed(found(...items), [], true, instant(now)), now);
  }

  ends(now: number, inode: number): string[] {
    const entry = this.scan.withPid(1000 + inode);
    assert.ok(entry, `no entry with pid ${1000 + inode}`);
    return this.act(this.scan.ended(entry, instant(now)), now);
  }

  due(now: number): string[] {
    return this.act(this.scan.due(instant(now)), now);
  }
}

test("what is new is started, what is known is left alone", () => {
  const p = new Player();
  assert.deepEqual(p.list(0, "b=2", "a=1"), ["start b", "start a"]);
  assert.deepEqual(p.list(10, "a=1", "b=2"), []);
  assert.deepEqual(p.list(20, "a=1", "c=3", "b=2"), ["start c"]);
  assert.equal(p.scan.running, 3);
  assert.equal(p.scan.deadline(), null);
});

test("several names of one directory: one runsv, named after the first in order", () => {
  for (const order of [
    ["zz=1", "mm=1", "aa=1"],
    ["aa=1", "zz=1", "mm=1"],
    ["mm=1", "aa=1", "zz=1"],
  ]) {
    assert.deepEqual(new Player().list(0, ...order), ["start aa"]);
  }
  // The same inode on another device is another directory.
  const scan = new Scan();
  const two = [...found("a=1"), { name: ascii("b"), dev: 2, ino: 1 }];
  assert.deepEqual(shown(scan.listed(two, [], true, instant(0))), ["start a", "start b"]);
});

test("another name counts from the next start", () => {
  const p = new Player();
  p.list(0, "a=1");
  assert.deepEqual(p.list(10, "b=1"), []);
  assert.deepEqual(p.ends(5000, 1), ["start b"]);
});

test("what vanishes is stopped at once, all in one scan, and forgotten at its end", () => {
  const p = new Player();
  p.list(0, "a=1", "b=2", "c=3");
  assert.deepEqual(p.list(10, "b=2").sort(), ["stop a", "stop c"]);
  assert.deepEqual(p.list(20, "b=2"), []);
  assert.deepEqual(p.ends(30, 3), ["forget c"]);
  assert.deepEqual(p.ends(40, 1), ["forget a"]);
  assert.deepEqual(
    p.scan.entries.map((entry) => text(entry.name)),
    ["b"],
  );
});

test("what comes back while its runsv still stops waits for that end", () => {
  const p = new Player();
  p.list(0, "a=1");
  p.list(10);
  assert.deepEqual(p.list(20, "a=1"), []);
  assert.deepEqual(p.ends(5000, 1), ["start a"]);
});

test("a directory that could not be read to its end: nothing is stopped", () => {
  const p = new Player();
  p.list(0, "a=1", "b=2");
  assert.deepEqual(shown(p.scan.listed(found("c=3"), [], false, instant(10))), ["start c"]);
});

test("a name nobody can tell anything about: its runsv stays, the others that are gone are stopped", () => {
  const p = new Player();
  p.list(0, "a=1", "b=2", "c=3");
  assert.deepEqual(shown(p.scan.listed(found("b=2"), [ascii("a")], true, instant(10))), ["stop c"]);
  assert.deepEqual(p.list(20, "b=2"), ["stop a"]);
});

test("a second lies between two starts of a runsv", () => {
  const p = new Player();
  p.list(0, "a=1");
  assert.deepEqual(p.ends(100, 1), []);
  assert.equal(p.scan.deadline(), RESTART_MS);
  assert.deepEqual(p.due(RESTART_MS - 1), []);
  assert.deepEqual(p.list(500, "a=1"), []);
  assert.deepEqual(p.due(RESTART_MS), ["start a"]);
  assert.deepEqual(p.ends(2 * RESTART_MS, 1), ["start a"]);
});

test("a start that fails is tried again in a second, unless the directory went", () => {
  const scan = new Scan();
  for (const action of scan.listed(found("a=1", "b=2"), [], true, instant(0))) scan.startFailed(action.entry, instant(0));
  assert.equal(scan.deadline(), RESTART_MS);
  assert.deepEqual(shown(scan.listed(found("b=2"), [], true, instant(10))), ["forget a"]);
  assert.deepEqual(shown(scan.due(instant(RESTART_MS))), ["start b"]);
});

test("told to stop: every runsv, and none is started any more", () => {
  const p = new Player();
  p.list(0, "a=1", "b=2");
  assert.deepEqual(shown(p.scan.stopAll()).sort(), ["stop a", "stop b"]);
  assert.deepEqual(p.ends(5000, 1), []);
  assert.deepEqual(p.list(6000, "a=1", "b=2", "c=3"), []);
  assert.deepEqual(p.due(9000), []);
  assert.equal(p.scan.deadline(), null);
});
