/**
 * Checkpoints on disk (docs/formats/checkpoint.md): one JSON line that says what the file is, one per source, one with the number of
 * lines and a CRC-32 of all before it. The whole file is replaced; see `replaceFile` for why a crash leaves the old or the new.
 *
 * A file that fails its check is set aside and the collector starts without: the aggregator's ledger still tells where each source goes on.
 */
import { crc32 } from 'node:zlib'
import { type Disk, isMissing, replaceFile } from '@tributary/protocol/disk.ts'
import type { CutBack } from '../tail/cut-back.ts'

export interface Checkpoint {
  /** Hex of the source's id. */
  readonly source: string
  /** Where the source was last seen. */
  readonly path: string
  /** The name in the log directory that led there and may lead to another file by now; left out where the path is that name, of containers and of what was rotated. */
  readonly link?: string | undefined
  /** Acknowledged without a gap up to here, bytes. */
  readonly offset: number
  /** Bytes the source was seen to have. */
  readonly seen: number
  /** The file will not grow any more and is acknowledged whole. */
  readonly done: boolean
  readonly dev: number
  readonly ino: number
  /** How often this inode was truncated and started anew before. */
  readonly truncations: number
  /** Set when the source begins within its file, whose end was cut off; offsets are the source's. */
  readonly cutBack?: CutBack | undefined
  /** When bytes of it were last read, ms since 1970: what is written later has later times. Left out where that is not known. */
  readonly readAt?: number | undefined
  /** CRC-32 of the fingerprint, to find a copy or a compressed form of the file. */
  readonly head: number
  /** Length and CRC-32 of the bytes before `offset`. */
  readonly tail: readonly [length: number, crc: number]
}

/** What a collector keeps of one life for the next. */
export interface Saved {
  readonly checkpoints: readonly Checkpoint[]
  /** Name of the ledger that has the rest: what is not acknowledged may be there, and nowhere else. */
  readonly ledger: string | undefined
}

const version = 1

export function encodeCheckpoints({ checkpoints, ledger }: Saved): Buffer {
  const lines = [
    JSON.stringify({ format: 'tributary-checkpoints', version, ledger }),
    ...checkpoints.map((one) => JSON.stringify(one)),
  ]
  const body = `${lines.join('\n')}\n`
  return Buffer.from(`${body}${JSON.stringify({ sources: checkpoints.length, crc32: crc32(body) })}\n`)
}

/** Throws with what is wrong when the bytes are not what {@link encodeCheckpoints} wrote. */
export function decodeCheckpoints(bytes: Buffer): Saved {
  const lastLine = bytes.lastIndexOf(10, bytes.length - 2) + 1
  const body = bytes.subarray(0, lastLine)
  const { sources, crc32: expected } = JSON.parse(bytes.toString('utf8', lastLine)) as {
    sources: number
    crc32: number
  }
  if (crc32(body) !== expected) throw new Error('the checksum differs')
  const [head, ...lines] = body.toString('utf8').trimEnd().split('\n')
  const {
    format,
    version: found,
    ledger,
  } = JSON.parse(head ?? '{}') as {
    format?: string
    version?: number
    ledger?: string
  }
  if (format !== 'tributary-checkpoints') throw new Error('not a file of checkpoints')
  if (found !== version) throw new Error(`version ${found}, this collector reads ${version}`)
  if (lines.length !== sources) throw new Error(`${lines.length} sources, not ${sources}`)
  return { checkpoints: lines.map(decodeCheckpoint), ledger }
}

/** What a source can't go on without. The rest is as it was written: the checksum says so. */
function decodeCheckpoint(line: string): Checkpoint {
  const found = JSON.parse(line) as Checkpoint | null
  const { source, path, offset, seen, tail } = found ?? {}
  const sound = [source, path].every((one) => typeof one === 'string') && [offset, seen].every(Number.isSafeInteger)
  if (!sound || !Array.isArray(tail)) throw new Error(`no checkpoint: ${line.slice(0, 100)}`)
  return found!
}

export interface Loaded extends Saved {
  /** There was no file: this collector has never run here. */
  readonly first: boolean
  /** Set when there was a file that could not be used: what was wrong, and where it lies now. */
  readonly damaged?: { readonly error: Error; readonly movedTo: string }
}

/** What to do about a file that can't be read, by what the file system says. */
const cures: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory: move it away',
  EACCES: 'give the user that the collector runs as the right to read it',
  EPERM: 'give the user that the collector runs as the right to read it',
}

/** Throws, with the path and what to do, when there is a file that can't be read. */
export async function loadCheckpoints(disk: Disk, path: string): Promise<Loaded> {
  let bytes: Buffer
  try {
    bytes = await disk.readFile(path)
  } catch (error) {
    if (isMissing(error)) return { checkpoints: [], ledger: undefined, first: true }
    const { code = '', message } = error as NodeJS.ErrnoException
    const cure = cures[code] ?? "see to its disk, or move it away: the aggregator's ledger tells where to go on"
    throw new Error(`the checkpoints ${path} can't be read (${message}); ${cure}`, { cause: error })
  }
  try {
    return { ...decodeCheckpoints(bytes), first: false }
  } catch (error) {
    const movedTo = `${path}.damaged`
    await disk.rename(path, movedTo)
    return { checkpoints: [], ledger: undefined, first: false, damaged: { error: error as Error, movedTo } }
  }
}

/** `content` is what {@link encodeCheckpoints} made. */
export function saveCheckpoints(disk: Disk, path: string, content: Buffer): Promise<void> {
  return replaceFile(disk, path, content)
}
