/**
 * Several aggregators and collectors over a shared ledger, with deaths before and after every request to the store, answers that never come,
 * requests that come late, chunks sent to several aggregators, collectors that begin anew and group records otherwise: no byte is stored twice,
 * no record torn, and none missing that the acknowledgement promised.
 */
import { afterAll, expect, test } from 'vitest'
import { type History, type Kind, simulate } from './run.ts'

/** Histories of each kind; RUNS=10000 looks further, and SEED says where it begins. */
const runs = Number(process.env['RUNS'] ?? 30)
const firstSeed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
/** The same each time: whatever may happen happens in them. */
const familiar = [...Array(30).keys()]

const kinds: readonly Kind[] = [
  { ack: 'wal', losesVolumes: false },
  { ack: 'wal', losesVolumes: true },
  { ack: 'stored', losesVolumes: true },
]

const reached = new Map<string, number>()

/** Of what goes wrong the whole history is told. */
async function expectSound(kind: Kind, seed: number): Promise<History> {
  const history = await simulate(kind, seed)
  if (history.problem === undefined) return history
  const { trace } = await simulate(kind, seed, 'traced')
  throw new Error([`${history.problem}; SEED=${seed} RUNS=1 repeats it:`, ...trace].join('\n'))
}

test.for(kinds)(
  'ack: $ack, volumes lost: $losesVolumes: all that was promised is stored, once and whole',
  { timeout: 60_000 + runs * 1000 },
  async (kind) => {
    for (const seed of familiar) {
      const { happened } = await expectSound(kind, seed)
      for (const [what, count] of happened) reached.set(what, (reached.get(what) ?? 0) + count)
    }
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) await expectSound(kind, seed)
  },
)

test('the same seed gives the same history, to the last entry', async () => {
  for (const kind of kinds) {
    const [once, again] = [await simulate(kind, firstSeed, 'traced'), await simulate(kind, firstSeed, 'traced')]
    expect(once.trace.length).toBeGreaterThan(20)
    expect(again).toEqual(once)
    expect((await simulate(kind, firstSeed + 1, 'traced')).trace).not.toEqual(once.trace)
  }
})

afterAll(() => {
  const hard = [
    ...['conflict', 'sent again', 'void', 'void in part', 'resolved as stored', 'claimed anew', 'finished later'],
    ...[
      'snapshot',
      'volume lost',
      'left empty',
      'late: append',
      'late: insert',
      'unanswered: insert',
      'unanswered: append',
    ],
    ...['append', 'insert', 'decide'].flatMap((what) => [`dies before: ${what}`, `dies after: ${what}`]),
  ]
  const never = hard.filter((what) => !reached.has(what))
  expect(never, JSON.stringify(Object.fromEntries(reached))).toEqual([])
})
