/**
 * One process per directory of state. The lock is a socket in it that its holder listens on: it is held as long as somebody answers, so a process
 * that was killed holds nothing. Not a socket without a file: pods have network namespaces of their own, and the directory, on the node or a volume,
 * is what the pod that is going and the one that is coming share.
 */
import { randomBytes } from 'node:crypto'
import { link, open, stat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMissing } from './disk.ts'

/** Another process has the directory. */
export class DirectoryLockedError extends Error {
  override readonly name = 'DirectoryLockedError'
}

export interface DirectoryLockOptions {
  /** What the directory is to whoever configures it: `stateDir`. */
  readonly key: string
  /** How long to wait for another process to end, ms. */
  readonly patience: number
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
}

const pauseMs = 100
/** Who broke into a lock that was left behind, at the same moment as another, has done so after this, ms. */
const settleMs = 20
/** A holder that does not answer within this, ms, is one all the same. */
const answerMs = 1000

/**
 * Takes an existing directory until disposed or until the process ends. Throws {@link DirectoryLockedError} when another process still has it after
 * `patience`. Where no socket can be made, as on a disk that is full or read-only, there is no lock, which is said.
 */
export async function lockDirectory(directory: string, options: DirectoryLockOptions): Promise<AsyncDisposable> {
  const { key, warn } = options
  // The path of a socket has 107 bytes at most; this one is short, whatever the directory's is.
  const handle = process.platform === 'linux' ? await open(directory, 'r') : undefined
  const within = handle === undefined ? directory : `/proc/self/fd/${handle.fd}`
  const own = join(within, `lock.${randomBytes(6).toString('hex')}`)
  let server: Server | undefined
  const release = async () => {
    // Whoever is asking at this moment is not waited for.
    server?.close()
    await handle?.close()
  }
  try {
    server = await listen(own)
    const holder = await take(own, join(within, 'lock'), directory, options)
    if (holder !== undefined) throw new DirectoryLockedError(inUse(directory, holder, options))
  } catch (error) {
    await unlink(own).catch(() => undefined)
    await release()
    if (error instanceof DirectoryLockedError) throw error
    warn(
      { [key]: directory, reason: (error as Error).message },
      'no lock in the directory: see to it that no other process uses it',
    )
    return { [Symbol.asyncDispose]: async () => undefined }
  }
  await unlink(own).catch(() => undefined)
  return {
    async [Symbol.asyncDispose]() {
      // While it is still held, so that nobody's file but our own is removed.
      await unlink(join(within, 'lock')).catch(() => undefined)
      await release()
    },
  }
}

function inUse(directory: string, holder: string, { key, patience }: DirectoryLockOptions): string {
  const since = patience === 0 ? '' : `, for ${Math.round(patience / 1000)} s now`
  return `${key}: ${directory} is in use by ${holder}${since}: stop it, or give this one a ${key} of its own`
}

/** Undefined once the lock is `own`; else who has it. */
async function take(
  own: string,
  lock: string,
  directory: string,
  { key, patience, warn, signal }: DirectoryLockOptions,
): Promise<string | undefined> {
  const until = performance.now() + patience
  for (let told = false; ; ) {
    const found = await inodeOf(lock)
    if (found === undefined) {
      if (await linked(own, lock)) return undefined
      continue
    }
    const holder = await holderOf(lock)
    if (holder === undefined) {
      // Left behind by a process that was killed.
      if ((await inodeOf(lock)) === found) await removed(lock)
      continue
    }
    if (performance.now() >= until || signal?.aborted) return holder
    if (!told) {
      told = true
      const waiting = `waiting for ${Math.round(patience / 1000)} s at most until another process lets go of the directory`
      warn({ [key]: directory, holder }, waiting)
    }
    await sleep(pauseMs)
  }
}

async function linked(own: string, lock: string): Promise<boolean> {
  try {
    await link(own, lock)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  await sleep(settleMs)
  return (await inodeOf(lock)) === (await inodeOf(own))
}

/** Throws where it can't be: whoever asked would do so for ever. */
async function removed(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined) // whoever asked has gone
    socket.end(`process ${process.pid} on ${hostname()}`)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Whoever runs the next process, perhaps as another user, may ask.
    server.listen({ path, readableAll: true, writableAll: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

/** Who listens; undefined when nobody does. */
function holderOf(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(path)
    socket.setTimeout(answerMs, () => socket.destroy())
    socket.setEncoding('utf8')
    socket.on('data', (text) => {
      answer += text
    })
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ENOTSOCK') resolve(undefined)
    })
    socket.on('close', () => resolve(answer || 'a process that does not answer'))
  })
}
