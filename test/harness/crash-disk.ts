/**
 * A disk in memory that can lose power. It keeps apart what a process sees and what is durable: bytes are durable after their file
 * was synced, names after their directory was. At a power cut everything else is kept, lost or torn, as a seed decides.
 *
 *     const disk = new CrashDisk({ seed: 1, crashBefore: 7 })   // the seventh change never happens
 *     await disk.run(() => script(disk))                        // ends with the script or with the power cut
 *     const after = disk.restart({ seed: 2 })                   // what a new process finds
 *
 * From a power cut on no operation settles, as the process that waits for it is gone. Changes are counted from 1: creating, writing,
 * truncating, syncing, making directories, renaming, unlinking; reading is not counted as no state differs before and after.
 */
import { basename, dirname } from 'node:path'
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'
import { DirectoryNode, FileNode } from './crash-nodes.ts'
import { type Random, randomFrom } from './random.ts'

export type ChangeKind = 'create' | 'write' | 'truncate' | 'sync' | 'mkdir' | 'rename' | 'unlink' | 'syncDirectory'

export interface Change {
  readonly kind: ChangeKind
  readonly path: string
  /** Counted from 1 over the disk's life. */
  readonly number: number
}

export interface CrashDiskOptions {
  /** Decides what survives, and how much of a failing write is written. */
  readonly seed?: number
  /** The power is cut instead of this change. */
  readonly crashBefore?: number
  /**
   * The error code with which a change fails, such as ENOSPC or EIO; undefined to let it happen. A failing write may have written a
   * part. A failing sync drops some of what it was to keep, for good, although reads still show it: as Linux does.
   */
  readonly fault?: (change: Change) => string | undefined
}

export interface RestartOptions extends CrashDiskOptions {
  /** What becomes of what was not synced. Default `some`: of each write a part, of the names some. */
  readonly survives?: 'nothing' | 'some' | 'everything'
}

/** A change to names that is not durable yet. */
interface NameChange {
  readonly directories: readonly DirectoryNode[]
  apply(): void
}

export class CrashDisk implements Disk {
  /** The changes so far, for the message of a failing test. */
  readonly trace: string[] = []
  readonly #root: DirectoryNode
  readonly #random: Random
  readonly #options: CrashDiskOptions
  #unsynced: NameChange[] = []
  #isCrashed = false
  #cut = () => {}
  readonly #crashed = new Promise<void>((resolve) => {
    this.#cut = resolve
  })

  constructor(options: CrashDiskOptions = {}, root = new DirectoryNode()) {
    this.#options = options
    this.#random = randomFrom(options.seed ?? 0)
    this.#root = root
  }

  /** Changes made or tried so far. */
  get changes(): number {
    return this.trace.length
  }

  get isCrashed(): boolean {
    return this.#isCrashed
  }

  /** Cuts the power now. */
  crash(): void {
    this.#isCrashed = true
    this.#cut()
  }

  /** Runs a script until it ends or the power is cut; its result, or undefined after a power cut. */
  async run<T>(script: () => Promise<T>): Promise<T | undefined> {
    return Promise.race([script(), this.#crashed.then(() => undefined)])
  }

  /** What a new process finds after the old one was killed: everything, though what was not synced is no more durable than before. */
  kill(options: CrashDiskOptions = {}): CrashDisk {
    this.crash()
    const next = new CrashDisk(options, this.#root)
    next.#unsynced = this.#unsynced
    return next
  }

  /** What a new process finds after a power cut. This disk is dead from here on. */
  restart({ survives = 'some', ...options }: RestartOptions = {}): CrashDisk {
    this.crash()
    const random = randomFrom(options.seed ?? 0)
    const keeps = () => survives === 'everything' || (survives === 'some' && random(2) === 0)
    for (const change of this.#unsynced) if (keeps()) change.apply()
    return new CrashDisk(options, this.#root.surviving(survives, random))
  }

  /** What a process sees, without a fault and without being counted: the names in a directory, or a file's bytes. */
  look(path: string): Buffer | string[] | undefined {
    const node = this.#find(path)
    return node instanceof FileNode ? Buffer.from(node.view()) : node && [...node.names.keys()].sort()
  }

  /** Flips bits of a byte, on the disk and in what a process sees: damage of the medium. */
  damage(path: string, position: number, mask: number): void {
    this.#file(path).damage(position, mask)
  }

  async open(path: string, mode: 'read' | 'create' | 'update'): Promise<DiskFile> {
    await this.#settle()
    const existing = this.#find(path)
    if (existing instanceof DirectoryNode) throw failure('EISDIR', path)
    if (existing !== undefined && mode === 'create') throw failure('EEXIST', path)
    if (existing !== undefined) return this.#handle(existing, path)
    if (mode === 'read') throw failure('ENOENT', path)
    const directory = this.#directory(dirname(path))
    await this.#change('create', path)
    const file = new FileNode()
    this.#setName(directory, path, file)
    return this.#handle(file, path)
  }

  async readFile(path: string): Promise<Buffer> {
    await this.#settle()
    return Buffer.from(this.#file(path).view())
  }

  async readdir(path: string): Promise<string[]> {
    await this.#settle()
    return [...this.#directory(path).names.keys()]
  }

  async mkdir(path: string): Promise<void> {
    await this.#settle()
    if (this.#find(path) instanceof DirectoryNode) return
    if (path !== dirname(path)) await this.mkdir(dirname(path))
    await this.#change('mkdir', path)
    this.#setName(this.#directory(dirname(path)), path, new DirectoryNode())
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change('rename', `${from} → ${to}`)
    const [source, target] = [this.#directory(dirname(from)), this.#directory(dirname(to))]
    const node = this.#find(from)
    if (node === undefined) throw failure('ENOENT', from)
    const move = (names: 'names' | 'durableNames') => {
      if (source[names].get(basename(from)) === node) source[names].delete(basename(from))
      target[names].set(basename(to), node)
    }
    move('names')
    this.#unsynced.push({ directories: [source, target], apply: () => move('durableNames') })
  }

  async unlink(path: string): Promise<void> {
    await this.#change('unlink', path)
    const directory = this.#directory(dirname(path))
    const node = this.#file(path)
    directory.names.delete(basename(path))
    const apply = () => {
      if (directory.durableNames.get(basename(path)) === node) directory.durableNames.delete(basename(path))
    }
    this.#unsynced.push({ directories: [directory], apply })
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#change('syncDirectory', path)
    const directory = this.#directory(path)
    for (const change of this.#unsynced) if (change.directories.includes(directory)) change.apply()
    this.#unsynced = this.#unsynced.filter(({ directories }) => !directories.includes(directory))
  }

  #setName(directory: DirectoryNode, path: string, node: FileNode | DirectoryNode): void {
    const name = basename(path)
    directory.names.set(name, node)
    this.#unsynced.push({ directories: [directory], apply: () => directory.durableNames.set(name, node) })
  }

  #handle(file: FileNode, path: string): DiskFile {
    const write = async (data: Uint8Array, position: number) => {
      const part = (length: number) => file.write(data.subarray(0, length), position)
      await this.#change('write', `${path} ${position}+${data.length}`, () => part(this.#random(data.length + 1)))
      part(data.length)
    }
    return {
      write,
      writeAll: (data, position) => write(Buffer.concat(data), position),
      read: async (into, position) => {
        await this.#settle()
        return Buffer.from(file.view()).copy(into, 0, position)
      },
      size: async () => {
        await this.#settle()
        return file.view().length
      },
      truncate: async (length) => {
        await this.#change('truncate', `${path} ${length}`)
        file.truncate(length)
      },
      sync: async () => {
        await this.#change('sync', path, () => file.failSync(this.#random))
        file.sync()
      },
      close: () => this.#settle(),
    }
  }

  /** Counts a change that is about to happen; throws its fault, after what the fault leaves behind, and ends in a power cut for good. */
  async #change(kind: ChangeKind, path: string, onFault = () => {}): Promise<void> {
    await this.#settle()
    this.trace.push(`${kind} ${path}`)
    const number = this.trace.length
    if (number === this.#options.crashBefore) this.crash()
    await this.#settle()
    const code = this.#options.fault?.({ kind, path, number })
    if (code === undefined) return
    onFault()
    throw failure(code, path)
  }

  /** Every operation takes a turn of the event loop, and never ends without power. */
  async #settle(): Promise<void> {
    if (!this.#isCrashed) await new Promise((resolve) => setImmediate(resolve))
    if (this.#isCrashed) await new Promise<never>(() => {})
  }

  #find(path: string): FileNode | DirectoryNode | undefined {
    let node: FileNode | DirectoryNode | undefined = this.#root
    for (const name of path.split('/').filter((part) => part !== '')) {
      node = node instanceof DirectoryNode ? node.names.get(name) : undefined
    }
    return node
  }

  #file(path: string): FileNode {
    const node = this.#find(path)
    if (!(node instanceof FileNode)) throw failure(node === undefined ? 'ENOENT' : 'EISDIR', path)
    return node
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path)
    if (!(node instanceof DirectoryNode)) throw failure(node === undefined ? 'ENOENT' : 'ENOTDIR', path)
    return node
  }
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
