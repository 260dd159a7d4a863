/**
 * One log directory: takes blocks of bytes, makes records of them, writes them
 * to `current`, rotates, prunes, and feeds the processor (svlogd(8)). It knows
 * nothing of standard input; svlogd gives it blocks, and so can any process.
 *
 * It is idle, when the block is written and the next may come, or its writer
 * (log-writer.ts) has to wait; then the rest of the block stays where it is and
 * no further one may be given.
 */
import { basename, EMPTY, text } from "../base/bytes.ts";
import { after, type Fd, type Instant, type Pid } from "../base/units.ts";
import { type Batch, NEWLINE, RecordStream } from "../core/log-line.ts";
import { compareNames, rotatedSuffix, SizeRule, SUFFIX_U } from "../core/log-rotation.ts";
import { Selection } from "../core/log-selection.ts";
import { LogConfig, parseConfig } from "../formats/svlogd-config.ts";
import type { StampKind } from "../formats/timestamp.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { findByte } from "../kernel/memory.ts";
import { Part, type Reactor } from "../reactor.ts";
import { jsonHead, type LogBlock, textHead } from "./log-block.ts";
import { LineSender } from "./log-copies.ts";
import type { LogFiles } from "./log-files.ts";
import { LogHome } from "./log-home.ts";
import { info, warn, warnOf } from "./log-message.ts";
import { LogProcessor } from "./log-processor.ts";
import { LogWriter } from "./log-writer.ts";

/** What the directories of a process have in common. */
export type LogSetting = {
  readonly reactor: Reactor;
  readonly verbose: boolean;
  readonly lineMax: number;
  readonly stamp: StampKind;
  readonly batch: Batch;
};

/** Who gave the blocks. */
export abstract class LogOwner extends Part {
  /** A directory that was not idle may have become so, or a processor ended: call `advance`. */
  abstract moved(now: Instant): void;
  /** A processor was started, whose end `LogDirectory.reaped` is to be told of. */
  forked(_child: Pid): void {}
  /** A directory is open and locked, its `current` not yet looked at. */
  opened(_files: LogFiles): void {}
  /** Records of the block are about to be written to `current`. */
  writing(_files: LogFiles): void {}
  /** The records of the first `length` bytes of the block are in `current`, which is now to be rotated. */
  filed(_length: number): void {}
}

/** A processor whose directory is no more written to, and its files. */
type Retired = { readonly processor: LogProcessor; readonly files: LogFiles };

export class LogDirectory extends LogHome {
  #config: LogConfig = new LogConfig();
  readonly #kernel: Kernel;
  readonly #setting: LogSetting;
  readonly #owner: LogOwner;
  readonly #path: Uint8Array;
  /** As in messages: the path as it was given. */
  readonly #name: string;
  #writer: LogWriter;
  readonly #copies: LineSender;
  readonly #stream: RecordStream;
  #processor: LogProcessor;
  /** Of directories the path led to before, processors that have not ended. */
  readonly #retired: Retired[] = [];
  /** Bytes go to the file as they are. */
  #plain = true;
  #block: LogBlock | null = null;
  /** The block for which the heads below were made. */
  #serial = -1;
  #firstHead: Uint8Array = EMPTY;
  #head: Uint8Array = EMPTY;
  #rotationWanted = false;
  usable = false;

  constructor(setting: LogSetting, owner: LogOwner, path: Uint8Array) {
    super();
    this.#kernel = setting.reactor.kernel;
    this.#setting = setting;
    this.#owner = owner;
    this.#path = path;
    this.#name = text(path);
    this.#writer = this.#newWriter();
    this.#copies = new LineSender(this.#kernel);
    this.#stream = new RecordStream(
      { lineMax: setting.lineMax, selection: new Selection([]), json: false, network: false, networkOnly: false },
      this.#copies,
    );
    this.#processor = this.#newProcessor();
  }

  // ---- Opening, closing, reading the config again ----

  /** Opens the directory and begins with its `current`; warns and stays unusable when that is impossible. */
  open(now: Instant): void {
    const files = this.#writer.files;
    const problem = files.open(this.#path);
    if (problem !== null) {
      warnOf(this.#kernel, problem.what, this.#name, problem.errno);
      return;
    }
    this.#owner.opened(files);
    this.#processor = this.#newProcessor();
    this.#readConfig(now);
    this.usable = this.#writer.beginCurrent();
    if (this.usable) this.#takeUpLeftovers(now);
    else files.close();
  }

  /** HUP: as if closed and opened again, but a running processor is kept and no pending byte is lost. */
  reload(now: Instant): void {
    if (!this.usable || !this.#writer.files.isAt(this.#path)) {
      if (this.usable) this.#leave();
      this.open(now);
      return;
    }
    if (this.#setting.verbose) info(this.#kernel, `close: ${this.#name}`);
    this.#readConfig(now);
    this.usable = this.#writer.reopenCurrent();
    if (!this.usable) this.#writer.files.close();
    this.#writer.unpause();
    this.#processor.retryNow(now);
  }

  /** The end: everything is written. A running processor must have been waited for. */
  close(): void {
    if (!this.usable) return;
    if (this.#setting.verbose) info(this.#kernel, `close: ${this.#name}`);
    this.#setting.reactor.wakeAt(this, null);
    this.#copies.close();
    this.#writer.close();
    this.usable = false;
  }

  /** The path leads elsewhere now. A processor that runs goes on, its files stay as they are. */
  #leave(): void {
    if (this.#setting.verbose) info(this.#kernel, `close: ${this.#name}`);
    const old = this.#writer;
    this.#writer = this.#newWriter();
    this.#writer.put(old.rest(), false);
    this.#processor.lastFile();
    if (this.#processor.running) {
      old.unpause();
      old.sealCurrent();
      old.files.closeCurrent();
      this.#retired.push({ processor: this.#processor, files: old.files });
    } else old.close();
    this.usable = false;
  }

  #newWriter(): LogWriter {
    const { reactor, verbose } = this.#setting;
    return new LogWriter(reactor, this, this.#name, verbose);
  }

  #newProcessor(): LogProcessor {
    const { reactor, verbose } = this.#setting;
    return new LogProcessor(reactor, this, this.#writer.files.fd, this.#name, verbose);
  }

  #readConfig(now: Instant): void {
    const { lineMax, stamp, verbose } = this.#setting;
    const file = this.#writer.files.readConfig();
    if (file.errno !== 0) warnOf(this.#kernel, "unable to read config", this.#name, file.errno);
    else if (file.bytes.length > 0 && verbose) info(this.#kernel, `read: ${this.#name}/config`);
    const config = parseConfig(file.bytes);
    for (let i = 0; i < config.problems.length; i++) warn(this.#kernel, config.problems[i]!);
    this.#config = config;
    this.#writer.config = config;
    this.#writer.rule = new SizeRule(config.sizeMax, lineMax);
    this.#copies.ip = config.udpIp;
    this.#copies.port = config.udpPort;
    const selection = new Selection(config.patterns);
    const json = config.json !== null;
    const network = config.udpPort !== 0;
    this.#stream.format = { lineMax, selection, json, network, networkOnly: config.udpOnly };
    const unstamped = (config.stamp === null ? stamp : config.stamp) === "none";
    this.#plain = unstamped && config.prefix.length === 0 && selection.trivial && !json && !network;
    this.#serial = -1;
    this.#rearmAge(now);
  }

  /** Files a predecessor rotated for the processor and did not live to see processed. */
  #takeUpLeftovers(now: Instant): void {
    if (this.#config.processor === null) return;
    const names = this.#writer.files.list().names;
    const found: Uint8Array[] = [];
    for (let i = 0; i < names.length; i++) {
      if (rotatedSuffix(names[i]!) === SUFFIX_U && this.#writer.files.isSealed(names[i]!)) found.push(names[i]!);
    }
    found.sort((a, b) => compareNames(a, b));
    for (let i = 0; i < found.length; i++) this.#processor.add(found[i]!, now);
  }

  // ---- Blocks ----

  /** Takes a block, of which nothing has been written; only when idle. Call `advance` then. */
  give(block: LogBlock): void {
    this.#block = block;
    this.#stream.at = 0;
  }

  /** ALRM, or the age limit: rotates unless `current` is empty. Call `advance` then. */
  wantRotation(): void {
    this.#rotationWanted = true;
  }

  /** Does what can be done now; true when idle. */
  advance(now: Instant): boolean {
    if (!this.usable) return true;
    for (;;) {
      if (!this.#writer.advance(now)) return false;
      if (this.#rotationWanted) {
        this.#rotationWanted = false;
        this.#writer.rotate(now);
      } else if (!this.#format()) return true;
    }
  }

  /** Gives the writer the next records; false when there are none. */
  #format(): boolean {
    const block = this.#block;
    const stream = this.#stream;
    if (block === null || stream.finished(block.bytes)) return false;
    this.#owner.writing(this.#writer.files);
    if (this.#plain && stream.passesBytes) {
      this.#formatPlain(block);
      return true;
    }
    if (this.#serial !== block.serial) this.#makeHeads(block);
    const batch = this.#setting.batch;
    batch.length = 0;
    stream.fill(block.bytes, this.#firstHead, this.#head, batch, this.#writer.rule.untilLineEndCounts(this.#writer.files.size));
    if (stream.finished(block.bytes)) this.#copies.flush();
    this.#writer.put(batch.room.subarray(0, batch.length), true);
    return true;
  }

  /** Up to the end of the block, or the line end at which `current` is to be rotated. */
  #formatPlain(block: LogBlock): void {
    const b = block.bytes;
    const stream = this.#stream;
    const until = this.#writer.rule.untilLineEndCounts(this.#writer.files.size);
    const newline = stream.at + until > b.length ? -1 : findByte(b, stream.at + Math.max(until - 1, 0), NEWLINE);
    const end = newline < 0 ? b.length : newline + 1;
    this.#writer.put(b.subarray(stream.at, end), block.borrowed);
    stream.at = end;
    stream.selected = true;
    stream.open = b[end - 1]! !== NEWLINE;
  }

  #makeHeads(block: LogBlock): void {
    const config = this.#config;
    const kind = config.stamp === null ? this.#setting.stamp : config.stamp;
    const same = block.firstAt === block.at;
    this.#serial = block.serial;
    this.#head = textHead(kind, config.prefix, block.at);
    this.#firstHead = same ? this.#head : textHead(kind, config.prefix, block.firstAt);
    this.#copies.head = this.#head;
    this.#copies.firstHead = this.#firstHead;
    if (config.json === null) return;
    const service = config.json.length > 0 ? config.json : basename(this.#path);
    this.#head = jsonHead(kind, service, config.prefix, block.at);
    this.#firstHead = same ? this.#head : jsonHead(kind, service, config.prefix, block.firstAt);
  }

  // ---- Time and processors ----

  #rearmAge(now: Instant): void {
    const { ageMaxSeconds } = this.#config;
    this.#setting.reactor.wakeAt(this, ageMaxSeconds === 0 ? null : after(now, ageMaxSeconds * 1000));
  }

  override ready(_fd: Fd, _events: number, _now: Instant): void {}

  override due(now: Instant): void {
    this.#rearmAge(now);
    this.#rotationWanted = true;
    this.#owner.moved(now);
  }

  override get processor(): LogProcessor {
    return this.#processor;
  }

  override get command(): Uint8Array | null {
    return this.#config.processor;
  }

  override forked(child: Pid): void {
    this.#owner.forked(child);
  }

  override rotating(now: Instant): void {
    if (this.#block !== null && this.#writer.empty) this.#owner.filed(this.#stream.at);
    this.#rearmAge(now);
  }

  override moved(now: Instant): void {
    this.#owner.moved(now);
  }

  /** A child ended: whether it was a processor of this directory. */
  reaped(child: number, status: number, now: Instant): boolean {
    if (this.#processor.reaped(child, status, now)) return true;
    for (let i = 0; i < this.#retired.length; i++) {
      const { processor, files } = this.#retired[i]!;
      if (!processor.reaped(child, status, now)) continue;
      files.close();
      this.#retired.splice(i, 1);
      return true;
    }
    return false;
  }

  /** Files are being processed, or wait for it. */
  get processing(): boolean {
    return this.#processor.waiting > 0 || this.#retired.length > 0;
  }

  /** svlogd ends: what fails now is left for its successor. */
  lastTry(): void {
    this.#processor.lastTry();
  }
}
