import { execFileSync } from 'node:child_process'
import type { Logger } from 'pino'
import { expect, test, vi } from 'vitest'
import { releaseCode, unwrittenCode } from './resident-code.ts'

const binary = '/usr/bin/node'

function mapping(range: string, access: string, offset: string, path = binary, anonymous = 0): string {
  return `${range} ${access} ${offset} fe:00 5505069    ${path}\nSize:  4 kB\nRss:   4 kB\nAnonymous:  ${anonymous} kB\nVmFlags: rd\n`
}

const head = mapping('00400000-00746000', 'r--p', '00000000')
const code = mapping('0074a000-03044000', 'r-xp', '0034a000')
const both = [
  { start: 0x400000n, end: 0x746000n },
  { start: 0x74a000n, end: 0x3044000n },
]

test.for<[name: string, smaps: string, expected: readonly unknown[]]>([
  ['what is only read and what is run', head + code, both],
  [
    'a binary that is loaded anywhere',
    mapping('55d0c0400000-55d0c0746000', 'r--p', '00000000'),
    [{ start: 0x55d0c0400000n, end: 0x55d0c0746000n }],
  ],
  ['not what can be written', head + code + mapping('06b56000-06b7d000', 'rw-p', '06755000'), both],
  [
    'nor what was, before it could only be read',
    head + code + mapping('06b52000-06b56000', 'r--p', '06751000', binary, 8),
    both,
  ],
  ['nor the code that V8 maps once more', head + code + mapping('7f9325d80000-7f9325f85000', 'r-xp', '01627000'), both],
  ['nor what begins nowhere', code, []],
  [
    'nor other files',
    head + code + mapping('7f9325d80000-7f9325f85000', 'r-xp', '00000000', '/usr/lib/libc.so.6'),
    both,
  ],
  ['nor memory without a file', `${head}7ffd0000-7ffd1000 rw-p 00000000 00:00 0 \nAnonymous: 0 kB\n${code}`, both],
  ['nor a binary that was replaced', mapping('00400000-00746000', 'r--p', '00000000', `${binary} (deleted)`), []],
  ['nothing at all', '', []],
])('%s', ([, smaps, expected]) => {
  expect(unwrittenCode(smaps, binary)).toEqual(expected)
})

/** Lets go of the code thirty times, while threads start, work and end, and what they make is looked at. */
const work = `
import { Worker } from 'node:worker_threads'
import { createHash } from 'node:crypto'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { releaseCode, residentFileKiB } from '${new URL('resident-code.ts', import.meta.url)}'

const thread = "import { createHash } from 'node:crypto'; import { parentPort } from 'node:worker_threads';"
  + " let text = ''; for (let i = 0; i < 2e5; i++) text += i % 7;"
  + " parentPort.postMessage(createHash('sha1').update(text).digest('hex'))"
let text = ''
for (let i = 0; i < 2e5; i++) text += i % 7
const expected = createHash('sha1').update(text).digest('hex')
const before = residentFileKiB()
let least = before
let wrong = 0
for (let i = 0; i < 30; i++) {
  const answers = [1, 2].map(() => new Promise((resolve) => new Worker(new URL('data:text/javascript,' + encodeURIComponent(thread))).on('message', resolve)))
  await releaseCode()
  least = Math.min(least, residentFileKiB())
  if (zstdDecompressSync(zstdCompressSync(text)).toString() !== text) wrong++
  if (new Function('n', 'let sum = 0; for (let i = 0; i < n; i++) sum += i % ' + (i + 2) + '; return sum')(1e5) === 0) wrong++
  await releaseCode()
  for (const answer of await Promise.all(answers)) if (answer !== expected) wrong++
}
console.log(JSON.stringify({ before, least, wrong }))
`

const linux = process.platform === 'linux'

test.skipIf(!linux)('code is let go of while threads come, work and end, and all goes on', { timeout: 60_000 }, () => {
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', work], { encoding: 'utf8' })
  const { before, least, wrong } = JSON.parse(said)
  expect(wrong).toBe(0)
  expect(least).toBeLessThan(before / 2)
})

test.skipIf(!linux)('what calls the C library is made once: each keeps 8 KiB for good', async () => {
  const func = vi.fn(() => () => 0)
  vi.doMock('koffi', () => ({ load: () => ({ func }) }))
  try {
    await releaseCode()
    await releaseCode()
    expect(func).toHaveBeenCalledTimes(1)
  } finally {
    vi.doUnmock('koffi')
  }
})

test.skipIf(!linux)('a process that can not look at itself keeps its code, says why once, and goes on', async () => {
  vi.useFakeTimers()
  vi.resetModules()
  vi.doMock('node:fs', () => ({
    readFileSync() {
      throw new Error('EMFILE: too many open files')
    },
  }))
  const debug = vi.fn()
  const stop = new AbortController()
  try {
    const { keepCodeSmall } = await import('./resident-code.ts')
    keepCodeSmall({ debug } as unknown as Logger, stop.signal)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(debug.mock.calls).toEqual([[{ reason: 'EMFILE: too many open files' }, expect.stringContaining('stay')]])
  } finally {
    stop.abort()
    vi.doUnmock('node:fs')
    vi.useRealTimers()
  }
})
