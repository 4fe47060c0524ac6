// Integers of the text language: numbers below 2^53 in size, bigints beyond, never more than 64 bits.

export type Integer = number | bigint;

const LIMIT = 2n ** 64n;

export const isInteger = (value: unknown): value is Integer => typeof value === 'number' || typeof value === 'bigint';

/** A bigint as a number where that is exact; null if it does not fit 64 bits. */
export function normalise(value: bigint): Integer | null {
  if (value >= -9007199254740991n && value <= 9007199254740991n) return Number(value);
  return value < LIMIT && value > -LIMIT ? value : null;
}

/** `left op right` in 64 bits, or null where that is not defined. */
export function calculate(operator: string, left: Integer, right: Integer): Integer | null {
  if (typeof left === 'number' && typeof right === 'number') {
    const quick = calculateNumbers(operator, left, right);
    if (quick !== null) return quick;
  }
  const a = BigInt(left);
  const b = BigInt(right);
  switch (operator) {
    case '|':
      return normalise(a | b);
    case '+':
      return normalise(a + b);
    case '-':
      return normalise(a - b);
    case '*':
      return normalise(a * b);
    case '/':
      return b === 0n ? null : normalise(a / b);
    case '<<':
      return b < 0n || b > 63n ? null : normalise(a << b);
    default:
      return null;
  }
}

/** The common cases, exact in a double; null sends to bigint. */
function calculateNumbers(operator: string, left: number, right: number): number | null {
  let value: number;
  switch (operator) {
    case '|':
      if (left < 0 || right < 0 || left > 0x7fffffff || right > 0x7fffffff) return null;
      return left | right;
    case '+':
      value = left + right;
      break;
    case '-':
      value = left - right;
      break;
    case '*':
      value = left * right;
      break;
    default:
      return null;
  }
  // A product may be -0, which prints as 0.
  return Number.isSafeInteger(value) ? value + 0 : null;
}

/** Decimal, or hexadecimal for bigints and on request. */
export function printInteger(value: Integer, hex = typeof value === 'bigint'): string {
  if (!hex) return String(value);
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}
