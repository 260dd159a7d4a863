/** What a simulated process waits with: epoll and inotify. */
import { putLe32 } from "../../base/bytes.ts";
import type { DurationMs, Fd } from "../../base/units.ts";
import * as K from "../constants.ts";
import { dropWatch } from "./inode.ts";
import { NameCalls } from "./name-calls.ts";
import { EpollItem, OpenFile, Watch } from "./open-file.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

export abstract class WaitCalls extends NameCalls {
  override epollCreate(): Fd {
    this.enter("epollCreate");
    if (this.noDescriptor()) return -K.EMFILE;
    return this.install(new OpenFile("epoll", K.O_RDWR), K.O_CLOEXEC);
  }

  override epollControl(ep: Fd, operation: number, fd: Fd, events: number, key: number): number {
    this.enter("epollControl");
    const e = this.me.descriptor(ep);
    const d = this.me.descriptor(fd);
    if (e === null || d === null) return -K.EBADF;
    if (e.file.kind !== "epoll") return -K.EINVAL;
    if (d.file.kind === "file" || d.file.kind === "directory") return -K.EPERM;
    const items = e.file.items;
    let at = -1;
    for (let i = 0; i < items.length; i++) if (items[i]!.fd === fd && items[i]!.file === d.file) at = i;
    if (operation === K.EPOLL_CTL_ADD) {
      if (at >= 0) return -K.EEXIST;
      if (this.noSpace()) return -K.ENOSPC;
      items.push(new EpollItem(fd, d.file, events, key));
      return 0;
    }
    if (at < 0) return -K.ENOENT;
    const item = items[at]!;
    if (operation === K.EPOLL_CTL_DEL) items.splice(at, 1);
    else item.events = events;
    return 0;
  }

  /** Does not wait: the scheduler runs this process again when something is ready or the time is up. */
  override epollWait(ep: Fd, into: Uint8Array, timeoutMs: DurationMs): number {
    this.enter("epollWait");
    const d = this.me.descriptor(ep);
    if (d === null) return -K.EBADF;
    if (d.file.kind !== "epoll") return -K.EINVAL;
    this.me.waitingOn = d.file;
    if (this.interrupted()) {
      this.me.wakeAt = this.world.us;
      return -K.EINTR;
    }
    const n = readyItems(d.file, this.me, into, this.world.prng.next());
    this.me.wakeAt = n > 0 || timeoutMs === 0 ? this.world.us : timeoutMs < 0 ? Infinity : this.world.us + timeoutMs * 1000;
    return n;
  }

  override inotifyInit(): Fd {
    this.enter("inotifyInit");
    if (this.noDescriptor()) return -K.EMFILE;
    return this.install(new OpenFile("inotify", K.O_NONBLOCK), K.O_CLOEXEC);
  }

  override inotifyAdd(fd: Fd, path: Uint8Array, mask: number): number {
    this.enter("inotifyAdd");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    if (d.file.kind !== "inotify") return -K.EINVAL;
    const place = this.lookup.place(K.AT_FDCWD, path, true);
    if (place.errno !== 0) return -place.errno;
    const inode = place.inode;
    if (inode === null) return -K.ENOENT;
    if ((mask & K.IN_ONLYDIR) !== 0 && inode.kind !== "directory") return -K.ENOTDIR;
    if (this.noSpace()) return -K.ENOSPC;
    for (let i = 0; i < d.file.watches.length; i++) {
      const w = d.file.watches[i]!;
      if (w.inode === inode) {
        w.mask = mask;
        return w.wd;
      }
    }
    const w = new Watch(d.file.nextWatch, inode, d.file, mask);
    d.file.nextWatch = d.file.nextWatch + 1;
    d.file.watches.push(w);
    inode.watches.push(w);
    return w.wd;
  }

  override inotifyRemove(fd: Fd, watch: number): number {
    this.enter("inotifyRemove");
    const d = this.me.descriptor(fd);
    if (d === null) return -K.EBADF;
    for (let i = 0; i < d.file.watches.length; i++) {
      const w = d.file.watches[i]!;
      if (w.wd !== watch) continue;
      dropWatch(w.inode, d.file);
      d.file.watches.splice(i, 1);
      return 0;
    }
    return -K.EINVAL;
  }
}

/** Fills key u32, events u32 for each ready item, starting anywhere; returns how many. */
function readyItems(ep: OpenFile, who: Process, into: Uint8Array, start: number): number {
  const items = ep.items;
  for (let i = items.length - 1; i >= 0; i--) if (items[i]!.file.references === 0) items.splice(i, 1);
  let n = 0;
  for (let i = 0; i < items.length && (n + 1) * 8 <= into.length; i++) {
    const item = items[(i + start) % items.length]!;
    const r = item.file.ready(who) & (item.events | K.EPOLLERR | K.EPOLLHUP);
    if (r === 0) continue;
    putLe32(into, n * 8, item.key);
    putLe32(into, n * 8 + 4, r);
    n++;
  }
  return n;
}

/** Whether a process of ours has anything to do now: its wait would end. */
export function wakes(world: World, p: Process): boolean {
  if (p.state !== "live" || p.stopped || p.program === null) return false;
  if (p.wakeAt <= world.us) return true;
  const ep = p.waitingOn;
  if (ep === null) return false;
  for (let i = 0; i < ep.items.length; i++) {
    const item = ep.items[i]!;
    if (item.file.references > 0 && (item.file.ready(p) & (item.events | K.EPOLLERR | K.EPOLLHUP)) !== 0) return true;
  }
  return false;
}
