/** What a ClickHouse has to do for the store, one check for each promise. Each throws with what is wrong. */
import assert from 'node:assert/strict'
import { RetentionMetrics } from '@tributary/aggregator/retention/metrics.ts'
import { Retention } from '@tributary/aggregator/retention/retention.ts'
import { StoreClient } from '@tributary/aggregator/store/client.ts'
import type { StoreConnection } from '@tributary/aggregator/store/connection.ts'
import { StoreError } from '@tributary/aggregator/store/error.ts'
import { identify } from '@tributary/aggregator/store/identity.ts'
import { LogBlock } from '@tributary/aggregator/store/log-block.ts'
import { migrate, schemaVersion } from '@tributary/aggregator/store/migrations.ts'
import { quietLog, rowStream } from '@tributary/aggregator/store/test-store.ts'
import { Registry } from 'prom-client'

export interface Subject {
  readonly connection: StoreConnection
  readonly client: StoreClient
  readonly version: string
  drop(): Promise<void>
}

interface Check {
  readonly name: string
  /** Returns what it found, for people. */
  readonly check: (subject: Subject) => Promise<string | undefined>
}

const daySeconds = 86_400
const dayMs = daySeconds * 1000

/** Rows of one stream, spread over so many days before now, told apart by their offsets from `first` on. */
function block(container: string, rows: number, days: number, first = 0, oldest = 0): LogBlock {
  const made = new LogBlock()
  made.setStream(rowStream({ container, sid: BigInt(container.length) }))
  const now = Math.floor(Date.now() / 1000)
  for (let i = 0; i < rows; i++) {
    const line = Buffer.from(`line ${first + i} of ${container} unique${first + i}`)
    made.add(now - (oldest + (i % days)) * daySeconds, i, first + i, 'info', line, 0, line.length)
  }
  return made
}

async function insert(client: StoreClient, made: LogBlock, token: string): Promise<void> {
  await client.insertNative('streams', made.streams.columns, made.streams.encode(), token)
  await client.insertNative('logs', made.columns, made.encode(), token)
}

/** Waits for replicas that follow; what is wrong in the end is thrown. */
async function expectRows(client: StoreClient, container: string, expected: number): Promise<void> {
  const read = async () => {
    const { rows } = await client.query<{ n: string; offsets: string; entries: string }>(
      `SELECT count() AS n, uniqExact(offset) AS offsets,
         (SELECT sum(entries) FROM streams WHERE labels['container'] = {container:String}) AS entries
       FROM logs WHERE container = {container:String}`,
      { container },
    )
    return rows[0]!
  }
  const wanted = { n: String(expected), offsets: String(expected), entries: String(expected) }
  for (let left = 50; left > 0; left--) {
    const found = await read()
    if (Object.values(found).every((n) => n === String(expected))) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.deepEqual({ ...(await read()) }, wanted)
}

export const checks: readonly Check[] = [
  {
    name: 'the schema is made, and a second time changes nothing',
    async check({ client }) {
      await migrate(client, quietLog)
      const version = await schemaVersion(client)
      await migrate(client, quietLog)
      assert.equal(await schemaVersion(client), version)
      return `version ${version}`
    },
  },
  {
    name: 'every address leads to this store',
    async check({ client, connection }) {
      const identity = await identify(client)
      for (const url of connection.urls) {
        const one = new StoreClient({ ...connection, urls: [url] })
        try {
          await one.ping()
          assert.equal(await identify(one), identity, `${url} leads to another store`)
        } finally {
          await one.close()
        }
      }
      return `${connection.urls.length} of ${connection.urls.length}`
    },
  },
  {
    name: 'the same token again inserts nothing, for each of many days',
    async check({ client }) {
      const made = block('tokens', 4000, 40)
      for (let i = 0; i < 3; i++) await insert(client, made, 'tokens')
      await expectRows(client, 'tokens', 4000)
      await insert(client, block('tokens', 1000, 40, 4000), 'tokens, the next')
      await expectRows(client, 'tokens', 5000)
      return '5,000 rows over 40 days, 3 times'
    },
  },
  {
    name: 'one token at the same time from several clients, at every address, inserts once',
    async check({ connection, client }) {
      const clients = Array.from({ length: 4 }, (_, i) => {
        const url = connection.urls[i % connection.urls.length]!
        return new StoreClient({ ...connection, urls: [url] })
      })
      try {
        for (let turn = 0; turn < 5; turn++) {
          await Promise.all(
            clients.map((one) => untilDone(() => insert(one, block('race', 500, 7, turn * 500), `race ${turn}`))),
          )
        }
        await expectRows(client, 'race', 2500)
      } finally {
        for (const one of clients) await one.close()
      }
      return '5 blocks, 4 clients each'
    },
  },
  {
    name: 'an insert that breaks off leaves nothing, and can be repeated',
    async check({ client }) {
      const made = block('torn', 1000, 3)
      const whole = Buffer.concat(made.encode())
      const torn = client.insertNative('logs', made.columns, whole.subarray(0, whole.length - 100), 'torn')
      await assert.rejects(torn, StoreError)
      await expectRows(client, 'torn', 0)
      await insert(client, made, 'torn')
      await expectRows(client, 'torn', 1000)
      return undefined
    },
  },
  {
    name: 'values are bound, never part of a statement; nanoseconds and 64-bit numbers stay exact',
    async check({ client }) {
      const hostile = ["'", "\\'; DROP TABLE logs --", '\\', '\t\n\0', '{x:String}', 'é💥', "a' OR 1=1"]
      for (const text of hostile) {
        const { rows } = await client.query('SELECT {s:String} AS s, {a:Array(String)} AS a', { s: text, a: [text] })
        assert.deepEqual(rows, [{ s: text, a: [text] }])
      }
      const { rows } = await client.query<{ n: string; t: string }>(
        "SELECT toUInt64('18446744073709551615') AS n, toUnixTimestamp64Nano(toDateTime64('2026-11-23 01:02:03.123456789', 9, 'UTC')) AS t",
      )
      assert.deepEqual(rows, [{ n: '18446744073709551615', t: '1795395723123456789' }])
      return undefined
    },
  },
  {
    name: 'rows are found through the streams and by a word of their line',
    async check({ client }) {
      const { rows } = await client.query<{ line: string }>(
        `SELECT line FROM logs WHERE sid IN (SELECT sid FROM streams WHERE labels['container'] = {container:String})
         AND hasToken(line, {word:String})`,
        { container: 'tokens', word: 'unique4321' },
      )
      assert.deepEqual(rows, [{ line: 'line 4321 of tokens unique4321' }])
      let streamed = 0
      for await (const batch of client.queryStream("SELECT offset FROM logs WHERE container = 'tokens' ORDER BY ts")) {
        streamed += batch.length
      }
      assert.equal(streamed, 5000)
      return undefined
    },
  },
  {
    name: 'days that are too old are dropped, and the others stay',
    async check({ client }) {
      await insert(client, block('old', 300, 3, 0, 60), 'old')
      await expectRows(client, 'old', 300)
      const retention = new Retention({
        client,
        policy: { retention: 50 * dayMs, rules: [] },
        log: quietLog,
        id: 'check',
        metrics: new RetentionMetrics(new Registry()),
      })
      const { days } = await retention.sweep()
      const dropped = days.filter(({ table }) => table === 'logs').reduce((sum, { rows }) => sum + rows, 0)
      assert.equal(dropped, 300)
      await expectRows(client, 'tokens', 5000)
      return `${days.length} partitions`
    },
  },
]

/** As the loader does: again and again, as long as that can help. */
async function untilDone(work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StoreError && error.retryable)) throw error
    }
  }
}
