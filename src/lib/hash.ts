// A fast 64-bit hash over numbers, in two 32-bit lanes. It finds mistakes; it does not resist an attacker.

const WORD = 2 ** 32;

/** Two lanes that take numbers one after the other. Its whole state is its value: a hash may go on from `hex()`. */
export class Hash64 {
  #a: number;
  #b: number;

  constructor(hex = '0000000000000000') {
    this.#a = parseInt(hex.slice(0, 8), 16) | 0;
    this.#b = parseInt(hex.slice(8, 16), 16) | 0;
  }

  /** Takes the low 32 bits of two numbers in one round. For fixed (x, y) a round is a bijection, and for a fixed state too. */
  pair(x: number, y: number): void {
    let a = this.#a ^ x;
    let b = this.#b ^ y;
    a = Math.imul((a << 13) | (a >>> 19), 0x9e3779b1);
    b = Math.imul((b << 17) | (b >>> 15), 0x85ebca77);
    a = (a + b) | 0;
    this.#b = b ^ ((a << 7) | (a >>> 25));
    this.#a = a;
  }

  /** Takes any number: all of its bits up to 2^53, and 32 bits of a fraction. */
  number(value: number): void {
    const low = value | 0;
    if (low === value) {
      this.pair(low, 0x27d4eb2f);
      return;
    }
    const whole = Math.floor(value);
    this.pair(low, Math.floor(whole / WORD) | 0);
    if (whole !== value) this.pair(((value - whole) * WORD) | 0, 0x165667b1);
  }

  /** Takes a text by its UTF-16 units. */
  text(text: string): void {
    this.pair(text.length, 0x7f4a7c15);
    for (let i = 0; i < text.length; i++) this.pair(text.charCodeAt(i), i);
  }

  /** Takes the value of another hash. */
  take(other: Hash64): void {
    this.pair(other.#a, other.#b);
  }

  /** Lets every bit taken so far reach every bit of the value. */
  settle(): void {
    for (let i = 0; i < 3; i++) {
      let a = this.#a ^ (this.#a >>> 16);
      a = Math.imul(a, 0x7feb352d);
      this.#a = a ^ (a >>> 15);
      let b = this.#b ^ (this.#b >>> 16);
      b = Math.imul(b, 0x846ca68b);
      this.#b = b ^ (b >>> 15);
      this.pair(i, 0x2545f491);
    }
  }

  /** The value, 16 hexadecimal digits. */
  hex(): string {
    return hex32(this.#a) + hex32(this.#b);
  }
}

const hex32 = (lane: number): string => (lane >>> 0).toString(16).padStart(8, '0');
