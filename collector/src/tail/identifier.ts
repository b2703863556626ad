/**
 * Which source a file is. By its first line, where it ran, and for plain text by inode and birth time too; what was known before, from
 * the checkpoints, is found again by that id, or by content for a plain file that rotation copied or compressed.
 */
import type { Stats } from 'node:fs'
import { crc32 } from 'node:zlib'
import { fingerprintBytes, fingerprintOf, type SourceId, sourceId } from '@tributary/protocol/source.ts'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import { detectFormat } from '../cri/format.ts'
import type { LineFormat } from '../cri/line.ts'
import type { GenerationName } from '../discover/layout.ts'
import { type CutBack, newLinesFrom } from './cut-back.ts'
import type { Family } from './family.ts'
import { beginsAs, type FileIdentity, type Generation, tailBytes, tailOf } from './generation.ts'
import { GzipFile, type LogFile, PlainFile, readHead } from './log-file.ts'

export interface Identified {
  readonly id: SourceId
  readonly identity: FileIdentity
  readonly format: LineFormat
  /** Set when the source begins within the file. */
  readonly cutBack: CutBack | undefined
  /** Open; the caller closes it. */
  readonly file: LogFile
  readonly checkpoint: Checkpoint | undefined
}

interface Match {
  readonly id: SourceId
  readonly truncations: number
}

/** A source whose file lost its end. Positions are the source's, but for `at`. */
export interface Severed {
  /** Where in the file another source begins, bytes. */
  readonly at: number
  /** What was unread before that is what it was. */
  readonly readable: boolean
  /** What the file has now. */
  readonly size: number
}

/** What a file that lost its end has behind the cut. */
interface Cut extends CutBack, Match {
  readonly dev: number
  readonly ino: number
}

export class Identifier {
  readonly #cluster: string
  readonly #node: string
  readonly #bySource: Map<string, Checkpoint>
  /** How often a plain file's inode began anew, by `dev:ino`. */
  readonly #truncations = new Map<string, number>()
  /** The last cut of a file, by the source that it begins with. */
  readonly #cuts = new Map<string, Cut>()
  /** What was acknowledged, as the checkpoints have it, does not hold any more. */
  #rewound = false
  /** Of those: what a file was found for, or is known to be gone. */
  readonly #claimed = new Set<string>()

  constructor(options: { cluster: string; node: string; checkpoints: readonly Checkpoint[] }) {
    this.#cluster = options.cluster
    this.#node = options.node
    this.#bySource = new Map(options.checkpoints.map((one) => [one.source, one]))
    for (const { source, dev, ino, truncations, cutBack } of options.checkpoints) {
      const key = `${dev}:${ino}`
      this.#truncations.set(key, Math.max(truncations, this.#truncations.get(key) ?? 0))
      if (cutBack === undefined || truncations < (this.#cuts.get(cutBack.of)?.truncations ?? 0)) continue
      this.#cuts.set(cutBack.of, { ...cutBack, id: Buffer.from(source, 'hex'), truncations, dev, ino })
    }
  }

  /** From now on the checkpoints tell which source a file is, and not how far it was acknowledged. */
  rewind(): void {
    this.#rewound = true
  }

  /** Checkpoints of sources that no file was found for. */
  unclaimed(): Checkpoint[] {
    const unclaimed = [...this.#bySource.values()].filter(({ source }) => !this.#claimed.has(source))
    return this.#rewound ? unclaimed.map((one) => ({ ...one, offset: 0, tail: [0, 0], done: false })) : unclaimed
  }

  /** What the last process knew of a source. */
  checkpointOf(source: string): Checkpoint | undefined {
    return this.#bySource.get(source)
  }

  /** The file of a source lost its end since, and what was unread of the source with it. */
  isCutOff({ source, cutBack }: Checkpoint): boolean {
    const cut = this.#cuts.get(cutBack?.of ?? source)
    return cut !== undefined && cut.id.toString('hex') !== source
  }

  /** Takes a source off the list of the unclaimed. */
  claim(source: string): void {
    if (this.#bySource.has(source)) this.#claimed.add(source)
  }

  /** `unknown` while the file has no complete first line yet. Throws what the file system and zlib throw. */
  identify(family: Family, path: string, name: GenerationName, stats: Stats): Identified | 'unknown' {
    const file = name.gzip ? new GzipFile(path) : new PlainFile(path)
    try {
      const found = this.#identify(family, path, name, stats, file)
      if (found === 'unknown') file.close()
      return found
    } catch (error) {
      file.close()
      throw error
    }
  }

  #identify(
    family: Family,
    path: string,
    name: GenerationName,
    stats: Stats,
    file: GzipFile | PlainFile,
  ): Identified | 'unknown' {
    const head = readHead(file, path, fingerprintBytes)
    // A rotated file without a line feed gets none any more: all of it is its fingerprint.
    const fingerprint = fingerprintOf(head) ?? (name.rotation !== '' && head.length > 0 ? head : undefined)
    if (fingerprint === undefined) return 'unknown'
    const format = detectFormat(head, family.origin.base === undefined)
    const headCrc = crc32(fingerprint)
    const idOf = (distinction: string) =>
      sourceId(
        {
          cluster: this.#cluster,
          node: this.#node,
          pod: family.origin.identity?.uid ?? '',
          container: family.origin.identity?.container ?? '',
          restart: name.restart,
          distinction,
        },
        fingerprint,
      )
    // Lines with a time to the nanosecond are distinction enough.
    const whole: Match =
      format === 'plain' ? this.#identifyPlain(family, name, stats, file, head, idOf) : { id: idOf(''), truncations: 0 }
    const cut = this.#cutOf(family, whole.id, name, stats, file)
    const match = cut ?? whole
    if (cut) file.start = -cut.at
    const source = match.id.toString('hex')
    this.claim(source)
    const beginning = format === 'plain' ? { length: head.length, crc: crc32(head) } : undefined
    const identity = { dev: stats.dev, ino: stats.ino, truncations: match.truncations, head: headCrc, beginning }
    const checkpoint = this.#rewound ? undefined : this.#bySource.get(source)
    const cutBack = cut && { of: cut.of, at: cut.at }
    return { id: match.id, identity, format, cutBack, file, checkpoint }
  }

  /** The cut behind which a file that begins with a source is another one. */
  #cutOf(
    family: Family,
    whole: SourceId,
    name: GenerationName,
    stats: Stats,
    file: GzipFile | PlainFile,
  ): Cut | undefined {
    const cut = this.#cuts.get(whole.toString('hex'))
    // A compressed file can't be looked into here: it is the newest there is, unless reading it shows otherwise.
    if (cut === undefined || name.gzip || (cut.ino === stats.ino && cut.dev === stats.dev)) return cut
    const source = cut.id.toString('hex')
    const { position, tail } = family.generations.find((one) => one.source === source) ?? {
      position: this.#bySource.get(source)?.offset ?? 0,
      tail: { length: this.#bySource.get(source)?.tail[0] ?? 0, crc: this.#bySource.get(source)?.tail[1] ?? 0 },
    }
    file.start = -cut.at
    const holds = sameTail(file, position, [tail.length, tail.crc])
    file.start = 0
    return holds ? cut : undefined
  }

  /**
   * Whether a file that has not the bytes of its source any more only lost its end: it begins as before, with lines whose times never
   * repeat. Undefined when it began anew.
   */
  cutBack(generation: Generation, file: LogFile | undefined): Severed | undefined {
    const { format, position, identity, source, seconds, nanoseconds, readAt } = generation
    if (format === 'plain' || !(file instanceof PlainFile) || !this.begins(generation, file)) return undefined
    const { size, dev, ino } = file.stat()
    const end = size - file.start
    const readable = size >= position && this.holds(generation, file)
    const read = (from: number, length: number) => {
      const bytes = Buffer.allocUnsafe(length)
      return bytes.subarray(0, file.read(bytes, 0, length, from + file.start))
    }
    const lineMs = seconds * 1000 + nanoseconds / 1e6
    const at = readable ? end : newLinesFrom(read, end, format, { at: readAt, lineMs })
    const of = generation.cutBack?.of ?? source
    const truncations = identity.truncations + 1
    const origin = { cluster: this.#cluster, node: this.#node, pod: of, container: '', restart: truncations }
    // What was there can't be told apart from what is: it is the moment that makes it another source. The checkpoints keep the id.
    const id = sourceId({ ...origin, distinction: `${ino}:${at}:${Date.now()}` }, Buffer.alloc(0))
    this.#cuts.set(of, { of, at, id, truncations, dev, ino })
    return { at, readable, size }
  }

  #identifyPlain(
    family: Family,
    name: GenerationName,
    stats: Stats,
    file: LogFile,
    head: Buffer,
    idOf: (distinction: string) => SourceId,
  ): Match {
    const distinction = (truncations: number) => `${stats.ino}:${Math.round(stats.birthtimeMs)}:${truncations}`
    let truncations = this.#truncations.get(`${stats.dev}:${stats.ino}`) ?? 0
    const own = this.#bySource.get(idOf(distinction(truncations)).toString('hex'))
    if (own !== undefined && !name.gzip) {
      if (sameTail(file, own.offset, own.tail)) return { id: idOf(distinction(truncations)), truncations }
      this.#truncations.set(`${stats.dev}:${stats.ino}`, ++truncations)
    }
    // Only rotation makes copies and compressed files; the file being written is always a source of its own.
    const original = name.rotation === '' ? undefined : this.#originalOf(family, file, head)
    return { id: original ?? idOf(name.gzip ? 'gzip' : distinction(truncations)), truncations }
  }

  #originalOf(family: Family, file: LogFile, head: Buffer): SourceId | undefined {
    const live = family.generations.find(
      (one) => one.format === 'plain' && beginsAs(one.identity, head) && this.holds(one, file),
    )
    if (live) return live.id
    const headCrc = crc32(fingerprintOf(head) ?? head)
    const bytes = file instanceof GzipFile ? file.contentBytes() : undefined
    const known = [...this.#bySource.values()].filter(
      (one) =>
        one.head === headCrc &&
        (one.offset > 0 || file.gzip) &&
        !this.#claimed.has(one.source) &&
        sameTail(file, one.offset, one.tail),
    )
    // Files may begin alike: what was read of tells more than what was not, and the size of a compressed one most.
    const original = known.find(({ seen }) => seen === bytes) ?? known.find(({ offset }) => offset > 0) ?? known[0]
    return original && Buffer.from(original.source, 'hex')
  }

  /** Whether the file at `path` has the content of this generation, as far as it was read. */
  matches(generation: Generation, path: string): boolean {
    const gzip = path.endsWith('.gz')
    const file = gzip ? new GzipFile(path, generation.start) : new PlainFile(path, generation.start)
    try {
      return beginsAs(generation.identity, readHead(file, path, fingerprintBytes)) && this.holds(generation, file)
    } finally {
      file.close()
    }
  }

  /** Whether an open file still begins as the generation did. */
  begins({ identity, path }: Generation, file: LogFile): boolean {
    return beginsAs(identity, readHead(file, path, fingerprintBytes))
  }

  /** Whether a file has the bytes before a generation's position that were read there. */
  holds({ position, tail }: Generation, file: LogFile): boolean {
    return sameTail(file, position, [tail.length, tail.crc])
  }

  /** The inode was truncated and begins another source. */
  restarted({ dev, ino, truncations }: FileIdentity): void {
    this.#truncations.set(`${dev}:${ino}`, truncations + 1)
  }
}

/** Whether the bytes before `position` are those that were there. Of compressed files only what needs no decompression is compared. */
function sameTail(file: LogFile, position: number, [length, crc]: readonly [number, number]): boolean {
  if (file.gzip) return true
  if (length === 0) return file.stat().size >= position
  const bytes = Buffer.alloc(tailBytes)
  const n = (file as PlainFile).read(bytes, 0, length, position - length)
  return n === length && tailOf(bytes.subarray(0, n)).crc === crc
}
