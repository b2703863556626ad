import { expect, test } from 'vitest'
import { chooseSeed, conclude, type Outcome, progress, Writer, wholeVerdict } from './run.ts'
import { type Moment, moments, Pair } from './takeover.ts'

const load = { namespace: 'takeover', containers: 6, rate: 600, rotateBytes: 256 * 1024, partial: 2 } as const
/** Each moment with each kind of acknowledgement, and more than once: `npm run test:several`. */
const long = process.env['LONG'] !== undefined
const everyMoment = Object.keys(moments) as Moment[]

function expectWhole({ verdicts, audit }: Outcome): void {
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0, filteredBytes: 0 } })
  expect(audit.totals.storedBytes).toBe(audit.totals.seenBytes)
}

test.for<{ ack: 'wal' | 'stored'; returns: string; short: Moment[] }>([
  {
    ack: 'wal',
    returns: 'with their volumes',
    short: ['while rows are inserted', 'before the block is settled'],
  },
  {
    ack: 'stored',
    returns: 'without their volumes',
    short: ['before the claim is answered', 'after rows were inserted'],
  },
])(
  "ack: $ack: aggregators that are killed on a block's way return $returns: nothing missing, nothing doubled",
  { timeout: long ? 900_000 : 400_000 },
  async ({ ack, short }) => {
    const seed = chooseSeed()
    const tell = progress(seed)
    await using pair = await Pair.start({ ack })
    await using writer = new Writer(pair.pipeline, { ...load, seed, duration: 900_000 })
    const chosen = long ? [...everyMoment, ...everyMoment.toReversed()] : short
    for (const [i, moment] of chosen.entries()) {
      const [victim, other] = i % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const)
      const claim = await pair.killAt(victim, moment)
      // It is away until the other one has taken over what it left, or comes back at once.
      if (claim !== undefined) expect(await pair.resolution(other, claim), moment).toBe(moments[moment])
      if (ack === 'stored') pair.loseVolume(victim)
      pair.start(victim)
      await pair.ready()
      tell(`${victim} was killed ${moment}`)
    }
    const truth = await writer.finish()
    const events = { 'kills of aggregators': chosen.length }
    expectWhole(await conclude(pair.pipeline, [truth], { name: `takeover, ack ${ack}`, seed, events }, 180_000))
  },
)

test('one after another is told to stop and started again: each empties its write-ahead log, nothing is lost or doubled', {
  timeout: 300_000,
}, async () => {
  const seed = chooseSeed()
  await using pair = await Pair.start({})
  await using writer = new Writer(pair.pipeline, { ...load, namespace: 'rolling', seed, duration: 900_000 })
  for (const name of ['a', 'b'] as const) {
    expect(await pair.stop(name), pair.output(name)).toBe(0)
    expect(pair.output(name)).toContain('"behindBytes":0,"msg":"the aggregator is closed"')
    pair.start(name)
    await pair.ready()
  }
  // Down to one, for good.
  expect(await pair.stop('b'), pair.output('b')).toBe(0)
  expectWhole(await conclude(pair.pipeline, [await writer.finish()], { name: 'rolling restart', seed }, 180_000))
})
