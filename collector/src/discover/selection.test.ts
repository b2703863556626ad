import { expect, test } from 'vitest'
import { z } from 'zod'
import { selectBy, selectionConfig } from './selection.ts'

const web = { namespace: 'shop', pod: 'web-1', uid: 'u', container: 'nginx' }
const system = { namespace: 'kube-system', pod: 'dns-1', uid: 'v', container: 'dns' }

test.for([
  { what: 'nothing configured', read: [web, system] },
  { what: 'a namespace excluded', exclude: [{ namespace: 'kube-*' }], read: [web], excluded: [[system, 'exclude[0]']] },
  {
    what: 'only a namespace included',
    include: [{ namespace: 'shop' }],
    read: [web],
    excluded: [[system, 'include']],
  },
  {
    what: 'included and excluded: excluded',
    include: [{ namespace: 'shop' }],
    exclude: [{ pod: 'x' }, { container: 'ngin?' }],
    read: [],
    excluded: [
      [web, 'exclude[1]'],
      [system, 'include'],
    ],
  },
  {
    what: 'a rule whose keys do not all match',
    exclude: [{ namespace: 'shop', pod: 'api-*' }],
    read: [web],
  },
] as const)('$what', ({ read, ...rest }) => {
  const {
    include = [],
    exclude = [],
    excluded = [],
  } = rest as never as {
    include?: []
    exclude?: []
    excluded?: [typeof web, string][]
  }
  const select = selectBy({ include, exclude })
  for (const identity of read) expect(select(identity, undefined).verdict).toBe('read')
  for (const [identity, by] of excluded)
    expect(select(identity, undefined)).toEqual({ verdict: 'excluded', by: `logs.${by}` })
})

test('a rule by label waits for the labels, unless they can not matter', () => {
  const select = selectBy({
    include: [{ namespace: 'shop' }],
    exclude: [{ labels: { tier: 'debug*', team: 'red' } }],
  })
  expect(select(web, undefined)).toEqual({ verdict: 'undecided', by: 'logs.exclude[0]' })
  expect(select(web, {}).verdict).toBe('read')
  expect(select(web, { tier: 'debug-2' }).verdict).toBe('read')
  expect(select(web, { tier: 'debug-2', team: 'red' })).toEqual({ verdict: 'excluded', by: 'logs.exclude[0]' })
  // No include rule matches whatever its labels say.
  expect(select(system, undefined)).toEqual({ verdict: 'excluded', by: 'logs.include' })
})

test('an include rule by label', () => {
  const select = selectBy({ include: [{ labels: { logs: 'yes' } }], exclude: [] })
  expect(select(web, undefined)).toEqual({ verdict: 'undecided', by: 'logs.include[0]' })
  expect(select(web, { logs: 'yes' })).toEqual({ verdict: 'read', by: 'logs.include[0]' })
  expect(select(web, { logs: 'no' })).toEqual({ verdict: 'excluded', by: 'logs.include' })
})

test('an exclude rule that matches by name decides without waiting for another by label', () => {
  const select = selectBy({ include: [], exclude: [{ labels: { a: 'b' } }, { namespace: 'shop' }] })
  expect(select(web, undefined)).toEqual({ verdict: 'excluded', by: 'logs.exclude[1]' })
})

test('the configuration: a rule without a key, and an unknown key, are errors', () => {
  const section = z.strictObject(selectionConfig)
  expect(section.parse({})).toEqual({ include: [], exclude: [] })
  expect(section.safeParse({ exclude: [{}] }).error?.issues[0]?.message).toContain('would match every log')
  expect(section.safeParse({ exclude: [{ labels: {} }] }).success).toBe(false)
  expect(section.safeParse({ exclude: [{ namespaces: 'x' }] }).success).toBe(false)
})
