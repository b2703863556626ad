import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import { expect, onTestFinished, test } from 'vitest'
import { aggregatorConfig } from '../config.ts'
import { Wal } from '../wal/wal.ts'
import { LoaderThread } from './loader-thread.ts'
import type { LoaderSettings } from './messages.ts'

const ignore = () => {}
const silent = {
  ...{ onOpened: ignore, onStored: ignore, onBlock: ignore, onRetry: ignore, onWarning: ignore, onQuarantined: ignore },
  ...{ onLoss: async () => {}, onCursorLost: ignore, onWalEvent: ignore },
}

const begin = { segment: 1, offset: 0 }

function settingsIn(directory: string): LoaderSettings {
  return {
    walDirectory: directory,
    cursorPath: join(directory, 'cursor'),
    quarantineDirectory: join(directory, 'quarantine'),
    ...{ oldest: begin, committed: begin, shared: true, blockRows: 10, blockBytes: 1e6, blockDelay: 10 },
    // Nobody is there.
    store: { engine: 'clickhouse', urls: ['http://127.0.0.1:1'], username: 'nobody', password: '', database: 'none' },
    ...{ discoverServiceName: true, detectLevel: true, detectTrace: true, maxEntriesBytes: 1 << 20 },
    ...{ limits: aggregatorConfig.parse({}).limits, overrides: {} },
  }
}

test('one whose store takes a block and never answers ends soon after its time is over', {
  timeout: 60_000,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-loader-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const asked = Promise.withResolvers<void>()
  const store = createServer((socket) => {
    socket.on('error', () => {}) // as wanted
    asked.resolve()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void store.close())
  await once(store, 'listening')
  const wal = await Wal.open({ disk: nodeDisk, directory, maxBytes: 1e6, onEvent: () => {} })
  const entry = encode([1_790_000_000, { log: 'x' }])
  const message = Buffer.concat(forwardMessage('tag', entry, {}))
  await wal.append({ accepted: [], message, receivedAt: 1 })
  const { port } = store.address() as AddressInfo
  const settings = settingsIn(directory)
  const thread = new LoaderThread(
    () => ({
      ...settings,
      ...{ shared: false, oldest: wal.oldest, committed: wal.committed },
      store: { ...settings.store, engine: 'clickhouse', urls: [`http://127.0.0.1:${port}`] },
    }),
    { ...silent, onDeath: asked.reject, onLedgerRequest: async () => {} },
  )
  await asked.promise
  await thread.close(AbortSignal.timeout(50))
  await wal.close()
})

test('one whose shared ledger does not answer ends when its time is over', { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-loader-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const asked = Promise.withResolvers<string>()
  const deaths: Error[] = []
  const thread = new LoaderThread(() => settingsIn(directory), {
    ...silent,
    onLedgerRequest: ({ what }) => {
      asked.resolve(what)
      return new Promise(() => {})
    },
    onDeath: (error) => {
      deaths.push(error)
      asked.reject(error)
    },
  })
  expect(await asked.promise).toBe('unfinished')
  await thread.close(AbortSignal.timeout(50))
  expect(deaths).toEqual([])
})
