import { expect, test } from 'vitest'
import { killAndCompare } from './kills.ts'
import { chooseSeed, isSound, wholeVerdict } from './run.ts'

// Half of the logs are compressed as the kubelet does it, the others at once. 32 KiB are about 200 ms of writing here.
const load = { containers: 25, rate: 20_000, duration: 10_000, rotateBytes: 32 * 1024, partial: 2, pieceBytes: 120 }

test('nothing is missing, doubled, damaged or out of order after every process was killed at random', {
  timeout: 180_000,
}, async () => {
  const { verdicts, audit } = await killAndCompare({
    name: 'kills',
    seed: chooseSeed(),
    loads: [
      { ...load, namespace: 'kubelet', rotation: 'kubelet' },
      { ...load, namespace: 'gzip', rotation: 'gzip' },
    ],
    kills: 20,
    everyMs: 500,
    settleMs: 60_000,
  })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, caughtUp: true, totals: { missingBytes: 0, lostBytes: 0, filteredBytes: 0 } })
  expect(isSound(verdicts, audit)).toBe(true)
})
