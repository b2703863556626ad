import { expect, test } from 'vitest'
import { inputConfig } from './config.ts'

test('the port is closed unless asked for, and then open to the node alone', () => {
  expect(inputConfig.parse(undefined).forward).toMatchObject({ enabled: false, listen: '127.0.0.1', port: 24224 })
})

test.for([
  { forward: { tls: { certFile: 'a' } }, path: 'forward.tls.keyFile' },
  { forward: { tls: { keyFile: 'a' } }, path: 'forward.tls.certFile' },
  { forward: { tls: { clientCaFile: 'a' } }, path: 'forward.tls.certFile' },
  { forward: { users: { a: 'b' } }, path: 'forward.sharedKey' },
  { forward: { maxMessageBytes: '1KiB' }, path: 'forward.maxMessageBytes' },
  { forward: { port: 70_000 }, path: 'forward.port' },
])('$forward is wrong at $path', ({ forward, path }) => {
  const { error } = inputConfig.safeParse({ forward })
  expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path])
})
