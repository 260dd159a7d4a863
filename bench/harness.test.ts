import assert from "node:assert/strict";
import { test } from "node:test";
import { measure, percentile, spread } from "./harness.ts";
import { markdown, ratio } from "./report.ts";

test("rounds are interleaved, medians taken, failures told", () => {
  const order: string[] = [];
  const subject = (name: string, ms: number) => ({
    name,
    once: (round: number) => {
      order.push(name);
      if (name === "bad") throw new Error("did nothing");
      return { ms: ms + round };
    },
  });
  const rows = measure("item", [subject("upkeep", 10), subject("runit", 20), subject("bad", 0)], 3);
  assert.deepEqual(order, ["upkeep", "runit", "bad", "upkeep", "runit", "upkeep", "runit"]);
  assert.deepEqual(rows[0]?.numbers["ms"], { median: 11, min: 10, max: 12, count: 3 });
  assert.equal(ratio(rows, "item", "ms", "upkeep", "runit"), 11 / 21);
  assert.match(markdown(rows, {}, ["dinit"], true), /bad \(failed: did nothing\)/);
});

test("spread and percentile", () => {
  assert.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4, count: 4 });
  assert.equal(percentile([1, 2, 3, 4], 0.99), 4);
});
