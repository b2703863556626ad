/**
 * Certificate, key and trusted certificates from files that are replaced while the process runs, for either side of a connection. They
 * are taken together or not at all: between two files of a pair that are written one after the other, the pair before stays in use.
 */
import type { Server } from 'node:tls'
import { FileError, WatchedFile, type WatchedFileEvents } from './watched-file.ts'

export interface TlsFilePaths {
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly caFile?: string | undefined
}

/** As the functions of node:tls take it. PEM. */
export interface TlsMaterial {
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly ca?: Buffer
}

const names = [
  ['cert', 'certFile'],
  ['key', 'keyFile'],
  ['ca', 'caFile'],
] as const

export class TlsFiles {
  readonly #key: string
  readonly #events: WatchedFileEvents
  readonly #files: readonly { readonly name: 'cert' | 'key' | 'ca'; readonly file: WatchedFile }[]
  #found: readonly Buffer[] = []
  #material: TlsMaterial

  /**
   * @param key of the configuration, such as `forward.tls`
   * @param interval at least so long between two looks, ms
   * @throws {@link FileError} where one can't be read or they do not fit together
   */
  constructor(key: string, paths: TlsFilePaths, events: WatchedFileEvents = {}, interval?: number) {
    this.#key = key
    this.#events = events
    const { onProblem } = events
    this.#files = names.flatMap(([name, part]) => {
      const path = paths[part]
      if (path === undefined) return []
      const options = { key: `${key}.${part}`, path, ...(interval === undefined ? {} : { interval }) }
      return [{ name, file: new WatchedFile({ ...options, events: onProblem === undefined ? {} : { onProblem } }) }]
    })
    this.#found = this.#files.map(({ file }) => file.content)
    this.#material = this.#checked()
  }

  get material(): TlsMaterial {
    const found = this.#files.map(({ file }) => file.content)
    if (found.every((content, i) => content === this.#found[i])) return this.#material
    this.#found = found
    try {
      this.#material = this.#checked()
      this.#events.onChange?.(this.#key)
    } catch (error) {
      this.#events.onProblem?.(this.#key, (error as Error).message)
    }
    return this.#material
  }

  /** Makes a server use what the files hold, from its next connection on. */
  keepFresh(server: Server): void {
    let used = this.#material
    // Before the server's own listener, which begins the handshake.
    server.prependListener('connection', () => {
      const { material } = this
      if (material === used) return
      used = material
      server.setSecureContext(material)
    })
  }

  #checked(): TlsMaterial {
    const material = Object.fromEntries(this.#files.map(({ name }, i) => [name, this.#found[i]])) as TlsMaterial
    try {
      // Loaded where it is used: half a megabyte of code that most collectors do without.
      process.getBuiltinModule('node:tls').createSecureContext(material)
    } catch (error) {
      throw new FileError(`${this.#key}: ${(error as Error).message}`, { cause: error })
    }
    return material
  }
}
