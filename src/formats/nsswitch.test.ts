/** Which sources of names nsswitch.conf(5) has beyond the files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Garbage } from "../../test/support/garbage.ts";
import { ascii } from "../base/bytes.ts";
import { otherSources } from "./nsswitch.ts";

test("nsswitch: sources of passwd and group, each once", () => {
  for (const [file, sources] of [
    ["", []],
    ["passwd: files\ngroup: compat\n", []],
    ["passwd: files sss\ngroup: files sss ldap", ["sss", "ldap"]],
    ["passwd:\tfiles\tsystemd\r\n", ["systemd"]],
    ["  passwd: db [!UNAVAIL=return] nis[SUCCESS=continue]files # x y\n", ["db", "nis"]],
    ["#passwd: sss\nhosts: dns\npasswd_compat: nis\nshadow: ldap\n", []],
    ["passwd:sss", ["sss"]],
    ["passwd: [a b", []],
  ] as const) {
    assert.deepEqual(otherSources(ascii(file)), sources, file);
  }
});

test("nsswitch: any bytes", () => {
  const words = ["passwd:", "group:", "files", "sss", "[", "]", "#", "\n", " ", "\t", "=", "\r", "\0"];
  for (let seed = 1; seed <= 2000; seed++) {
    for (const source of otherSources(new Garbage(seed, words).bytes(40))) {
      assert.ok(
        source !== "" && !/[\s#]|^\[/.test(source.replace(/[^\x20-\x7e\n\t\r#]/g, "x")),
        `seed ${seed}: ${JSON.stringify(source)}`,
      );
    }
  }
});
