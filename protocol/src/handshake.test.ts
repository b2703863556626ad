import { expect, test } from 'vitest'
import {
  checkPong,
  encodeHelo,
  encodePing,
  encodePong,
  HandshakeError,
  newHelo,
  parseHelo,
  parsePing,
  refusal,
} from './handshake.ts'
import { decode, encode } from './msgpack.ts'

const salt = '00ff80c3280a0b0c0d0e0f1011121314'
const users = new Map([['fluent', 'secret']])

function run({ key = 'k', withUsers = false, username = '', password = '' }) {
  const helo = newHelo(withUsers)
  const seen = parseHelo(encodeHelo(helo))
  const ping = parsePing(encodePing(seen, 'client', salt, { sharedKey: key, username, password }))
  const reason = refusal(helo, ping, 'k', withUsers ? users : undefined)
  return { helo: seen, reason, pong: encodePong(helo, ping, 'server', 'k', reason) }
}

test('both roles agree when they know the key', () => {
  const { helo, reason, pong } = run({})
  expect(reason).toBeUndefined()
  expect(() => checkPong(pong, helo, salt, 'client', 'k')).not.toThrow()
  expect(() => checkPong(pong, helo, salt, 'client', 'another')).toThrow('does not know the shared key')
  expect(() => checkPong(pong, helo, salt, 'server', 'k')).toThrow('under our own name')
})

test('all of a PING is text: Fluent Bit closes a connection that sends bytes', () => {
  const ping = encodePing(newHelo(true), 'client', salt, { sharedKey: 'k', username: 'fluent', password: 'secret' })
  expect(decode(ping)).toEqual(Array(6).fill(expect.any(String)))
})

test.for([
  { when: 'the key differs', input: { key: 'other' }, reason: 'shared_key mismatch' },
  { when: 'user and password are right', input: { withUsers: true, username: 'fluent', password: 'secret' } },
  {
    when: 'the password is wrong',
    input: { withUsers: true, username: 'fluent', password: 'no' },
    reason: 'username/password mismatch',
  },
  {
    when: 'the user is unknown',
    input: { withUsers: true, username: 'root', password: '' },
    reason: 'username/password mismatch',
  },
  {
    when: 'a name of Object.prototype is used',
    input: { withUsers: true, username: 'constructor' },
    reason: 'username/password mismatch',
  },
])('when $when: $reason', ({ input, reason }) => {
  const result = run(input)
  expect(result.reason).toBe(reason)
  if (reason) expect(() => checkPong(result.pong, result.helo, salt, 'client', 'k')).toThrow(reason)
})

test.for([
  ['no message', Buffer.from('c1', 'hex')],
  ['a number', encode(1)],
  ['a PING', encode(['PING', 'h', 's', 'd', 'u', 'p'])],
  ['no options', encode(['HELO', null])],
  ['a nonce that is a number', encode(['HELO', { nonce: 1 }])],
])('%s is no HELO', ([, bytes]) => {
  expect(() => parseHelo(bytes as Buffer)).toThrow(HandshakeError)
})
