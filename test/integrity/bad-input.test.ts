import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { metric } from 'tributary/status-line.ts'
import { expect, test } from 'vitest'
import { Pipeline, until } from '../harness/processes.ts'
import { randomFrom } from '../harness/random.ts'
import { readLines } from '../harness/read-back.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

const longLine = 100 * 1024 * 1024

/** Everything that should not be in a log directory, between what should. Plain files unless said otherwise. */
function makeMess(directory: string, seed: number): void {
  const random = randomFrom(seed)
  const file = (name: string, content: string | Uint8Array) => writeFileSync(join(directory, name), content)
  file('garbage.log', Buffer.from(Array.from({ length: 300_000 }, () => random(256))))
  file('nul.log', 'before\n\0\0\0\nin\0side\nafter\n')
  file('latin1.log', Buffer.from('first\ngr\xfc\xdfe\nlast\n', 'latin1'))
  file('empty.log', '')
  file('half.log', 'whole\nhalf')
  file('blank.log', '\n\n\r\nend\n')
  file('.hidden.log', 'hidden\n')
  mkdirSync(join(directory, 'directory.log'))
  symlinkSync(join(directory, 'nowhere'), join(directory, 'dangling.log'))
  symlinkSync('loop.log', join(directory, 'loop.log'))
  execFileSync('mkfifo', [join(directory, 'fifo.log')])
  file('long.log', 'before\n')
  for (let left = longLine; left > 0; left -= 1 << 20)
    appendFileSync(join(directory, 'long.log'), Buffer.alloc(1 << 20, 'x'))
  appendFileSync(join(directory, 'long.log'), '\nafter\n')
}

/** A container whose runtime writes nonsense between good lines. */
function makeBrokenCri(root: string): void {
  const directory = join(root, 'pods', 'bad_broken_11111111-2222', 'app')
  mkdirSync(directory, { recursive: true })
  const now = new Date().toISOString().slice(0, 19)
  const lines = [
    `${now}.000000001Z stdout F good 1`,
    'stdout F no time at all',
    '2026-13-45T99:99:99.000000000Z stdout F no such time',
    `${now}.000000002Z stdlog F no such stream`,
    `${now}.000000003Z stdout X no such tag`,
    `${now}Z stderr F good 2`,
    '',
    `${now}.000000005Z stdout F`,
    `${now}.000000006+00:00 stdout F good 3`,
    `${now}.000000007Z stdout F good 4`,
  ]
  writeFileSync(join(directory, '0.log'), `${lines.join('\n')}\n`)
  symlinkSync(join(directory, '0.log'), join(root, 'containers', `broken_bad_app-${'a'.repeat(64)}.log`))
}

test('bad input disturbs nothing else: what is good around it arrives, and what is wrong is counted', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.create()
  const directory = join(pipeline.logs, 'containers')
  makeMess(directory, seed)
  makeBrokenCri(pipeline.logs)
  pipeline.aggregator.start()
  pipeline.collector.start()
  const load = { containers: 5, rate: 10_000, duration: 2000, rotateBytes: 64 * 1024, partial: 2, pieceBytes: 120 }
  const writer = new Writer(pipeline, { ...load, seed, namespace: 'good' })
  const truth = await writer.truth()
  await pipeline.ready()
  const linesOf = async (selector: string) => {
    const lines: string[] = []
    for await (const [, line] of readLines(pipeline.url, selector)) lines.push(line)
    return lines
  }
  const fileLines = (name: string) => linesOf(`{filename="${join(directory, name)}"}`)
  const arrived = (name: string, line: string) =>
    until(
      async () => (await fileLines(name)).includes(line),
      60_000,
      () => `${name} without "${line}":\n${pipeline.collector.output}`,
      300,
    )

  await arrived('long.log', 'after')
  const long = await fileLines('long.log')
  expect(long.map(({ length }) => length).reduce((a, b) => a + b)).toBe(longLine + 'before'.length + 'after'.length)
  expect(Math.max(...long.map(({ length }) => length))).toBeLessThanOrEqual(256 * 1024)
  await arrived('nul.log', 'after')
  expect(await fileLines('nul.log')).toEqual(['before', '\0\0\0', 'in\0side', 'after'])
  await arrived('latin1.log', 'last')
  expect(await fileLines('latin1.log')).toEqual(['first', expect.stringMatching(/^gr\ufffd+e$/), 'last'])
  await arrived('half.log', 'whole')
  expect(await fileLines('half.log')).toEqual(['whole'])
  await arrived('blank.log', 'end')

  const broken = '{namespace="bad", pod="broken"}'
  await until(
    async () => (await linesOf(broken)).includes('good 4'),
    30_000,
    () => 'the broken CRI file has no end',
  )
  const lines = await linesOf(broken)
  for (const good of ['good 1', 'good 2', 'good 3', 'good 4', 'stdout F no time at all']) expect(lines).toContain(good)

  const { verdicts, audit } = await conclude(pipeline, [truth], { name: 'bad input', seed })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
  const page = await pipeline.metrics('collector')
  for (const reason of ['directory', 'dangling_link', 'not_a_file', 'loop'])
    expect(page).toMatch(new RegExp(`collector_input_problems_total\\{reason="${reason}"\\} [1-9]`))
  expect(metric(page, 'collector_malformed_lines_total')).toBeGreaterThanOrEqual(5)
  expect(metric(page, 'collector_truncated_records_total')).toBeGreaterThanOrEqual(400)
  expect(pipeline.collector.unexpectedExits + pipeline.aggregator.unexpectedExits).toBe(0)
  expect((await fetch(`http://127.0.0.1:${pipeline.collectorPort}/healthz`)).status).toBe(200)
})
