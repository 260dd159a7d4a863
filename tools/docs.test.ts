/** What the documents claim and a machine can check. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { VERSION } from "../src/version.ts";

const ROOT = resolve(import.meta.dirname, "..");

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function tracked(...patterns: readonly string[]): string[] {
  const options = { cwd: ROOT, encoding: "utf8" } as const;
  const list = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...patterns], options);
  return list.split("\n").filter((path) => path !== "" && existsSync(join(ROOT, path)));
}

test("one version: package.json, the lock, the program, the changelog", () => {
  const lock = JSON.parse(read("package-lock.json"));
  const [, changelog] = /^## (\d\S*)/m.exec(read("CHANGELOG.md")) ?? [];
  assert.deepEqual(
    [JSON.parse(read("package.json")).version, lock.version, lock.packages[""].version, changelog],
    [VERSION, VERSION, VERSION, VERSION],
  );
});

test("relative links in the documents lead somewhere", () => {
  for (const path of tracked("*.md")) {
    for (const [, target = ""] of read(path).matchAll(/\]\(([^)#]+)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(ROOT, dirname(path), target)), `${path}: ${target}`);
    }
  }
});

test("every difference named in the source is listed, and every listed test exists", () => {
  const list = read("doc/differences.md");
  const names = [...list.matchAll(/^\| ([a-z][a-z0-9-]+) \|/gm)].map((m) => m[1] ?? "").filter((name) => name !== "name");
  assert.equal(new Set(names).size, names.length, "a name is used twice");
  for (const path of tracked("src/*.ts", "test/*.ts")) {
    // A comment may break the line between the reference and its name.
    const text = read(path).replace(/\n\s*(\*|\/\/) ?/g, " ");
    for (const [, found = ""] of text.matchAll(/compat: doc\/differences\.md,\s+([a-z0-9-]+(?: and [a-z0-9-]+)*)/g)) {
      for (const name of found.split(" and ")) assert.ok(names.includes(name), `${path}: ${name} is not in doc/differences.md`);
    }
  }
  for (const [, path = ""] of list.matchAll(/`((?:src|test)\/[\w/.-]+\.ts)`/g)) {
    assert.ok(existsSync(join(ROOT, path)), `doc/differences.md: ${path}`);
  }
});

test("every promise of SECURITY.md is a test of its number, and the other way round", () => {
  const promised = [...read("SECURITY.md").matchAll(/^(\d+)\. \*\*/gm)].map((m) => m[1]);
  const tested = [...read("test/blackbox/security.test.ts").matchAll(/^ {2}test\("(\d+): /gm)].map((m) => m[1]);
  assert.ok(promised.length > 0);
  assert.deepEqual(tested, promised);
});

test("every claim of RELIABILITY.md names a test that exists", () => {
  const rows = read("RELIABILITY.md")
    .split("\n")
    .filter((line) => line.startsWith("| ") && /`npm /.test(line));
  assert.ok(rows.length > 10);
  for (const row of rows) {
    const named = [...row.matchAll(/`([\w/-]+\.(?:test|lab)\.ts)`/g)].map((m) => m[1] ?? "");
    const folders = [...row.matchAll(/`(test\/[\w/-]+)`/g)].map((m) => m[1] ?? "");
    assert.ok(named.length + folders.length > 0, row);
    for (const path of [...named.filter((name) => name.includes("/")), ...folders]) assert.ok(existsSync(join(ROOT, path)), path);
  }
  const { scripts } = JSON.parse(read("package.json"));
  for (const [, script = ""] of read("RELIABILITY.md").matchAll(/`npm run ([\w:]+)/g)) assert.ok(script in scripts, script);
});

test("man pages: their sections, and no text the formatter complains about", () => {
  for (const name of readdirSync(join(ROOT, "man"))) {
    const page = read(`man/${name}`);
    const elsewhere = /^\.so man8\/(.*)\n$/.exec(page)?.[1];
    if (elsewhere !== undefined) {
      assert.ok(existsSync(join(ROOT, "man", elsewhere)), `${name}: leads to no page`);
      continue;
    }
    const sections = [...page.matchAll(/^\.(?:SH|Sh) "?([A-Z ]+?)"?$/gm)].map((m) => m[1] ?? "");
    for (const section of ["NAME", "SYNOPSIS", "DESCRIPTION", "COMPATIBILITY"]) {
      assert.ok(sections.includes(section), `${name}: no section ${section}`);
    }
    assert.ok(
      page.split("\n").every((line) => !/^\.(TH|Dt) /.test(line) || line.includes(name.split(".")[0] ?? "")),
      name,
    );
  }
});

test("the man pages of the supervisor and of sv have each difference, and its test", () => {
  const list = read("doc/differences.md");
  for (const program of ["runsv", "runsvdir", "runsvchdir", "sv"]) {
    const section = list.split(`\n## ${program}\n`)[1]?.split("\n## ")[0] ?? "";
    const page = read(`man/${program}.8`).replaceAll("\\-", "-").replaceAll("\n", " ");
    const rows = [...section.matchAll(/^\| ([a-z][a-z0-9-]+) \|.*\| `([\w/.-]+)` \|$/gm)];
    const names = [...section.matchAll(/^\| ([a-z]+-[a-z0-9-]+) \|/gm)].map((m) => m[1]);
    assert.ok(rows.length > 0 && rows.length === names.length, `${program}: a difference without a test`);
    for (const [, name = "", path = ""] of rows) {
      assert.match(page, new RegExp(`\\.B ${name} .*?${path.replaceAll(".", "\\.")}`), `man/${program}.8: ${name}`);
    }
    assert.equal([...page.matchAll(new RegExp(`\\.B ${program}-[a-z]`, "g"))].length, names.length, `man/${program}.8`);
  }
});

test("the lock file is complete and names no registry", () => {
  const lock = JSON.parse(read("package-lock.json"));
  const text = read("package-lock.json");
  assert.doesNotMatch(text, /"resolved"/);
  const hosts = [...text.matchAll(/https?:\/\/([^/"]+)/g)].map((m) => m[1] ?? "");
  assert.deepEqual(
    hosts.filter((host) => /registry|npm|mirror|proxy|localhost|^\d/.test(host)),
    [],
  );
  const entries = new Map<string, Record<string, Record<string, string>>>(Object.entries(lock.packages));
  for (const [path, entry] of entries) {
    for (const kind of ["dependencies", "devDependencies", "optionalDependencies"]) {
      for (const name of Object.keys(entry[kind] ?? {})) {
        const found = [`node_modules/${name}`, `${path}/node_modules/${name}`].some((place) => entries.has(place));
        assert.ok(found, `${path || "the root"} needs ${name}, which the lock does not have: npm ci would fail`);
      }
    }
    const placeholder = entry["optional"] !== undefined && entry["os"] !== undefined;
    assert.ok(path === "" || entry["integrity"] !== undefined || placeholder, `${path}: no integrity`);
  }
  const { devDependencies } = JSON.parse(read("package.json"));
  for (const [name, version] of Object.entries<string>(devDependencies))
    assert.match(version, /^(npm:\w+@)?\d+\.\d+\.\d+$/, name);
});
