/**
 * CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), eight bytes a step. Node has only CRC-32. Measured for a chunk of 60 KiB: this
 * 32 us, a hand-assembled WebAssembly module 25 to 33 us, a native package 8 us, of the 700 us that receiving a chunk may cost: not worth
 * a dependency.
 *
 * @see https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
 */
const tables = makeTables()

function makeTables(): Int32Array[] {
  const all = Array.from({ length: 8 }, () => new Int32Array(256))
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    all[0]![byte] = crc
  }
  for (let slice = 1; slice < 8; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const crc = all[slice - 1]![byte]!
      all[slice]![byte] = (crc >>> 8) ^ all[0]![crc & 0xff]!
    }
  }
  return all
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
]

/** The checksum of `bytes`; `previous` is that of what comes before them. An unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  let crc = ~previous
  const length = bytes.length
  let i = 0
  for (; i + 8 <= length; i += 8) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    crc =
      t7[crc & 0xff]! ^
      t6[(crc >>> 8) & 0xff]! ^
      t5[(crc >>> 16) & 0xff]! ^
      t4[crc >>> 24]! ^
      t3[bytes[i + 4]!]! ^
      t2[bytes[i + 5]!]! ^
      t1[bytes[i + 6]!]! ^
      t0[bytes[i + 7]!]!
  }
  for (; i < length; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 0xff]!
  return ~crc >>> 0
}
