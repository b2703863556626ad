/**
 * What a generated record says: `ctr=0007 seq=123456 crc=ab12cd34 <filler>`. The text is a function of seed, container and number, and its
 * checksum covers all of it, so that one line alone tells whose it is and whether it is whole. Pure.
 */
import { crc32 } from 'node:zlib'

/** So many fillers that a chunk of 256 KiB hardly meets one twice: generated data compresses about as real logs do. */
const fillerCount = 4096
/** What precedes the filler, with six digits of number. */
const headBytes = 'ctr=0000 seq=123456 crc=ab12cd34 '.length

const messages = [
  'level=info msg=request_done method=GET path=/api/v1/cart status=200',
  'level=info msg=request_done method=POST path=/api/v1/orders status=201',
  'level=info msg=cache_miss key=session',
  'level=debug msg=query rows=17 table=orders',
  'level=warn msg=slow_query table=order_items größe=groß',
  'level=error msg=upstream_failed error=timeout peer=payments',
  'level=info msg=job_done queue=mail attempt=1',
  'level=info msg=login ok=true user=Zoë',
]

export interface ContentOptions {
  readonly seed: number
  /** Mean size of the text, bytes. */
  readonly textBytes: number
}

export class Content {
  readonly #seed: number
  readonly #fillers: Buffer[] = []
  readonly #checksums: number[] = []
  #long: Buffer = Buffer.alloc(0)

  constructor({ seed, textBytes }: ContentOptions) {
    this.#seed = seed
    const mean = Math.max(textBytes - headBytes, 1)
    for (let i = 0; i < fillerCount; i++) {
      const length = Math.max(1, Math.round(mean * (0.5 + mix(seed, i, 1) / 2 ** 32)))
      const filler = fillerOf(seed, i, length)
      this.#fillers.push(filler)
      this.#checksums.push(crc32(filler))
    }
  }

  /** 32 bits that seed, container and number decide; `use` tells independent decisions apart. */
  decide(container: number, seq: number, use: number): number {
    return mix(this.#seed ^ Math.imul(container + 1, 0x9e3779b1), seq, use)
  }

  /** Writes the text of one record and returns the position behind it. `out` has room for it: not checked. */
  write(out: Buffer, at: number, container: number, seq: number): number {
    const i = this.decide(container, seq, 2) & (fillerCount - 1)
    const filler = this.#fillers[i]!
    const p = writeHead(out, at, container, seq, this.#checksums[i]!)
    out.set(filler, p)
    return p + filler.length
  }

  /** The text of a long record, at least `bytes` long; valid until the next call. */
  long(container: number, seq: number, bytes: number): Buffer {
    const first = this.decide(container, seq, 2)
    const parts: Buffer[] = []
    for (let length = 0, i = 0; length < bytes; i++) {
      const part = this.#fillers[(first + i) & (fillerCount - 1)]!
      parts.push(part)
      length += part.length
    }
    const filler = Buffer.concat(parts)
    if (this.#long.length < filler.length + 64) this.#long = Buffer.allocUnsafeSlow(2 * filler.length + 64)
    const p = writeHead(this.#long, 0, container, seq, crc32(filler))
    this.#long.set(filler, p)
    return this.#long.subarray(0, p + filler.length)
  }
}

function writeHead(out: Buffer, at: number, container: number, seq: number, fillerChecksum: number): number {
  const head = `ctr=${containerNumber(container)} seq=${seq}`
  const checksum = crc32(head, fillerChecksum).toString(16).padStart(8, '0')
  return at + out.write(`${head} crc=${checksum} `, at, 'latin1')
}

export function containerNumber(container: number): string {
  return String(container).padStart(4, '0')
}

export interface Checked {
  readonly container: number
  readonly seq: number
}

/** Whose line this is; undefined when it is not, or no longer, as it was generated. */
export function checkText(text: string): Checked | undefined {
  const match = /^(ctr=(\d{4,}) seq=(\d+)) crc=([0-9a-f]{8}) /.exec(text)
  if (!match) return undefined
  const checksum = crc32(match[1]!, crc32(text.slice(match[0].length)))
  if (checksum !== Number.parseInt(match[4]!, 16)) return undefined
  return { container: Number(match[2]), seq: Number(match[3]) }
}

/** A readable message, then identifiers that do not compress, `length` bytes in all. */
function fillerOf(seed: number, i: number, length: number): Buffer {
  let text = `${messages[mix(seed, i, 3) % messages.length]} took=${mix(seed, i, 4) % 900}ms`
  for (let k = 5; Buffer.byteLength(text) < length; k++) {
    const word = mix(seed, i, k)
    text += k % 3 === 2 ? ` trace=${word.toString(16).padStart(8, '0')}` : ` ${words[word % words.length]}`
  }
  const bytes = Buffer.from(text)
  let end = length
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  // A character cut off is made up for, so that the length is exact.
  return Buffer.concat([bytes.subarray(0, end), Buffer.alloc(length - end, '.')])
}

const words =
  'region=eu-west tenant=acme retries=0 shard=12 version=v2 peer=10.0.3.17 user=anonymous cache=hit queue=default span=server code=0 zone=b'.split(
    ' ',
  )

/** A good 32-bit hash of three numbers (murmur3's finalizer). */
function mix(a: number, b: number, c: number): number {
  let h = Math.imul(a ^ 0x2545f491, 0x85ebca6b) ^ Math.imul(b + 0x9e3779b9, 0xc2b2ae35) ^ Math.imul(c, 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
