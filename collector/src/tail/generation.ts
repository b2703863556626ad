/** One source while it is read: where its bytes are, how far they are read, sent and acknowledged. Decides nothing about files. */
import { crc32 } from 'node:zlib'
import type { LossReason } from '@tributary/protocol/chunk.ts'
import { addRange, type ByteRange, type ByteRanges } from '@tributary/protocol/ranges.ts'
import { fingerprintOf, type SourceId } from '@tributary/protocol/source.ts'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import { Frontier, type Tail } from '../checkpoint/frontier.ts'
import type { LineFormat } from '../cri/line.ts'
import type { GenerationName } from '../discover/layout.ts'
import type { Spooled } from '../spool/spool.ts'
import type { CutBack } from './cut-back.ts'
import type { LogFile } from './log-file.ts'
import type { Treatment } from './treatment.ts'

/** Bytes before the position that are read again with what follows, to see that the file is still the same. */
export const tailBytes = 64

/** How long a generation with a successor must stay unchanged before nothing more is expected, ms: whoever writes has reopened its log by then. */
export const settleMs = 5000

export const noTail: Tail = { length: 0, crc: 0 }

export function tailOf(bytes: Uint8Array): Tail {
  const last = bytes.subarray(Math.max(0, bytes.length - tailBytes))
  return { length: last.length, crc: last.length === 0 ? 0 : crc32(last) }
}

/** What tells a file from every other: its inode and what it begins with. */
export interface FileIdentity {
  readonly dev: number
  readonly ino: number
  readonly truncations: number
  /** CRC-32 of the fingerprint. */
  readonly head: number
  /** Of lines without times the first may be the same in each generation: what else was seen of its beginning when this process identified it. */
  readonly beginning?: { readonly length: number; readonly crc: number } | undefined
}

/** Whether a file that begins with `head`, {@link fingerprintBytes} or all of it, begins as the one that was identified. */
export function beginsAs({ head: expected, beginning }: FileIdentity, head: Buffer): boolean {
  if (crc32(fingerprintOf(head) ?? head) !== expected) return false
  if (beginning === undefined) return true
  return head.length >= beginning.length && crc32(head.subarray(0, beginning.length)) === beginning.crc
}

export interface GenerationStart {
  readonly id: SourceId
  readonly name: GenerationName
  readonly path: string
  /** As {@link FamilyOrigin.link}. */
  readonly link?: string | undefined
  readonly identity: FileIdentity
  readonly cutBack?: CutBack | undefined
  readonly format: LineFormat
  readonly treatment: Treatment
  readonly file: LogFile | undefined
  readonly size: number
  readonly modifiedMs: number
  readonly checkpoint: Checkpoint | undefined
}

/** Another file with a source's bytes. */
export interface Relocation {
  readonly path: string
  readonly name: GenerationName
  readonly file: LogFile
}

/** Why a source's next record is waited for. Times in ms, sizes and positions in bytes. */
export interface Stuck {
  readonly since: number
  /** What the file was seen to have. */
  readonly size: number
  /** How far the record is there; -1 when not one line of it is whole. */
  readonly to: number
  /** How long it is waited for its end. */
  readonly timeout: number
  /** From when on it is not waited for any more, though more of it comes, ms on the monotonic clock. */
  readonly until: number
}

export class Generation {
  /** The source's id in hexadecimal digits. */
  readonly source: string
  readonly format: LineFormat
  /** Set when it begins within its file, whose end was cut off: what is before is of another source. */
  readonly cutBack: CutBack | undefined
  readonly #link: string | undefined
  /** Where it begins is not in the checkpoints yet, so that a restart could not tell: it is not read before. */
  unsaved: boolean
  treatment: Treatment
  identity: FileIdentity
  name: GenerationName
  path: string
  file: LogFile | undefined
  /** Bytes the file was seen to have. For a compressed file: those read so far, until its end was reached. */
  size: number
  modifiedMs: number
  /** Next byte to read. */
  position: number
  tail: Tail
  /** The position lies within a line. */
  midLine = false
  /** The file was seen to be this source's, and the bytes before the position are known. */
  established = false
  /** Set when its bytes were gone before the ledger had told where reading would have begun. */
  lostAs: LossReason | undefined
  seconds = 0
  nanoseconds = 0
  /** When bytes of it were last read, ms since 1970; undefined while not all before the position were read by this process or the last. */
  readAt: number | undefined
  /** What it was seen to have when the bytes before the position were last seen to be there. */
  sizeWhenRead: number
  frontier: Frontier
  /** `new`: the ledger was not asked yet. `done`: acknowledged to its end, and nothing more will come. */
  state: 'new' | 'asking' | 'reading' | 'done' = 'new'
  /** Nothing will be written to it any more. */
  ended = false
  /** No name leads to it any more; what is unread can only be read through the open file. */
  unlinked = false
  /** Set when what is unread of it is in the spool. */
  spooled: Spooled | undefined
  /** It is being copied to the spool, and not read meanwhile. */
  saving = false
  /** Bytes behind the size, up to here, are in the spool but can't be read. */
  damagedTo: number | undefined
  damagedAs: LossReason = 'corrupt'
  /** Its file lost its end: what that has behind the size is another source's. */
  cutOff = false
  /** A copy of it lies beside it: it is about to be truncated, or was, and may have more in it by now than before. */
  copied = false
  /** It is read from a copy that rotation made. */
  relocated = false
  /** Listings of its directory in a row that did not have it. */
  missed = 0
  /** When bytes were first seen unread, and when the size last changed; ms on the monotonic clock. */
  unreadSince: number | undefined
  changedAt: number
  /** When bytes of it were last acknowledged, ms on the monotonic clock. */
  ackedAt: number | undefined
  /** Set while what is unread is not a whole record. */
  stuck: Stuck | undefined
  /** Ranges ahead that the ledger has already, in order. */
  #accepted: ByteRange[] = []

  constructor(start: GenerationStart, now: number) {
    this.source = start.id.toString('hex')
    this.name = start.name
    this.path = start.path
    this.identity = start.identity
    this.format = start.format
    this.cutBack = start.cutBack
    this.#link = start.link
    this.unsaved = start.cutBack !== undefined && start.checkpoint === undefined
    this.treatment = start.treatment
    this.file = start.file
    this.modifiedMs = start.modifiedMs
    const checkpoint = start.checkpoint
    this.position = checkpoint?.offset ?? 0
    this.tail = checkpoint ? { length: checkpoint.tail[0], crc: checkpoint.tail[1] } : noTail
    this.readAt = checkpoint?.readAt
    this.sizeWhenRead = checkpoint?.seen ?? 0
    this.frontier = new Frontier(this.position, this.tail)
    // What a file of lines with times lost of its end meanwhile is told; plain text can't be told from text that began anew.
    const seen = checkpoint?.done || start.format === 'plain' || start.name.gzip ? 0 : this.sizeWhenRead
    this.size = Math.max(start.size, this.position, seen)
    this.changedAt = now
    if (checkpoint?.done) this.state = 'done'
  }

  /** Made anew each time: 500 bytes for each of thousands of logs, if it were kept. */
  get id(): SourceId {
    return Buffer.from(this.source, 'hex')
  }

  get unread(): number {
    return this.state === 'done' ? 0 : this.size - this.position
  }

  /** A compressed file tells its size only at its end: until that was reached there may be more. */
  get sizeUnknown(): boolean {
    return this.name.gzip && !this.ended && this.state !== 'done' && (this.file === undefined || this.file.gzip)
  }

  /** Position of its file's first byte, as {@link LogFile.start}. */
  get start(): number {
    return -(this.cutBack?.at ?? 0)
  }

  /** Where reading must stop because the ledger has what follows. */
  get limit(): number {
    return this.#accepted[0]?.[0] ?? Number.POSITIVE_INFINITY
  }

  /** Takes the ledger's answer: what is accepted is not read again. Returns how many bytes that spares. */
  resume(accepted: ByteRanges): number {
    const from = this.position
    const known = addRange(accepted, [0, from])
    this.state = 'reading'
    this.#accepted = known.filter(([first, end]) => first > 0 && end > from)
    const prefix = known.find(([first]) => first === 0)
    if (prefix !== undefined && prefix[1] > from) this.#jump(prefix[1])
    return this.position - from + this.#accepted.reduce((sum, [first, end]) => sum + end - first, 0)
  }

  /**
   * Begins anew: what it was acknowledged for does not hold any more, and the ledger is asked again. Not of what is in the spool, which has no
   * more than was unread when its file was deleted. Nothing may be in flight.
   */
  rewind(): void {
    if (this.spooled) return
    this.state = 'new'
    this.position = 0
    this.tail = noTail
    this.readAt = undefined
    this.frontier = new Frontier(0, noTail)
    this.midLine = false
    this.established = false
    this.stuck = undefined
    this.#accepted = []
    if (this.name.gzip) this.close()
  }

  /** Steps over the accepted range that begins at the position. */
  skipAccepted(): void {
    this.#jump(this.#accepted.shift()![1])
  }

  #jump(to: number): void {
    this.sent(to, noTail)()
    this.established = false
    this.readAt = undefined
    this.size = Math.max(this.size, to)
  }

  /** Moves the position behind what was cut and returns what is to be called at the acknowledgement. */
  sent(end: number, tail: Tail): () => void {
    this.position = end
    this.tail = tail
    this.stuck = undefined
    this.unreadSince = undefined
    const acked = this.frontier.sent(end, tail)
    return () => {
      this.ackedAt = performance.now()
      acked()
    }
  }

  /** Takes what a stat saw; true when the file was written to since. */
  observe(size: number, modifiedMs: number, now: number): boolean {
    this.modifiedMs = modifiedMs
    if (size !== this.size) {
      this.size = size
      this.changedAt = now
      this.ended = false
    }
    if (this.unread > 0) this.unreadSince ??= now
    return this.changedAt === now
  }

  /** What is behind `offset` can't be read: it is lost once the rest was read. */
  endAt(offset: number, reason: LossReason = 'corrupt'): void {
    this.damagedTo ??= this.size
    this.damagedAs = reason
    this.size = Math.max(this.position, Math.min(this.size, offset))
    this.ended = true
  }

  /** Goes on in a copy, after the file itself began anew. */
  relocate({ path, name, file }: Relocation): void {
    const { ino, dev, size } = file.stat()
    this.path = path
    this.name = name
    this.file = file
    this.identity = { ...this.identity, ino, dev }
    if (!name.gzip) this.size = size
    this.relocated = true
    this.copied = false
    this.ended = false
    this.established = false
  }

  /** Somebody wrote to it after all. */
  revive(size: number, now: number): void {
    this.state = 'reading'
    this.observe(size, this.modifiedMs, now)
  }

  close(): void {
    this.file?.close()
    this.file = undefined
  }

  checkpoint(): Checkpoint {
    const { dev, ino, truncations, head } = this.identity
    const { offset, tail } = this.frontier
    return {
      source: this.source,
      path: this.path,
      link: this.name.rotation === '' ? this.#link : undefined,
      offset,
      seen: this.size,
      done: this.state === 'done',
      dev,
      ino,
      truncations,
      cutBack: this.cutBack,
      readAt: this.readAt,
      head,
      tail: [tail.length, tail.crc],
    }
  }
}
