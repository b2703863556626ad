import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { judge, runVerify } from './verify.ts'

const labels = { namespace: 'logs', pod: 'test', pod_uid: 'u1' }
const expected = new Map(Object.entries(labels))
const entry = (number: number, more: Record<string, string> = {}) => ({
  timestamp: String(number),
  labels: { ...labels, ...more },
  line: `tributary verify run=r1 line=${number}`,
})

test.for([
  { when: 'all are there', entries: [entry(1), entry(2)], found: { missing: 0, doubled: 0, problems: [] } },
  { when: 'one is missing', entries: [entry(2)], found: { missing: 1, doubled: 0, problems: [] } },
  {
    when: 'one is there twice',
    entries: [entry(1), entry(2), entry(2)],
    found: { missing: 0, doubled: 1, problems: [] },
  },
  {
    when: 'metadata is another, or not there',
    entries: [entry(1, { pod_uid: 'u2' }), { ...entry(2), labels: { namespace: 'logs', pod: 'test' } }],
    found: {
      missing: 0,
      doubled: 0,
      problems: ['pod_uid is u2, and should be u1', 'pod_uid is not there, and should be u1'],
    },
  },
  {
    when: 'a line is torn',
    entries: [entry(1), { ...entry(2), line: 'tributary verify run=r1 li' }],
    found: { missing: 1, doubled: 0, problems: ['a line was changed: tributary verify run=r1 li'] },
  },
  {
    when: 'there are lines of another run',
    entries: [entry(1), entry(2), { ...entry(2), line: 'tributary verify run=r0 line=2' }],
    found: { missing: 0, doubled: 0, problems: [] },
  },
])('$when: $found', ({ entries, found }) => {
  expect(judge(entries, 'r1', 2, expected)).toEqual(found)
})

let server: Server | undefined
afterEach(() => server?.close())

/** An aggregator that answers queries with what `made` makes of the lines that were written. */
async function verify(made: (lines: readonly string[]) => readonly string[], timeout = '20s') {
  const printed: string[] = []
  const queries: string[] = []
  const one = createServer((request, response) => {
    queries.push(new URL(request.url!, 'http://x').searchParams.get('query')!)
    const values = made(printed).map((line, i) => [String(i + 1), line])
    response.end(JSON.stringify({ data: { resultType: 'streams', result: [{ stream: labels, values }] } }))
  })
  server = one
  await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))
  const addr = `http://127.0.0.1:${(one.address() as AddressInfo).port}`
  const expect = Object.entries(labels).map((pair) => pair.join('='))
  const options = { addr, lines: 3, timeout, settle: '10ms', expect }
  const ok = await runVerify(options, (line) => printed.push(line))
  return { ok, said: printed.slice(3), queries }
}

test('lines are looked for by their labels, and what comes late is waited for', async () => {
  let asked = 0
  const { ok, said, queries } = await verify((lines) => (asked++ === 0 ? lines.slice(0, 1) : lines.slice(0, 3)))
  expect({ ok, said }).toEqual({
    ok: true,
    said: ['3 of 3 lines found, each once, with 3 labels and metadata as expected.'],
  })
  expect(queries[0]).toMatch(/^\{namespace="logs", pod="test"\} \|= "run=[0-9a-f]{16} line="$/)
})

test('a double that comes after all were found is found too', async () => {
  let asked = 0
  const { ok, said } = await verify((lines) => (asked++ === 0 ? lines.slice(0, 3) : [...lines.slice(0, 3), lines[0]!]))
  expect({ ok, said }).toEqual({ ok: false, said: ['1 of 3 lines are there more than once.'] })
})

test('what does not come in time is told, with what to do next', async () => {
  const { ok, said } = await verify((lines) => lines.slice(0, 2), '10ms')
  expect(ok).toBe(false)
  expect(said).toEqual([expect.stringMatching(/^1 of 3 lines were not found within 10ms\. Ask .*tributary why/)])
})

test('an aggregator that is not there is told', async () => {
  const options = { addr: 'http://127.0.0.1:1', lines: 1, timeout: '10ms', settle: '0', expect: [] }
  await expect(runVerify(options, () => {})).rejects.toThrow('does not answer')
})

test.for([
  [{ timeout: 'soon' }, '--timeout: "soon" is not a duration'],
  [{ expect: ['pod'] }, '--expect: "pod" is no name=value'],
] as const)('%j is wrong usage', async ([wrong, message]) => {
  const options = { addr: 'http://127.0.0.1:1', lines: 1, timeout: '1s', settle: '0', expect: [], ...wrong }
  await expect(runVerify(options, () => {})).rejects.toThrow(message)
})
