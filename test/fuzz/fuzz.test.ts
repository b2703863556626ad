import { expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'
import { targets } from './targets.ts'

/** Long enough for some thousand inputs each; `npm run test:fuzz -- --seconds N` takes longer. */
const seconds = 0.7

test.for(targets)('$name give a result or a typed error', { timeout: 30_000 }, async (target) => {
  const { failure, results, errors } = await fuzz(target, seconds)
  expect(failure).toBeUndefined()
  // Both sides of each decoder were reached.
  expect(results).toBeGreaterThan(0)
  if (target.errors.length > 0 && !rarelyWrong.includes(target.name)) expect(errors).toBeGreaterThan(0)
})

/** What is damaged there is a result: it is told as damage, or as a time that is none. */
const rarelyWrong = ['heads of the write-ahead log', 'segments of the write-ahead log', 'snapshots of the ledger']

test('an error of another type, and a decoder that does not come back, are found', async () => {
  const target = targets.find(({ name }) => name === 'LogQL')!
  const bad = {
    ...target,
    run: (text: unknown) => Number(text) > 0 || ([] as object[])[(text as string).length]!.toString(),
  }
  expect((await fuzz(bad, 1, 1)).failure).toContain('TypeError')
})
