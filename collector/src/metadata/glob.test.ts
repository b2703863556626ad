import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileGlob, compileGlobs } from './glob.ts'

test.for([
  { pattern: 'web', matching: ['web'], others: ['', 'we', 'webs', 'Web'] },
  { pattern: '*', matching: ['', 'a', 'a/b'], others: [] },
  { pattern: 'kube-*', matching: ['kube-', 'kube-system'], others: ['kube', 'my-kube-system'] },
  { pattern: '*-canary', matching: ['web-canary', '-canary'], others: ['canary', 'web-canary-2'] },
  { pattern: 'a*b*c', matching: ['abc', 'aXbXbXc', 'abcbc'], others: ['ab', 'acb'] },
  { pattern: 'job-?', matching: ['job-1'], others: ['job-', 'job-12'] },
  { pattern: 'app.kubernetes.io/*', matching: ['app.kubernetes.io/name'], others: ['appXkubernetes.io/name'] },
])('$pattern', ({ pattern, matching, others }) => {
  const matches = compileGlob(pattern)
  for (const name of matching) expect(matches(name), name).toBe(true)
  for (const name of others) expect(matches(name), name).toBe(false)
})

test('agrees with the same pattern as an expression', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 })
  const names = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 })
  let matched = 0
  fc.assert(
    fc.property(letters, names, (pattern, name) => {
      const reference = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      const matches = compileGlob(pattern)(name)
      if (matches) matched++
      expect(matches).toBe(reference.test(name))
    }),
    { numRuns: 3000 },
  )
  expect(matched).toBeGreaterThan(100)
})

test('a pattern with many stars stays cheap', () => {
  const matches = compileGlob(`${'*a'.repeat(30)}*b`)
  const started = performance.now()
  expect(matches('a'.repeat(2000))).toBe(false)
  expect(performance.now() - started).toBeLessThan(1000)
})

test('a list matches what any of its patterns does, an empty one nothing', () => {
  expect(compileGlobs(['team', 'env-*'])('env-x')).toBe(true)
  expect(compileGlobs([])('team')).toBe(false)
})
