/** Loki itself and the aggregator get the same entries and the same requests. CI builds Loki (.ci/logcli); elsewhere this is skipped where there is none in PATH and LOKI names none. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { program } from '../harness/programs.ts'
import { ask, difference, type Request } from './loki/compare.ts'
import { differences } from './loki/differences.ts'
import { afterPushes, pushes } from './loki/pushes.ts'
import { queries } from './loki/queries.ts'
import { requests } from './loki/requests.ts'
import { Pair } from './loki/server.ts'

const loki = program('loki', 'LOKI', 'required')

/** Requests at a time. */
const atOnce = 4

const groups: Readonly<Record<string, readonly Request[]>> = { ...queries, ...requests }

/** What differs of a group is what is said to differ. */
function check(group: string, all: readonly Request[], found: ReadonlyMap<string, string>): void {
  const names = new Set(all.map(({ name }) => name))
  expect(names.size, 'names are different').toBe(all.length)
  const listed = differences.flatMap(({ cases }) => cases[group] ?? [])
  const unlisted = [...found].filter(([name]) => !listed.includes(name))
  expect(unlisted.map(([name, said]) => `${name}\n    ${said}`).join('\n'), 'differs, and is not listed').toBe('')
  expect(
    listed.filter((name) => !found.has(name)),
    'listed, and does not differ',
  ).toEqual([])
}

describe.skipIf(loki === undefined)('Loki', { timeout: 240_000 }, () => {
  let pair: Pair
  beforeAll(async () => {
    pair = await Pair.start(loki!)
  }, 120_000)
  afterAll(() => pair?.[Symbol.asyncDispose]())

  async function different(all: readonly Request[], workers = atOnce): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    const waiting = all.values()
    const work = async () => {
      for (const request of waiting) {
        const [theirs, ours] = await Promise.all([ask(pair.loki, request), ask(pair.ours, request)])
        const said = difference(theirs, ours)
        if (said !== undefined) found.set(request.name, said)
      }
    }
    await Promise.all(Array.from({ length: workers }, work))
    return found
  }

  test.for(Object.entries(groups))('%s', async ([group, all]) => check(group, all, await different(all)))

  test('pushes', async () => {
    // One after the other, as each can stand in the way of the next.
    const found = await different(pushes, 1)
    await pair.settled()
    for (const [name, said] of await different(afterPushes)) found.set(name, said)
    check('pushes', [...pushes, ...afterPushes], found)
  })

  test('what is listed is asked', () => {
    const known = new Set([...Object.keys(groups), 'pushes'])
    expect(differences.flatMap(({ cases }) => Object.keys(cases)).filter((group) => !known.has(group))).toEqual([])
    for (const { reason, cases } of differences) expect(Object.values(cases).flat(), reason).not.toEqual([])
  })
})
