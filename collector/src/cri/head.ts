/**
 * What stands before the message of a CRI line, compared with that of a line before it. Within a second most heads of a log differ only in the
 * digits of their fraction, so words of four bytes are compared instead of bytes taken apart.
 */
import { type StreamName, stderr, stdout } from '@tributary/protocol/records.ts'

/** Bytes of the time up to the second. */
const secondLength = 19
/** ` stdout F ` */
const tailLength = 10
const spaceStd = word(' std')
const outSpace = word('out ')
const errSpace = word('err ')
const fullSpace = word('F ')

export class CriHead {
  /** Over the bytes that are being read. */
  view: DataView = new DataView(new ArrayBuffer(0))
  stream: StreamName = stdout
  seconds = 0
  nanoseconds = 0

  // The time up to the second, as five words of which the last two overlap. Not an array: these are read for every line.
  #first = 0
  #second = 0
  #third = 0
  #fourth = 0
  #fifth = 0
  /** 1 for Z, 6 for `+01:00`, 0 while no head is known. */
  #zoneLength = 0
  #zone = 0
  #zoneEnd = 0

  /** From now on lines that begin like the one at `at`, whose time ends at `timeEnd`, are known to be of that second. */
  learn(at: number, timeEnd: number, seconds: number): void {
    const bytes = this.view
    const zoneLength = bytes.getUint8(timeEnd - 1) === 0x5a ? 1 : 6
    const zone = timeEnd - zoneLength
    this.#zoneLength = 0
    if (zone + 6 > bytes.byteLength) return
    this.seconds = seconds
    this.#first = bytes.getInt32(at, true)
    this.#second = bytes.getInt32(at + 4, true)
    this.#third = bytes.getInt32(at + 8, true)
    this.#fourth = bytes.getInt32(at + 12, true)
    this.#fifth = bytes.getInt32(at + 15, true)
    this.#zoneLength = zoneLength
    this.#zone = bytes.getInt32(zone, true)
    this.#zoneEnd = bytes.getInt16(zone + 4, true)
  }

  /**
   * Where the message of the line at `at` begins, when its head is like the one learnt and says that the line is whole; else -1, and the
   * line has to be taken apart. The head has no line feed. Nothing behind `end` is read.
   */
  match(at: number, end: number): number {
    const bytes = this.view
    const zoneLength = this.#zoneLength
    // With nine digits, which is the longest that a head can be.
    if (zoneLength === 0 || at + secondLength + 10 + zoneLength + tailLength > end) return -1
    if (
      bytes.getInt32(at + 15, true) !== this.#fifth ||
      bytes.getInt32(at + 12, true) !== this.#fourth ||
      bytes.getInt32(at + 8, true) !== this.#third ||
      bytes.getInt32(at + 4, true) !== this.#second ||
      bytes.getInt32(at, true) !== this.#first ||
      bytes.getUint8(at + secondLength) !== 0x2e
    )
      return -1
    let p = at + secondLength + 1
    const [high, low, last] = [bytes.getInt32(p, true), bytes.getInt32(p + 4, true), bytes.getUint8(p + 8) - 0x30]
    if (areDigits(high) && areDigits(low) && last >= 0 && last <= 9) {
      this.nanoseconds = digitsOf(high) * 100_000 + digitsOf(low) * 10 + last
      p += 9
    } else p = this.#shortFraction(bytes, p)
    if (zoneLength === 1 ? bytes.getUint8(p) !== 0x5a : !this.#sameZone(bytes, p)) return -1
    p += zoneLength
    if (bytes.getInt32(p, true) !== spaceStd || bytes.getInt16(p + 8, true) !== fullSpace) return -1
    const name = bytes.getInt32(p + 4, true)
    if (name !== outSpace && name !== errSpace) return -1
    this.stream = name === outSpace ? stdout : stderr
    return p + tailLength
  }

  /** Some leave zeros at its end out. */
  #shortFraction(bytes: DataView, at: number): number {
    let [p, nanoseconds, unit] = [at, 0, 100_000_000]
    for (; unit >= 1; p++, unit /= 10) {
      const digit = bytes.getUint8(p) - 0x30
      if (digit < 0 || digit > 9) break
      nanoseconds += digit * unit
    }
    this.nanoseconds = nanoseconds
    return p
  }

  #sameZone(bytes: DataView, at: number): boolean {
    return bytes.getInt32(at, true) === this.#zone && bytes.getInt16(at + 4, true) === this.#zoneEnd
  }
}

/** Four bytes, or two, as they are read from memory. */
function word(text: string): number {
  return [...text].reduceRight((value, character) => (value << 8) | character.charCodeAt(0), 0)
}

function areDigits(word: number): boolean {
  return (((word & 0xf0f0f0f0) ^ 0x30303030) | (((word + 0x06060606) & 0xf0f0f0f0) ^ 0x30303030)) === 0
}

/** The number that four digits stand for, all at once: pairs of digits first, then the two pairs. */
function digitsOf(word: number): number {
  const digits = word & 0x0f0f0f0f
  const pairs = (Math.imul(digits, 10) + (digits >>> 8)) & 0x00ff00ff
  return (Math.imul(pairs, 100) + (pairs >>> 16)) & 0xffff
}
