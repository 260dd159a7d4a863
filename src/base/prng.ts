/**
 * Random numbers from a seed, the same under Node and compiled (mulberry32 by
 * Tommy Ettinger: 32 bits of state, period 2^32, plenty for a simulated hour).
 */
export class Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
    // Neighbouring seeds start far apart.
    for (let i = 0; i < 3; i++) this.next();
  }

  /** 32 random bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A whole number, 0 <= result < limit. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.next() % limit;
  }

  /** A whole number, from <= result <= to. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** True `perMillion` times out of a million. */
  chance(perMillion: number): boolean {
    return perMillion > 0 && this.below(1000000) < perMillion;
  }
}
