/** Collector and aggregator before a server under test: what was written is read back, line by line. */
import type { ClickhouseConfig } from '@tributary/aggregator/store/config.ts'
import type { StoreConnection } from '@tributary/aggregator/store/connection.ts'
import { Pipeline } from '../harness/processes.ts'
import { chooseSeed, conclude, isSound, Writer } from '../integrity/run.ts'

const rate = 5_000

/** @returns figures for people. Throws when a line is missing, doubled, damaged or out of order */
export async function checkPipeline(
  { urls }: StoreConnection,
  { username, password, passwordFile, tls, database, cluster }: ClickhouseConfig,
  lines: number,
): Promise<string> {
  const clickhouse = { url: urls, username, password, passwordFile, tls, database, cluster }
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start({ aggregator: { store: { engine: 'clickhouse', clickhouse } } })
  const duration = Math.ceil((lines / rate) * 1000)
  const writer = new Writer(pipeline, {
    namespace: 'check',
    containers: 10,
    rate,
    duration,
    rotateBytes: 1 << 18,
    seed,
  })
  const { verdicts, audit, figures } = await conclude(
    pipeline,
    [await writer.truth()],
    { name: 'pipeline', seed },
    120_000,
  )
  if (!isSound(verdicts, audit)) throw new Error(figures)
  return `${verdicts.reduce((sum, { read }) => sum + read, 0)} lines, missing 0, doubled 0`
}
