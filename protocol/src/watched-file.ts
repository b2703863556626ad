/**
 * Small files that others replace: certificates, keys, secrets. A Kubernetes Secret's mount swaps a link to a directory for another, which
 * no notification about the file itself tells, so the content is the truth. It is looked at when somebody wants it, at most once in a while:
 * nothing runs in between.
 */
import { readFileSync } from 'node:fs'

/** A file that has to be there at the start is not; the message names the key and the file, never the content. */
export class FileError extends Error {
  override readonly name = 'FileError'
}

export interface WatchedFileEvents {
  /** The content is another one from now on. */
  onChange?(key: string): void
  /** It can't be read any more, or not be used: what it held before stays. */
  onProblem?(key: string, problem: string): void
}

export interface WatchedFileOptions {
  /** Of the configuration, such as `forward.tls.certFile`: how messages name it. */
  readonly key: string
  readonly path: string
  readonly events?: WatchedFileEvents | undefined
  /** At least so long between two looks, ms. */
  readonly interval?: number
}

/** Longer than this it is not what the key asks for. */
const maxBytes = 1 << 20

export class WatchedFile {
  readonly key: string
  readonly #path: string
  readonly #events: WatchedFileEvents
  readonly #interval: number
  #content: Buffer
  #lookedAt = performance.now()
  #problem: string | undefined

  /** @throws {@link FileError} */
  constructor({ key, path, events = {}, interval = 1000 }: WatchedFileOptions) {
    this.key = key
    this.#path = path
    this.#events = events
    this.#interval = interval
    this.#content = this.#read()
  }

  get content(): Buffer {
    const now = performance.now()
    if (now - this.#lookedAt < this.#interval) return this.#content
    this.#lookedAt = now
    try {
      const found = this.#read()
      this.#problem = undefined
      if (found.equals(this.#content)) return this.#content
      this.#content = found
      this.#events.onChange?.(this.key)
    } catch (error) {
      // Said once, however often it is looked at.
      const { message } = error as Error
      if (message !== this.#problem) this.#events.onProblem?.(this.key, message)
      this.#problem = message
    }
    return this.#content
  }

  #read(): Buffer {
    let content: Buffer
    try {
      content = readFileSync(this.#path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new FileError(`${this.key}: ${this.#path} cannot be read (${code})`, { cause: error })
    }
    if (content.length === 0) throw new FileError(`${this.key}: ${this.#path} is empty`)
    if (content.length > maxBytes) throw new FileError(`${this.key}: ${this.#path} is longer than 1 MiB`)
    return content
  }
}
