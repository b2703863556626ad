/** The client's side of the Forward handshake, on a fresh connection. */
import { randomBytes } from 'node:crypto'
import { on } from 'node:events'
import type { Socket } from 'node:net'
import { checkPong, encodePing, parseHelo } from '@tributary/protocol/handshake.ts'
import type { ValueSplitter } from '@tributary/protocol/msgpack.ts'

export interface Credentials {
  /** Name this collector presents; must differ from the aggregator's own. */
  readonly hostname: string
  /** Without a shared key there is no handshake. */
  readonly sharedKey?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
}

const timeoutMs = 30_000

/** Resolves when the aggregator accepted us; throws `HandshakeError` when it did not, or is not who knows the key. */
export async function authenticate(
  socket: Socket,
  splitter: ValueSplitter,
  credentials: Credentials,
  stop: AbortSignal,
): Promise<void> {
  const { hostname, sharedKey, username, password } = credentials
  if (sharedKey === undefined) return
  const salt = randomBytes(16).toString('hex')
  const answers = messages(socket, splitter, AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]))
  try {
    const helo = parseHelo(await next(answers))
    const user = username === undefined ? {} : { username, password: password ?? '' }
    socket.write(encodePing(helo, hostname, salt, { sharedKey, ...user }))
    checkPong(await next(answers), helo, salt, hostname, sharedKey)
  } catch (error) {
    throw Object.assign(error as Error, { code: 'HANDSHAKE' })
  } finally {
    await answers.return(undefined)
  }
}

async function* messages(socket: Socket, splitter: ValueSplitter, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  for await (const [data] of on(socket, 'data', { signal })) yield* splitter.push(data as Buffer)
}

async function next(answers: AsyncGenerator<Buffer, void>): Promise<Buffer> {
  const { value, done } = await answers.next()
  if (done || !value) throw new Error('the connection ended within the handshake')
  return value
}
