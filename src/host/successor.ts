/** What a container's init leaves for itself after a trap; written anew only when something changed. */
import { ascii, text } from "../base/bytes.ts";
import type { Fd } from "../base/units.ts";
import type { ContainerTree } from "./container-tree.ts";
import { joinNumbers, type Lifeline } from "./lifeline.ts";

export class Successor {
  readonly #lifeline: Lifeline;
  /** What it is called with. */
  readonly #arguments: readonly Uint8Array[];
  #told = "";

  constructor(lifeline: Lifeline, args: readonly Uint8Array[]) {
    this.#lifeline = lifeline;
    this.#arguments = args;
  }

  /** The words are: how many arguments, these, `numbers`, those of the tree; the descriptors `own`, then the tree's. */
  tell(numbers: readonly number[], own: readonly Fd[], tree: ContainerTree): void {
    const joined = joinNumbers(numbers);
    if (text(joined) === this.#told && !tree.changed) return;
    this.#told = text(joined);
    tree.changed = false;
    const words: Uint8Array[] = [ascii(`${this.#arguments.length}`)];
    for (let i = 0; i < this.#arguments.length; i++) words.push(this.#arguments[i]!);
    words.push(joined);
    const treeWords = tree.words;
    for (let i = 0; i < treeWords.length; i++) words.push(treeWords[i]!);
    const fds: Fd[] = [];
    for (let i = 0; i < own.length; i++) fds.push(own[i]!);
    const treeFds = tree.fds;
    for (let i = 0; i < treeFds.length; i++) fds.push(treeFds[i]!);
    this.#lifeline.remember(fds, words);
  }
}
