/**
 * One aggregator per data directory. The lock is a local socket named after the directory: the kernel gives it to one process and takes it
 * back when that process ends, however it ends, so there is nothing stale to clean up. Who holds it says its process id.
 */
import { createHash } from 'node:crypto'
import { realpath, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Another process has the directory. */
export class DirectoryLockedError extends Error {
  override readonly name = 'DirectoryLockedError'
}

/** Takes an existing directory until disposed or until the process ends. Throws {@link DirectoryLockedError}. */
export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const address = addressOf(await realpath(directory))
  const server = (await tryListen(address)) ?? (await listenAgain(address, directory))
  return {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}

/** Linux has names that exist only while somebody listens; elsewhere it is a file that may outlive its process. */
function addressOf(path: string): string {
  const name = `tributary-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`
  return process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`)
}

/** Undefined when the address is taken. */
function tryListen(address: string): Promise<Server | undefined> {
  const server = createServer((socket) => {
    socket.on('error', () => {}) // whoever asked has gone
    socket.end(String(process.pid))
  })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(address, () => {
      server.unref()
      resolve(server)
    })
  })
}

/** How often, and after which pauses, the address of a process that is just ending is tried again. */
const attempts = 50
const pause = 100

async function listenAgain(address: string, directory: string): Promise<Server> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const holder = await holderOf(address)
    if (holder !== undefined) {
      throw new DirectoryLockedError(
        `the data directory ${directory} is in use by ${holder}: stop it, or give this aggregator a dataDir of its own`,
      )
    }
    // Nobody answers: it ended just now, or left its file behind.
    if (!address.startsWith('\0')) await unlink(address).catch(() => {})
    const server = await tryListen(address)
    if (server !== undefined) return server
    await sleep(pause)
  }
  throw new DirectoryLockedError(`the data directory ${directory} is in use by a process that does not answer`)
}

/** Who has the address; undefined when nobody answers there. */
function holderOf(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let pid = ''
    const socket = connect(address)
    // It has the address and is stopped, or too busy to say who it is.
    socket.setTimeout(2000, () => {
      socket.destroy()
      resolve('another process')
    })
    socket.on('data', (data) => {
      pid += data
    })
    socket.on('error', () => resolve(undefined))
    socket.on('end', () => resolve(pid === '' ? undefined : `process ${pid}`))
  })
}
