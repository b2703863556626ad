/**
 * One collector per state directory. The lock is a socket in it that its holder listens on: it is held as long as somebody answers, so a process
 * that was killed holds nothing. Not the socket without a file that an aggregator takes: pods have network namespaces of their own, and the
 * directory, on the node, is what the pod that is going and the one that is coming share.
 */
import { randomBytes } from 'node:crypto'
import { link, open, stat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMissing } from '@tributary/protocol/disk.ts'
import type { Logger } from 'pino'

/** Another process has the directory. */
export class StateLockedError extends Error {
  override readonly name = 'StateLockedError'
}

export interface StateLockOptions {
  /** How long to wait for another process to end, ms. */
  readonly patience: number
  readonly log: Logger
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
}

const pauseMs = 100
/** Who broke into a lock that was left behind, at the same moment as another, has done so after this, ms. */
const settleMs = 20
/** A holder that does not answer within this, ms, is one all the same. */
const answerMs = 1000

/**
 * Takes an existing directory until disposed or until the process ends. Throws {@link StateLockedError} when another process still has it after
 * `patience`. Where no socket can be made, as on a disk that is full or read-only, there is no lock, which is said.
 */
export async function lockState(directory: string, options: StateLockOptions): Promise<AsyncDisposable> {
  const { patience, log, signal } = options
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
    const holder = await take(own, join(within, 'lock'), directory, { patience, log, signal })
    if (holder !== undefined) throw new StateLockedError(inUse(directory, holder, patience))
  } catch (error) {
    await unlink(own).catch(() => undefined)
    await release()
    if (error instanceof StateLockedError) throw error
    log.warn(
      { stateDir: directory, reason: (error as Error).message },
      'no lock in the state directory: see to it that no other collector uses it',
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

function inUse(directory: string, holder: string, patience: number): string {
  return `stateDir: ${directory} is in use by ${holder}, for ${Math.round(patience / 1000)} s now: stop it, or give this collector a stateDir of its own`
}

/** Undefined once the lock is `own`; else who has it. */
async function take(
  own: string,
  lock: string,
  directory: string,
  { patience, log, signal }: StateLockOptions,
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
      const waiting = `waiting for ${Math.round(patience / 1000)} s at most until another collector lets go of the state directory`
      log.warn({ stateDir: directory, holder }, waiting)
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
    // Whoever runs the next collector, perhaps as another user, may ask.
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
