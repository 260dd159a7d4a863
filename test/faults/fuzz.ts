/**
 * Seeded inputs for everything that reads what others wrote: files, command
 * lines, control bytes, log data. One input is a sample of its format, changed
 * in a few places, or noise. What a reader makes of it goes into a hash, so
 * that a compiled run can be compared with one under Node; a read out of range
 * aborts the compiled program, which is what is looked for above all.
 */
import { ascii, block, byteAt, concat, EMPTY, equal, item, le32, split, text } from "../../src/base/bytes.ts";
import { parseNumber64 } from "../../src/base/number64.ts";
import { Prng } from "../../src/base/prng.ts";
import { pid } from "../../src/base/units.ts";
import { longKind, setLongValue } from "../../src/core/chpst-long.ts";
import { parseChanges } from "../../src/core/chpst-options.ts";
import { commandOf, letterOf } from "../../src/core/control.ts";
import { EnvironmentChanges } from "../../src/core/environment.ts";
import { LineAssembler } from "../../src/core/lines.ts";
import { LineCut, Replacement } from "../../src/core/log-line.ts";
import { compareNames, Inventory, rotatedSuffix } from "../../src/core/log-rotation.ts";
import { Selection } from "../../src/core/log-selection.ts";
import { ProcessChanges } from "../../src/core/process-changes.ts";
import { svCommand } from "../../src/core/sv-command.ts";
import { parseUserSpec } from "../../src/core/user-spec.ts";
import { ADOPT_BYTES, AdoptRecord, parseBootId } from "../../src/formats/adopt.ts";
import { parseCapabilities } from "../../src/formats/capability.ts";
import { envdirEntry } from "../../src/formats/envdir.ts";
import { parseEssentialNotice } from "../../src/formats/essential-notice.ts";
import { findGroup, groupsOf } from "../../src/formats/group.ts";
import { JSON_GROWTH, JsonText } from "../../src/formats/json-text.ts";
import { otherSources } from "../../src/formats/nsswitch.ts";
import { findUser } from "../../src/formats/passwd.ts";
import { parseProcStat } from "../../src/formats/proc-stat.ts";
import { parseRecovered } from "../../src/formats/recovered-word.ts";
import { packStatus, STATUS_BYTES, StatusBytes, unpackStatus } from "../../src/formats/status.ts";
import { parseConfig } from "../../src/formats/svlogd-config.ts";
import { isLogin, loggedOut, RECORD_BYTES } from "../../src/formats/utmp.ts";

const SAMPLES: readonly string[] = [
  "@\0\0\0k\u0007\u00da2),/\u00a3L\u00d8V\0\0\0u\0\u0001",
  "UPK1\u00d8V\0\0\u008c\u00bbR\u0002\0\0\0\0\u008c\u00bbR\u0002\0\0\0\0@\0\0\0k\u0007\u00da2),\u007f]t\u0001u\0\0",
  "e139fc11-143f-44db-b432-55c8c50ea1d8\n",
  "22219 (runsv) s) S 1 22219 22219 0 -1 4194560 658 0 0 0 0 0 0 0 20 0 1 0 3894652 0 0 184 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 9\n",
  "root:x:0:0:root:/root:/bin/sh\nnobody:*:65534:65534::/:\n\n#x\nlog:x:101:102:,,,:/var:/bin/false",
  "root:x:0:\nadm:x:4:log,nobody\nlog:x:102:nobody,root,,x\n",
  "passwd: files systemd [NOTFOUND=return] ldap\ngroup: files\n# hosts: dns\n",
  "s1000\nn10\nN3\nt60\n!gzip\nu127.0.0.1:514\npprefix \n-*\n+*err*\ne*warn*\nE*\nz\njx\nT\n# comment\n",
  "*: +: *error +*[0-9]*",
  "2026-11-26_07:00:00 daemon: error \u0001\u0002\u00ff text\nnext line\n\nlast",
  "@4000000065f0c2a51b2c3d4e.s",
  "--recovered=3,4,-1,17,18,,x/4096,0",
  "chpst\0-u\0user:g1:g2\0-e\0./env\0-/\0/root\0-n\0-5\0-o\x00100\0-m\x004294967296\0-P\0-l\0lock\0-0\0--nofile=3:4\0prog\0arg",
  "softlimit\0-a\x001000\0-c\x000\0-t\x00=\0child",
  "setlock\0-nX\0file\0child",
  "udoxtkpcahiq12\nZ\u0000",
  "force-restart",
  "GREETING=hello\0world\n second line ",
  "PATH=/bin\0HOME=/\0PATH\0A=\0=x\0",
  "cap_net_bind_service,cap_chown+ep,all,-cap_kill",
  "user1:group1:123:+4",
  "9 web\n",
];

/** Longest input. */
const BYTES_MAX = 600;

function noise(prng: Prng): Uint8Array {
  const b = new Uint8Array(prng.below(prng.below(4) === 0 ? BYTES_MAX : 40));
  for (let i = 0; i < b.length; i++) b[i] = prng.below(256);
  return b;
}

const PIECES = ascii("\0\n\r :=,+-*\\\"'/@#%~0129azAZ\u007f\u0080\u00ff()[]");

/** One change: a byte, a piece taken out, doubled, or put in, or the end cut off. */
function changed(b: Uint8Array, prng: Prng): Uint8Array {
  const at = prng.below(b.length + 1);
  const to = Math.min(b.length, at + prng.below(8));
  switch (prng.below(6)) {
    case 0: {
      if (at >= b.length) return b;
      const c = b.slice();
      c[at] = prng.below(3) === 0 ? prng.below(256) : PIECES[prng.below(PIECES.length)]!;
      return c;
    }
    case 1:
      return concat([b.subarray(0, at), b.subarray(to)]);
    case 2:
      return concat([b.subarray(0, to), b.subarray(at)]);
    case 3:
      return concat([b.subarray(0, at), noise(prng), b.subarray(at)]).subarray(0, BYTES_MAX);
    case 4:
      return concat([b.subarray(0, at), PIECES.subarray(prng.below(PIECES.length)).subarray(0, prng.below(4)), b.subarray(at)]);
    default:
      return b.subarray(0, at);
  }
}

function drawInput(prng: Prng): Uint8Array {
  if (prng.below(8) === 0) return noise(prng);
  let b = ascii(SAMPLES[prng.below(SAMPLES.length)]!);
  for (let n = prng.below(7); n > 0; n--) b = changed(b, prng);
  return b;
}

/** What was read, in 32 bits. */
class Digest {
  value = 0x811c9dc5;
  number(n: number): void {
    this.value = Math.imul(this.value ^ (n | 0), 16777619) >>> 0;
  }
  bytes(b: Uint8Array): void {
    for (let i = 0; i < b.length; i++) this.number(b[i]!);
    this.number(b.length);
  }
  text(s: string): void {
    for (let i = 0; i < s.length; i++) this.number(s.charCodeAt(i));
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function readState(b: Uint8Array, d: Digest): void {
  const status = unpackStatus(b);
  if (status !== null) {
    const again = packStatus(status);
    check(again.length === STATUS_BYTES, "a status is packed to 20 bytes");
    d.bytes(again);
  }
  const raw = new StatusBytes();
  raw.raw.set(b.subarray(0, STATUS_BYTES), 0);
  d.number(raw.pid + raw.state + (raw.wantsDown ? 1 : 0) + raw.sinceMicroseconds);
  const record = new AdoptRecord();
  record.raw.set(b.subarray(0, ADOPT_BYTES), 0);
  d.number(record.pid + record.supervisor + record.lastStatus + record.want + record.state);
  d.number(record.startedBootMs + record.pipeInode + record.writtenBootMs);
  check(!record.ofBoot(EMPTY), "no record is of an empty boot id");
  d.bytes(parseBootId(b));
  const stat = parseProcStat(b);
  if (stat !== null) d.number(stat.parent + stat.startBootMs + stat.state + stat.waitStatus);
  const end = parseEssentialNotice(b);
  if (end !== null) d.number(end.status);
}

function readAccounts(b: Uint8Array, d: Digest): void {
  const names: readonly Uint8Array[] = [ascii("root"), ascii("nobody"), EMPTY, b.subarray(0, 5)];
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    const user = findUser(b, name);
    if (user !== null) d.number(user.uid + user.gid * 3);
    d.number(findGroup(b, name) ?? -1);
    const groups = groupsOf(b, name);
    for (let j = 0; j < groups.length; j++) d.number(groups[j]!);
  }
  const others = otherSources(b);
  for (let i = 0; i < others.length; i++) d.text(others[i]!);
  d.text(parseUserSpec(b).kind);
  d.number(parseCapabilities(text(b))?.low ?? -1);
  d.text(parseNumber64(b).kind);
  const record = new Uint8Array(RECORD_BYTES);
  record.set(b.subarray(0, RECORD_BYTES), 0);
  if (isLogin(record, b.subarray(0, 4))) d.bytes(loggedOut(record, 7));
}

function readLog(b: Uint8Array, d: Digest): void {
  const config = parseConfig(b);
  d.number(config.patterns.length);
  const selection = new Selection(config.patterns);
  const lines = split(b, 10);
  for (let i = 0; i < lines.length; i++) d.number(selection.decide(lines[i]!, 0, lines[i]!.length));
  const cut = new LineCut(20);
  const taken = cut.take(b);
  check(taken >= 0 && taken <= b.length, "no more is taken than there is");
  const replaced = b.slice();
  new Replacement(95, b.subarray(0, 3)).apply(replaced, 20, false);
  d.bytes(replaced);
  const out = new Uint8Array(b.length * JSON_GROWTH + 16);
  new JsonText().put(b, 0, b.length, out, 0);
  d.bytes(out);
  const assembler = new LineAssembler(ascii("n: "));
  const half = b.length >> 1;
  const whole = concat([assembler.push(b.subarray(0, half)), assembler.push(b.subarray(half)), assembler.end()]);
  const other = new LineAssembler(ascii("n: "));
  check(equal(whole, concat([other.push(b), other.end()])), "lines in two pieces are the same lines");
  d.bytes(whole);
  d.number(rotatedSuffix(b));
  d.number(compareNames(b, item(lines, 0) ?? EMPTY));
  new Inventory(lines, lines);
}

function readWords(b: Uint8Array, d: Digest): void {
  const words = split(b, 0);
  const parsed = parseChanges(words);
  d.text(parsed.kind);
  if (parsed.kind === "misuse") d.text(parsed.message);
  else d.number(parsed.changes.program.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const recovered = parseRecovered(word);
    d.number(recovered === null ? -1 : recovered.numbers.length + recovered.mask.length);
    const command = svCommand(word, true, byteAt(word, 0) === 115);
    if (command !== null) d.text(command.acts);
    const name = text(word.subarray(0, 12));
    d.text(longKind(name));
    if (longKind(name) === "value") d.number(setLongValue(new ProcessChanges(), name, text(item(words, i + 1) ?? EMPTY)) ? 1 : 0);
  }
  for (let i = 0; i < b.length; i++) {
    const command = commandOf(b[i]!);
    if (command !== null) d.text(letterOf(command));
  }
  const changes = new EnvironmentChanges();
  for (let i = 0; i < words.length; i++) changes.set(words[i]!);
  d.bytes(changes.apply(block(words)));
  d.bytes(envdirEntry(item(words, 0) ?? EMPTY, b));
  d.number(b.length >= 4 ? pid(le32(b, 0)) : 0);
}

/** One input through every reader; a hash of what they made of it. Throws when a promise is broken. */
export function fuzzOne(seed: number): number {
  const prng = new Prng(Math.imul(seed, 0x9e3779b1) ^ 0x1234567);
  const b = drawInput(prng);
  const d = new Digest();
  readState(b, d);
  readAccounts(b, d);
  readLog(b, d);
  readWords(b, d);
  return d.value;
}

/** `count` inputs from `from` on, as one hash. */
export function fuzzMany(from: number, count: number): number {
  let h = 0;
  for (let seed = from; seed < from + count; seed++) h = (Math.imul(h, 31) + fuzzOne(seed)) >>> 0;
  return h;
}

/** A block of inputs, and its line. */
export const BLOCK = 1000;

export function line(from: number, hash: number): string {
  return `${from} ${hash}`;
}
