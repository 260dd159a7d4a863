/**
 * The file `config` of a log directory (svlogd(8)). A line is understood by its
 * first byte; comments, empty and unknown lines say nothing. Nothing is carried
 * over from an earlier reading: every setting starts from its default.
 */
import { ascii, byteAt, EMPTY, equal, indexOf, parseDecimal, split, text } from "../base/bytes.ts";
import type { StampKind } from "./timestamp.ts";

/** A line that selects: `+` and `-` for the log, `e` and `E` for standard error. */
export type PatternLine = { readonly letter: number; readonly pattern: Uint8Array };

export const PLUS = 43;
export const MINUS = 45;
export const LOWER_E = 101;
export const UPPER_E = 69;

const NEWLINE = 10;
const DEFAULT_SIZE = 1000000;
const DEFAULT_FILES = 10;
const SYSLOG_PORT = 514;

export class LogConfig {
  /** Most bytes in `current`; 0: any number. */
  sizeMax = DEFAULT_SIZE;
  /** Old files kept; 0: all. */
  filesMax = DEFAULT_FILES;
  /** On a full disk old files may go while there are more than this. */
  filesMin = DEFAULT_FILES;
  /** Age at which `current` is rotated; 0: never. */
  ageMaxSeconds = 0;
  /** For /bin/sh -c; null: none. */
  processor: Uint8Array | null = null;
  /** Port 0: no datagrams. `udpIp` is in host order. */
  udpIp = 0;
  udpPort = 0;
  udpOnly = false;
  prefix: Uint8Array = EMPTY;
  readonly patterns: PatternLine[] = [];
  /** Set by a `T` line; null: as the options say. */
  stamp: StampKind | null = null;
  /** Set by a `j` line: a JSON object per line, with this service name ("": that of the directory). */
  json: Uint8Array | null = null;
  /** What is wrong with it: texts of warnings. */
  readonly problems: string[] = [];
}

/** A number and, behind it, perhaps one of two letters that multiply it. */
function scaled(value: Uint8Array, letter: number, factor: number, bigLetter: number, bigFactor: number): number {
  const n = parseDecimal(value);
  const unit = byteAt(value, n.digits);
  if (unit === letter) return n.value * factor;
  if (unit === bigLetter) return n.value * bigFactor;
  return n.value;
}

/** Dotted quad at the start of b: the address in host order and the bytes it takes, 0 when it is none. */
type Address = { readonly ip: number; readonly length: number };

function parseAddress(b: Uint8Array): Address {
  let ip = 0;
  let at = 0;
  for (let part = 0; part < 4; part++) {
    if (part > 0) {
      if (byteAt(b, at) !== 46) return { ip: 0, length: 0 };
      at++;
    }
    const n = parseDecimal(b.subarray(at));
    if (n.digits === 0 || n.value > 255) return { ip: 0, length: 0 };
    ip = ip * 256 + n.value;
    at += n.digits;
  }
  return { ip, length: at };
}

function parseUdp(config: LogConfig, value: Uint8Array, only: boolean): void {
  const address = parseAddress(value);
  if (address.length === 0) {
    config.problems.push(`unable to scan ip address: ${text(value)}`);
    return;
  }
  let port = SYSLOG_PORT;
  if (byteAt(value, address.length) === 58) {
    const word = value.subarray(address.length + 1);
    port = parseDecimal(word).value & 0xffff;
    if (port === 0) {
      config.problems.push(`unable to scan port number: ${text(word)}`);
      return;
    }
  }
  config.udpIp = address.ip;
  config.udpPort = port;
  config.udpOnly = only;
}

/** `gzip` or `zstd`, and perhaps a level, as the command that compresses its input. */
function parseCompression(config: LogConfig, value: Uint8Array): void {
  let letters = value.length;
  while (letters > 0 && byteAt(value, letters - 1) >= 48 && byteAt(value, letters - 1) <= 57) letters--;
  const tool = text(value.subarray(0, letters));
  const level = text(value.subarray(letters));
  if (tool !== "gzip" && tool !== "zstd") {
    config.problems.push(`unknown compression: ${text(value)}`);
    return;
  }
  const quiet = tool === "zstd" ? " -q" : "";
  config.processor = ascii(`exec ${tool}${quiet} -c${level === "" ? "" : ` -${level}`}`);
}

function parseStamp(config: LogConfig, value: Uint8Array): void {
  if (equal(value, ascii("utc"))) config.stamp = "isoUtc";
  else if (equal(value, ascii("local"))) config.stamp = "isoLocal";
  else if (equal(value, ascii("tai64n"))) config.stamp = "tai64n";
  else config.problems.push(`unknown time zone: ${text(value)}`);
}

function parseLine(config: LogConfig, line: Uint8Array): void {
  const value = line.subarray(1);
  switch (byteAt(line, 0)) {
    case PLUS:
    case MINUS:
    case LOWER_E:
    case UPPER_E:
      config.patterns.push({ letter: line[0]!, pattern: value });
      return;
    case 115: // s
      config.sizeMax = scaled(value, 107, 1024, 109, 1048576);
      return;
    case 110: // n
      config.filesMax = parseDecimal(value).value;
      return;
    case 78: // N
      config.filesMin = parseDecimal(value).value;
      return;
    case 116: // t
      config.ageMaxSeconds = scaled(value, 109, 60, 104, 3600);
      return;
    case 33: // !
      if (value.length > 0) config.processor = value;
      return;
    case 117: // u
    case 85: // U
      parseUdp(config, value, line[0]! === 85);
      return;
    case 112: // p
      if (value.length > 0) config.prefix = value;
      return;
    case 122: // z, ours
      parseCompression(config, value);
      return;
    case 84: // T, ours
      parseStamp(config, value);
      return;
    case 106: // j, ours
      config.json = value;
      return;
    default:
      return;
  }
}

/** Reads a whole config file. A file of a single byte says nothing, as in runit. */
export function parseConfig(file: Uint8Array): LogConfig {
  const config = new LogConfig();
  if (file.length < 2) return config;
  const lines = split(file, NEWLINE);
  for (let i = 0; i < lines.length; i++) {
    // The original ends a line at a NUL byte, too.
    const end = indexOf(lines[i]!, 0, 0);
    parseLine(config, end < 0 ? lines[i]! : lines[i]!.subarray(0, end));
  }
  return config;
}
