/**
 * The Forward protocol's handshake with a shared key and, if wanted, users; both roles, as functions of bytes. Salt, nonce and auth
 * stay bytes throughout: Fluent Bit puts 16 raw bytes into a str, Fluentd sends bin or hexadecimal text, and the digests are
 * taken over exactly those bytes.
 *
 *     server → ["HELO", {nonce, auth, keepalive}]
 *     client → ["PING", host, salt, sha512hex(salt + host + nonce + key), user, sha512hex(auth + user + password)]
 *     server → ["PONG", ok, reason, host, sha512hex(salt + host + nonce + key)]
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { decode, encode } from './msgpack.ts'

/** The peer did not keep to the handshake, or does not know the secret. The connection is to be closed. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError'
}

export interface Helo {
  readonly nonce: Buffer
  /** Salt of the password digest; empty when the server knows no users. */
  readonly auth: Buffer
  readonly keepalive: boolean
}

export function newHelo(withUsers: boolean): Helo {
  return { nonce: randomBytes(16), auth: withUsers ? randomBytes(16) : Buffer.alloc(0), keepalive: true }
}

export function encodeHelo(helo: Helo): Buffer {
  return encode(['HELO', { nonce: helo.nonce, auth: helo.auth, keepalive: helo.keepalive }])
}

/** @throws {@link HandshakeError} */
export function parseHelo(message: Uint8Array): Helo {
  const options = fields(message, 'HELO', 2, 2)[1]
  if (options === null || typeof options !== 'object' || options instanceof Uint8Array) {
    throw new HandshakeError('HELO without options')
  }
  const { nonce, auth, keepalive } = options as Record<string, unknown>
  return { nonce: raw('nonce', nonce), auth: raw('auth', auth ?? Buffer.alloc(0)), keepalive: keepalive !== false }
}

export interface Credentials {
  readonly sharedKey: string
  readonly username?: string
  readonly password?: string
}

/**
 * @param salt random text for this connection, in ASCII; needed again for {@link checkPong}. Text, as Fluentd sends it: Fluent Bit's
 *   forward input closes a connection whose salt is no str.
 */
export function encodePing(helo: Helo, hostname: string, salt: string, credentials: Credentials): Buffer {
  const { sharedKey, username = '', password = '' } = credentials
  return encode([
    'PING',
    hostname,
    salt,
    keyDigest(salt, hostname, helo.nonce, sharedKey),
    username,
    helo.auth.length > 0 ? passwordDigest(helo.auth, username, password) : '',
  ])
}

export interface Ping {
  readonly hostname: string
  readonly salt: Buffer
  readonly digest: string
  readonly username: string
  readonly passwordDigest: string
}

/** @throws {@link HandshakeError} */
export function parsePing(message: Uint8Array): Ping {
  const [, hostname, salt, digest, username, password] = fields(message, 'PING', 6, 6)
  return {
    hostname: text('hostname', hostname),
    salt: raw('salt', salt),
    digest: text('digest', digest),
    username: text('username', username),
    passwordDigest: text('password digest', password),
  }
}

/** Why a PING is refused; undefined when it is good. `users` maps names to passwords; without it nobody needs one. */
export function refusal(
  helo: Helo,
  ping: Ping,
  sharedKey: string,
  users?: ReadonlyMap<string, string>,
): string | undefined {
  if (!equal(ping.digest, keyDigest(ping.salt, ping.hostname, helo.nonce, sharedKey))) return 'shared_key mismatch'
  if (users === undefined) return undefined
  const known = users.get(ping.username)
  // The digest is computed for unknown users too, so that the time taken doesn't tell which names exist.
  const expected = passwordDigest(helo.auth, ping.username, known ?? '')
  return equal(ping.passwordDigest, expected) && known !== undefined ? undefined : 'username/password mismatch'
}

/** @param reason why the PING is refused; undefined to accept */
export function encodePong(helo: Helo, ping: Ping, hostname: string, sharedKey: string, reason?: string): Buffer {
  if (reason !== undefined) return encode(['PONG', false, reason, '', ''])
  return encode(['PONG', true, '', hostname, keyDigest(ping.salt, hostname, helo.nonce, sharedKey)])
}

/** Checks a server's answer; throws {@link HandshakeError} when it refuses us or doesn't know the key itself. */
export function checkPong(
  message: Uint8Array,
  helo: Helo,
  salt: Buffer | string,
  selfHostname: string,
  sharedKey: string,
): void {
  const [, ok, reason, hostname, digest] = fields(message, 'PONG', 5, 5)
  if (ok !== true) throw new HandshakeError(`the aggregator refused the connection: ${text('reason', reason)}`)
  const server = text('hostname', hostname)
  // A server that answers under our own name could be our own digest played back to us.
  if (server === selfHostname) throw new HandshakeError(`the aggregator answers under our own name, ${server}`)
  if (!equal(text('digest', digest), keyDigest(salt, server, helo.nonce, sharedKey))) {
    throw new HandshakeError('the aggregator does not know the shared key')
  }
}

function keyDigest(salt: Buffer | string, hostname: string, nonce: Buffer, sharedKey: string): string {
  return createHash('sha512').update(salt).update(hostname).update(nonce).update(sharedKey).digest('hex')
}

function passwordDigest(auth: Buffer, username: string, password: string): string {
  return createHash('sha512').update(auth).update(username).update(password).digest('hex')
}

function equal(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The values of one handshake message, str values as bytes. */
function fields(message: Uint8Array, name: string, min: number, max: number): unknown[] {
  let value: unknown
  try {
    value = decode(message, { rawStrings: true })
  } catch (error) {
    throw new HandshakeError(`${name} expected, got bytes that are no message`, { cause: error })
  }
  if (!Array.isArray(value) || value.length < min || value.length > max || !isText(value[0], name)) {
    throw new HandshakeError(`${name} expected, got something else`)
  }
  return value
}

function isText(value: unknown, expected: string): boolean {
  return value instanceof Uint8Array && Buffer.from(value).toString('latin1') === expected
}

function raw(name: string, value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) throw new HandshakeError(`${name} is neither str nor bin`)
  return Buffer.from(value)
}

function text(name: string, value: unknown): string {
  return raw(name, value).toString('utf8')
}
