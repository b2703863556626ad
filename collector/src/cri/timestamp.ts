/**
 * RFC 3339 times at the head of CRI lines and in docker's JSON, read from bytes. Lines come in bursts within one second, so the
 * 19 bytes up to the second are compared with those of the line before and only parsed when they differ.
 *
 * Containerd writes nine digits and Z, CRI-O a numeric zone (`+01:00`), and fractions of 0 to 9 digits occur.
 */
const secondLength = 19

export class TimestampReader {
  /** Seconds since 1970, of the last time read. */
  seconds = 0
  nanoseconds = 0
  readonly #prefix = new Uint8Array(secondLength)
  /** What #prefix stands for, before the zone is applied; -1 while nothing is cached. */
  #prefixSeconds = -1

  /**
   * Reads the time that starts at `at` and must end before `end`. Returns the position behind it, or -1 when there is none or it
   * lies outside 1970-2106, which is what the wire's 32-bit seconds hold.
   */
  read(bytes: Uint8Array, at: number, end: number): number {
    if (at + secondLength >= end) return -1
    if (!this.#samePrefix(bytes, at) && !this.#parsePrefix(bytes, at)) return -1
    let p = at + secondLength
    let nanoseconds = 0
    if (bytes[p] === 0x2e) {
      p++
      let digits = 0
      for (; p < end && digits < 9; p++, digits++) {
        const digit = bytes[p]! - 0x30
        if (digit < 0 || digit > 9) break
        nanoseconds = nanoseconds * 10 + digit
      }
      for (; digits < 9; digits++) nanoseconds *= 10
    }
    if (p >= end) return -1
    let seconds = this.#prefixSeconds
    if (bytes[p] === 0x5a) p++
    else {
      const shift = zoneSeconds(bytes, p, end)
      if (shift === undefined) return -1
      seconds -= shift
      p += 6
    }
    if (seconds < 0 || seconds > 0xffffffff) return -1
    this.seconds = seconds
    this.nanoseconds = nanoseconds
    return p
  }

  #samePrefix(bytes: Uint8Array, at: number): boolean {
    if (this.#prefixSeconds < 0) return false
    const prefix = this.#prefix
    // Backwards: where two times differ, they differ in the seconds first.
    for (let i = secondLength - 1; i >= 0; i--) if (bytes[at + i] !== prefix[i]) return false
    return true
  }

  #parsePrefix(bytes: Uint8Array, at: number): boolean {
    const number = (from: number, length: number) => {
      let value = 0
      for (let i = at + from; i < at + from + length; i++) {
        const digit = bytes[i]! - 0x30
        if (digit < 0 || digit > 9) return Number.NaN
        value = value * 10 + digit
      }
      return value
    }
    for (const [position, byte] of separators) if (bytes[at + position] !== byte) return false
    const [month, day, hour, minute, second] = [number(5, 2), number(8, 2), number(11, 2), number(14, 2), number(17, 2)]
    if (!(month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 && second <= 60))
      return false
    const ms = Date.UTC(number(0, 4), month - 1, day, hour, minute, second)
    if (!(ms >= 0)) return false
    this.#prefixSeconds = ms / 1000
    this.#prefix.set(bytes.subarray(at, at + secondLength))
    return true
  }
}

const separators = [
  [4, 0x2d],
  [7, 0x2d],
  [10, 0x54],
  [13, 0x3a],
  [16, 0x3a],
] as const

/** `+01:00` as 3600; undefined when it is not a zone. */
function zoneSeconds(bytes: Uint8Array, at: number, end: number): number | undefined {
  if (at + 6 > end) return undefined
  const sign = bytes[at] === 0x2b ? 1 : bytes[at] === 0x2d ? -1 : 0
  const digit = (i: number) => bytes[at + i]! - 0x30
  if (sign === 0 || bytes[at + 3] !== 0x3a) return undefined
  for (const i of [1, 2, 4, 5]) if (!(digit(i) >= 0 && digit(i) <= 9)) return undefined
  return sign * ((digit(1) * 10 + digit(2)) * 3600 + (digit(4) * 10 + digit(5)) * 60)
}
