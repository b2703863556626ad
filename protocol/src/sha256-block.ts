/**
 * SHA-256 of what fits into one block, as an id of a chunk does: a hundredth of what node:crypto takes for it, most of which is not hashing.
 *
 * @see FIPS 180-4
 */

/** Longest input: a block without the padding, bytes. */
export const maxBlockInput = 55

const blockBytes = 64
const rounds = 64

/** First 32 bits of the fractional parts of the roots (`power` 1/2 or 1/3) of the first primes. */
function fractions(count: number, power: number): Int32Array {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (isPrime(n)) found.push(((n ** power % 1) * 2 ** 32) | 0)
  return Int32Array.from(found)
}

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return true
}

const initial = fractions(8, 1 / 2)
const constants = fractions(rounds, 1 / 3)
const schedule = new Int32Array(rounds)
const digest = Buffer.alloc(32)

/** Hashes the first `length` bytes of `block`, at most {@link maxBlockInput}, and overwrites the rest of it. The result is valid until the next call. */
export function sha256OfBlock(block: Buffer, length: number): Buffer {
  block[length] = 0x80
  // Calls into the runtime cost more than these few bytes.
  for (let i = length + 1; i < blockBytes - 2; i++) block[i] = 0
  block.writeUInt16BE(length * 8, blockBytes - 2)
  const w = schedule
  for (let i = 0; i < 16; i++) w[i] = block.readInt32BE(4 * i)
  for (let i = 16; i < rounds; i++) {
    const early = w[i - 15]!
    const late = w[i - 2]!
    const s0 = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3)
    const s1 = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10)
    w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0
  }
  let a = initial[0]!
  let b = initial[1]!
  let c = initial[2]!
  let d = initial[3]!
  let e = initial[4]!
  let f = initial[5]!
  let g = initial[6]!
  let h = initial[7]!
  for (let i = 0; i < rounds; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  digest.writeInt32BE((initial[0]! + a) | 0, 0)
  digest.writeInt32BE((initial[1]! + b) | 0, 4)
  digest.writeInt32BE((initial[2]! + c) | 0, 8)
  digest.writeInt32BE((initial[3]! + d) | 0, 12)
  digest.writeInt32BE((initial[4]! + e) | 0, 16)
  digest.writeInt32BE((initial[5]! + f) | 0, 20)
  digest.writeInt32BE((initial[6]! + g) | 0, 24)
  digest.writeInt32BE((initial[7]! + h) | 0, 28)
  return digest
}
