import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeAttributes, RecordScanner, writeRecordHead } from '@tributary/protocol/records.ts'
import { afterAll, expect, test } from 'vitest'
import { usualPolicy } from '../metadata/log-policy.ts'
import { FilterChain } from './chain.ts'
import { filtersConfig } from './config.ts'
import { loadModule } from './module-loader.ts'
import type { FilteredRecords } from './stream-filter.ts'
import type { Tally } from './tally.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-module-'))
afterAll(() => rmSync(directory, { recursive: true }))

let written = 0

async function chainWith(source: string, name = 'filter.ts', onTally: (tally: Tally) => void = () => undefined) {
  const path = join(directory, name)
  writeFileSync(path, source)
  utimesSync(path, 0, ++written)
  const config = { filters: filtersConfig.parse([{ module: `./${name}` }]), parsers: {} }
  return await FilterChain.create({ config, file: join(directory, 'collector.yaml'), onTally })
}

async function run(source: string, lines: readonly Buffer[]) {
  const tallies: Tally[] = []
  const chain = await chainWith(source, 'filter.ts', (tally) => tallies.push(structuredClone(tally)))
  const out = Buffer.alloc(4096)
  let at = 0
  for (const [i, line] of lines.entries()) {
    at = writeRecordHead(out, at, 1, 2, i * 10, line.length, 1, 0, true)
    at += line.copy(out, at)
  }
  const stream = { labels: { pod: 'api-1' }, metadata: { team: 'blue' } }
  const result = chain
    .forStream(stream, usualPolicy)!
    .apply(out.subarray(0, at), lines.length, [0, 100]) as FilteredRecords
  const scanner = new RecordScanner(result.records)
  const kept: { line: Buffer; attributes: Record<string, string> }[] = []
  while (scanner.next()) {
    const line = Buffer.from(result.records.subarray(scanner.lineStart, scanner.lineEnd))
    kept.push({ line, attributes: decodeAttributes(result.records, scanner.attributesStart, scanner.attributesEnd) })
  }
  return { kept, tallies, leftOut: result.leftOut }
}

const header =
  "import type { FilterModule } from '@tributary/collector/filter/module.ts'\nconst filter: FilterModule = "

test('a module changes lines and attributes, and drops', async () => {
  const source = `${header}(record, { labels, metadata }) => {
    if (record.line === 'drop') return null
    if (record.line === 'same') return record
    record.line = \`\${record.line} \${record.stream} \${record.time} \${record.offset}\`
    record.attributes['of'] = labels['pod'] + metadata['team']
    return record
  }
  export default filter`
  const { kept, leftOut } = await run(source, [Buffer.from('a'), Buffer.from('drop'), Buffer.from('same')])
  expect(kept.map(({ line, attributes }) => [line.toString(), attributes])).toEqual([
    ['a stderr 1000000002 0', { of: 'api-1blue' }],
    ['same', {}],
  ])
  expect(leftOut).toEqual({ dropped: 10 })
})

test('bytes that are not UTF-8 stay unless the line is changed', async () => {
  const line = Buffer.from([0xff, 0x61])
  const { kept } = await run(`${header}(record) => ({ ...record, attributes: { a: 'b' } })\nexport default filter`, [
    line,
  ])
  expect(kept).toEqual([{ line, attributes: { a: 'b' } }])
})

test.for([
  ["() => { throw new Error('no') }", 'no'],
  ["() => { throw 'a text' }", 'a text'],
  ['async (record) => record', 'no promise'],
  ['() => undefined', 'returns the record or null'],
  ['() => ({})', 'has no line'],
  ["(record) => ({ ...record, attributes: { log: 'x' } })", 'no attribute may have the name "log"'],
  ['(record) => ({ ...record, attributes: { a: 1 } })', 'a is not a string'],
  ["(record, stream) => { stream.labels.pod = 'x'; return record }", 'read only'],
])('a record that %s is tried on is kept and counted', async ([source, message]) => {
  const { kept, tallies } = await run(`export default ${source}`, [Buffer.from('a')])
  expect(kept).toEqual([{ line: Buffer.from('a'), attributes: {} }])
  expect(tallies[0]!.moduleErrors).toBe(1)
  expect(tallies[0]!.moduleError).toContain(message)
})

test('a module that can not be loaded is an error that names it', async () => {
  await expect(chainWith('export default 1', 'one.ts')).rejects.toThrow(/filters\.0\.module: .*one\.ts has no function/)
  await expect(chainWith('export default (', 'broken.ts')).rejects.toThrow(
    /filters\.0\.module: .*broken\.ts can not be loaded/,
  )
  const config = { filters: filtersConfig.parse([{ module: './none.ts' }]), parsers: {} }
  const chain = FilterChain.create({ config, file: join(directory, 'c.yaml'), onTally: () => undefined })
  await expect(chain).rejects.toThrow(/none\.ts can not be loaded/)
})

test("a ConfigMap's new version of a module is loaded, with what it imports", async () => {
  const mount = mkdtempSync(join(directory, 'mount-'))
  const load = async (version: string) => {
    mkdirSync(join(mount, `..${version}`))
    writeFileSync(
      join(mount, `..${version}`, 'filter.ts'),
      "import { word } from './word.ts'\nexport default () => word",
    )
    writeFileSync(join(mount, `..${version}`, 'word.ts'), `export const word = '${version}'`)
    symlinkSync(`..${version}`, join(mount, '..data_tmp'))
    renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
    const module = await loadModule(join(mount, 'collector.yaml'), 'filters.0.module', './filter.ts')
    rmSync(join(mount, `..${version}`), { recursive: true })
    return (module as unknown as () => string)()
  }
  symlinkSync('..data/filter.ts', join(mount, 'filter.ts'))
  expect(await load('one')).toBe('one')
  expect(await load('two')).toBe('two')
})
