import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Application, type ApplicationMode, type ApplicationVerdict, judgeApplication } from '../harness/application.ts'
import { freePorts, Pipeline, until } from '../harness/processes.ts'
import { FaultyProxy } from '../harness/proxy.ts'
import { randomFrom } from '../harness/random.ts'
import { type AuditAnswer, readLines } from '../harness/read-back.ts'
import { chooseSeed } from './run.ts'

const modes: readonly ApplicationMode[] = ['message', 'forward', 'packed', 'gzip', 'zstd', 'packed']

interface Setup {
  readonly pipeline: Pipeline
  readonly applications: readonly Application[]
}

/** Both processes, and applications that write on until they are told to finish. */
async function start(via?: (port: number) => Promise<number>): Promise<Setup> {
  const [port] = await freePorts(1)
  const pipeline = await Pipeline.start({
    collector: {
      input: { forward: { enabled: true, port } },
      aggregator: { ackTimeout: '2s' },
      limits: { inFlightBytes: '1MiB' },
    },
    ...(via === undefined ? {} : { via }),
  })
  const applications = modes.map(
    (mode, i) => new Application({ name: `app.${i}`, mode, port: port!, window: 20, batch: 50, pause: 5 }),
  )
  return { pipeline, applications }
}

/** Waits for the last acknowledgement, reads everything back and compares. */
async function conclude({ pipeline, applications }: Setup, name: string, events: Record<string, number>) {
  await Promise.all(applications.map((one) => one.finish()))
  let audit: AuditAnswer | undefined
  const stored = async () => {
    const response = await fetch(`${pipeline.url}/api/v1/audit?wait=10s`)
    if (response.ok) audit = (await response.json()) as AuditAnswer
    return audit?.caughtUp === true
  }
  await until(stored, 60_000, () => `not stored: ${pipeline.aggregator.output}`)
  const verdicts: ApplicationVerdict[] = []
  for (const application of applications) {
    const lines: string[] = []
    for await (const [, line] of readLines(pipeline.url, `{tag="${application.name}"}`)) lines.push(line)
    verdicts.push(judgeApplication(application, lines))
  }
  const sum = (of: (verdict: ApplicationVerdict) => number) => verdicts.reduce((total, one) => total + of(one), 0)
  const totals = {
    expected: sum((v) => v.expected),
    missing: sum((v) => v.missing),
    doubled: sum((v) => v.doubled),
    foreign: sum((v) => v.foreign),
  }
  console.log(name, JSON.stringify({ ...totals, ...events }))
  return { totals, audit }
}

test('aggregators that are killed and connections that break cost applications nothing and double nothing', {
  timeout: 120_000,
}, async () => {
  const random = randomFrom(chooseSeed())
  let proxy: FaultyProxy | undefined
  const setup = await start(async (port) => {
    proxy = await FaultyProxy.listen(() => port)
    return proxy.port
  })
  await using pipeline = setup.pipeline
  await using faulty = proxy!
  for (let kills = 0; kills < 4; kills++) {
    await sleep(500 + random(1000))
    faulty.loseAcks(true)
    await sleep(random(300))
    faulty.loseAcks(false)
    await sleep(random(500))
    await pipeline.aggregator.kill()
    if (random(2) === 0) await sleep(random(1500))
    pipeline.aggregator.start()
  }
  await pipeline.ready()
  const { totals, audit } = await conclude(setup, 'aggregator killed', { kills: 4 })
  expect(totals).toMatchObject({ missing: 0, doubled: 0, foreign: 0 })
  expect(totals.expected).toBeGreaterThan(5000)
  expect(audit).toMatchObject({ ok: true, caughtUp: true, totals: { missingBytes: 0, lostBytes: 0 } })
  expect(pipeline.collector.unexpectedExits).toBe(0)
})

test('a collector that is killed costs applications nothing; only what it had not answered may be there twice', {
  timeout: 120_000,
}, async () => {
  const random = randomFrom(chooseSeed())
  const setup = await start()
  await using pipeline = setup.pipeline
  let unanswered = 0
  for (let kills = 0; kills < 3; kills++) {
    await sleep(500 + random(1500))
    unanswered += setup.applications.reduce((sum, { unacked }) => sum + unacked, 0)
    await pipeline.collector.kill()
    await sleep(random(500))
    pipeline.collector.start()
  }
  const { totals, audit } = await conclude(setup, 'collector killed', { unanswered })
  expect(totals).toMatchObject({ missing: 0, foreign: 0 })
  // Between the count and the kill there may be a few more messages.
  expect(totals.doubled).toBeLessThanOrEqual(unanswered + modes.length * 200)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
})
