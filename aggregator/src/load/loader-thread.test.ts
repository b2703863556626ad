import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { LoaderThread } from './loader-thread.ts'
import type { LoaderSettings } from './messages.ts'

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
    ...({ limits: {}, overrides: {} } as unknown as Pick<LoaderSettings, 'limits' | 'overrides'>),
  }
}

test('one whose shared ledger does not answer ends when its time is over', { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-loader-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const asked = Promise.withResolvers<string>()
  const deaths: Error[] = []
  const ignore = () => {}
  const thread = new LoaderThread(() => settingsIn(directory), {
    ...{
      onOpened: ignore,
      onStored: ignore,
      onBlock: ignore,
      onRetry: ignore,
      onWarning: ignore,
      onQuarantined: ignore,
    },
    ...{ onLoss: async () => {}, onCursorLost: ignore, onWalEvent: ignore },
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
