/**
 * Bytes of one log file by position, plain or compressed. Plain files are read synchronously: what is asked for was just written and
 * lies in the page cache, where a thread-pool round trip costs more than the read.
 */
import { closeSync, constants as flags, fstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs'
import { Readable } from 'node:stream'
import { constants, createGunzip, gunzipSync } from 'node:zlib'

export type FileStats = Pick<Stats, 'dev' | 'ino' | 'nlink' | 'size' | 'mtimeMs' | 'ctimeMs'>

export interface LogFile {
  /** True when positions are of the uncompressed bytes, whose number is not known before the end. */
  readonly gzip: boolean
  /** Position of the file's first byte: 0, or below where the source begins within the file. */
  readonly start: number
  stat(): FileStats
  /** Reads up to `length` bytes at `position` to `into[at…]`; how many there were. Fewer than asked means the end, for now. */
  read(into: Buffer, at: number, length: number, position: number): number | Promise<number>
  close(): void
}

/** What connections, the process's own files and modules that are loaded later may need of its descriptors. */
const reservedDescriptors = 64

/** How many files this process may have open; more than it ever has where nobody tells. */
function openFilesLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1')
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** What has the name of a log may be a pipe, and be it only by now: nobody is waited for who writes to that. */
const readOnly = flags.O_RDONLY | flags.O_NONBLOCK

let held = 0
/** Read when the first log is opened: Node raises the limit at its start. */
let limit: number | undefined

/** Throws what the file system throws, and `EMFILE` before logs have all descriptors: nothing could be sent then. */
function openLog(path: string): number {
  limit ??= openFilesLimit()
  if (held >= Math.max(limit - reservedDescriptors, limit / 4)) {
    const what = `EMFILE: ${held} logs are open, and this process may have ${limit} files open: raise that (ulimit -n, LimitNOFILE of the container runtime), open '${path}'`
    throw Object.assign(new Error(what), { code: 'EMFILE' })
  }
  const fd = openSync(path, readOnly)
  held++
  return fd
}

function closeLog(fd: number): void {
  held--
  closeSync(fd)
}

export class PlainFile implements LogFile {
  readonly gzip = false
  start: number
  /** What the file has behind this position is another source's. */
  end = Number.POSITIVE_INFINITY
  readonly #fd: number
  constructor(path: string, start = 0) {
    this.#fd = openLog(path)
    this.start = start
  }
  stat(): Stats {
    const stats = fstatSync(this.#fd)
    stats.size = Math.min(stats.size + this.start, this.end)
    return stats
  }
  read(into: Buffer, at: number, want: number, position: number): number {
    const { start, end } = this
    const length = Math.min(want, end - position)
    let done = 0
    while (done < length) {
      const n = readSync(this.#fd, into, at + done, length - done, position - start + done)
      if (n === 0) break
      done += n
    }
    return done
  }
  close(): void {
    closeLog(this.#fd)
  }
}

/** What is read of a compressed file, and decompressed, at a time. */
const blockBytes = 64 * 1024

/** A gzipped generation, read forwards. Going back costs a start from the beginning, but for the bytes of the last read. */
export class GzipFile implements LogFile {
  readonly gzip = true
  start: number
  readonly #fd: number
  #chunks: AsyncIterator<Buffer> | undefined
  #stop: (() => void) | undefined
  /** Uncompressed bytes at hand, from #position to #end. */
  #pieces: Buffer[] = []
  #position = 0
  #end = 0

  constructor(path: string, start = 0) {
    this.#fd = openLog(path)
    this.start = start
  }

  stat(): Stats {
    return fstatSync(this.#fd)
  }

  /** Throws what zlib throws (`Z_DATA_ERROR`, `Z_BUF_ERROR`) on bytes that are no gzip, or not all of it. */
  async read(into: Buffer, at: number, length: number, wanted: number): Promise<number> {
    const position = wanted - this.start
    if (this.#chunks === undefined || position < this.#position) this.#restart()
    for (;;) {
      while (this.#pieces.length > 0 && this.#position + this.#pieces[0]!.length <= position)
        this.#position += this.#pieces.shift()!.length
      if (this.#end >= position + length) break
      const next = await this.#chunks!.next()
      if (next.done) break
      this.#pieces.push(next.value)
      this.#end += next.value.length
    }
    let from = this.#position
    let done = 0
    for (const piece of this.#pieces) {
      if (from <= position + done) done += piece.copy(into, at + done, position + done - from, position + length - from)
      from += piece.length
    }
    return done
  }

  /** How many bytes it is uncompressed, as its last bytes say; of more than 4 GiB only the remainder. */
  contentBytes(): number {
    const last = Buffer.alloc(4)
    const { size } = this.stat()
    const bytes = size >= 18 && readSync(this.#fd, last, 0, 4, size - 4) === 4 ? last.readUInt32LE(0) : 0
    return Math.max(0, bytes + this.start)
  }

  #restart(): void {
    this.rest()
    const compressed = Readable.from(blocksOf(this.#fd))
    const gunzip = createGunzip({ chunkSize: blockBytes })
    compressed.on('error', (error) => gunzip.destroy(error))
    compressed.pipe(gunzip)
    this.#chunks = gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    this.#stop = () => {
      compressed.destroy()
      gunzip.on('error', () => undefined).destroy()
    }
  }

  /** Gives back the memory; the next read starts from the beginning. */
  rest(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#chunks = undefined
    this.#pieces = []
    this.#position = this.#end = 0
  }

  close(): void {
    this.rest()
    closeLog(this.#fd)
  }
}

/** All of a file, block by block. The descriptor stays the caller's, which a stream of the file system would close. */
function* blocksOf(fd: number): Generator<Buffer> {
  for (let at = 0; ; ) {
    const block = Buffer.allocUnsafe(blockBytes)
    const n = readSync(fd, block, 0, block.length, at)
    if (n === 0) return
    at += n
    yield block.subarray(0, n)
  }
}

/** The first bytes of a file's content, wherever its source begins, at most `length`. Throws as the file system or zlib does. */
export function readHead(file: LogFile, path: string, length: number): Buffer {
  const head = Buffer.alloc(length)
  if (!file.gzip) return head.subarray(0, file.read(head, 0, length, file.start) as number)
  const fd = openSync(path, readOnly)
  try {
    // Even of bytes that don't compress it is more than what is asked for, and of a thousand files not too much at once.
    const compressed = Buffer.alloc(4096)
    const n = readSync(fd, compressed, 0, compressed.length, 0)
    // Z_SYNC_FLUSH: the rest of the file is missing on purpose.
    return gunzipSync(compressed.subarray(0, n), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, length)
  } finally {
    closeSync(fd)
  }
}

/** Where the last complete line of a file ends now; for a compressed file its uncompressed size, which gzip keeps in its last 4 bytes. */
export function lastLineEnd(path: string, gzip: boolean): number {
  const file = new PlainFile(path)
  try {
    const { size } = file.stat()
    const block = Buffer.alloc(64 * 1024)
    if (gzip) return file.read(block, 0, 4, size - 4) === 4 ? block.readUInt32LE(0) : 0
    for (let end = size; end > 0; end -= block.length) {
      const from = Math.max(0, end - block.length)
      const lf = block.subarray(0, file.read(block, 0, end - from, from)).lastIndexOf(10)
      if (lf !== -1) return from + lf + 1
    }
    return 0
  } finally {
    file.close()
  }
}
