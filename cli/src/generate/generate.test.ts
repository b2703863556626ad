import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkText } from './content.ts'
import { type GenerateOptions, generate, generateDefaults } from './generate.ts'
import { rotationKinds } from './rotation.ts'
import { decodeTruth, encodeTruth, type GenerationTruth, sourceOf, totals } from './truth.ts'

let out: string
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'tributary-generate-'))
})
afterEach(() => rmSync(out, { recursive: true, force: true }))

const run = (options: Partial<GenerateOptions>) =>
  generate({
    ...generateDefaults,
    out,
    rate: 0,
    containers: 3,
    maxLines: 6000,
    rotateBytes: 64 * 1024,
    gapMs: 0,
    ...options,
  })

test.for(['cri', 'docker'] as const)('a directory told relative to where one is works as well (%s)', async (format) => {
  await run({ out: relative(process.cwd(), out), format, rotateBytes: 0 })
  const containers = join(out, 'containers')
  for (const name of readdirSync(containers)) expect(readFileSync(join(containers, name)).length).toBeGreaterThan(0)
})

function contentOf({ path }: GenerationTruth): Buffer {
  const bytes = readFileSync(path)
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes
}

/** Records joined from the runtime's pieces, with position and stream: a reading of the format independent of the collector's. */
function recordsOf(bytes: Buffer, format: 'cri' | 'docker') {
  const records: { offset: number; stream: string; text: string; time: string }[] = []
  const open = new Map<string, { offset: number; stream: string; parts: Buffer[]; time: string }>()
  for (let at = 0; at < bytes.length; ) {
    const lf = bytes.indexOf(10, at)
    const line = bytes.subarray(at, lf)
    let [time, stream, partial, part] = ['', '', false, line]
    if (format === 'docker') {
      const json = JSON.parse(line.toString()) as { log: string; stream: string; time: string }
      partial = !json.log.endsWith('\n')
      ;[time, stream, part] = [json.time, json.stream, Buffer.from(partial ? json.log : json.log.slice(0, -1))]
    } else {
      const head = /^(\S+) (stdout|stderr) ([PF]) /.exec(line.toString('latin1'))!
      ;[time, stream, partial, part] = [head[1]!, head[2]!, head[3] === 'P', line.subarray(head[0].length)]
    }
    const record = open.get(stream) ?? { offset: at, stream, parts: [], time }
    record.parts.push(part)
    if (partial) open.set(stream, record)
    else {
      open.delete(stream)
      records.push({ offset: record.offset, stream, text: Buffer.concat(record.parts).toString(), time: record.time })
    }
    at = lf + 1
  }
  expect(open.size).toBe(0)
  return records.sort((a, b) => a.offset - b.offset)
}

test.for(rotationKinds.flatMap((rotation) => (['cri', 'docker'] as const).map((format) => ({ rotation, format }))))(
  'every record is on disk once and where the truth says, $format rotated by $rotation',
  async ({ rotation, format }) => {
    const truth = await run({ rotation, format, partialPercent: 2, pieceBytes: 300, stderrPercent: 30 })
    expect(totals(truth).lines).toBe(6000)
    expect(totals(truth).generations).toBeGreaterThan(9)
    for (const container of truth.containers) {
      let seq = 0
      let last = ''
      for (const generation of container.generations) {
        const bytes = contentOf(generation)
        expect(bytes.length).toBe(generation.bytes)
        const records = recordsOf(bytes, format)
        expect(records.map(({ offset }) => offset)).toEqual(generation.starts)
        expect(generation.firstSeq).toBe(seq)
        for (const { text, time } of records) {
          expect(checkText(text)).toEqual({ container: container.container, seq: seq++ })
          expect(time > last, `${time} after ${last}`).toBe(true)
          last = time
        }
      }
      expect(seq).toBe(container.lines)
    }
  },
)

test('links lead from containers/ over pods/ to the file that is written to', async () => {
  const truth = await run({ format: 'docker', rotation: 'rename' })
  const links = readdirSync(join(out, 'containers'))
  expect(links).toHaveLength(3)
  const { namespace, pod, name, uid } = truth.containers[0]!
  const link = links.find((one) => one.startsWith(`${pod}_${namespace}_${name}-`))!
  expect(link).toMatch(/-[0-9a-f]{64}\.log$/)
  const target = readlinkSync(join(out, 'containers', link))
  expect(target).toBe(join(out, 'pods', `${namespace}_${pod}_${uid}`, name, '0.log'))
  expect(realpathSync(target)).toMatch(/-json\.log$/)
})

test('the kubelet compresses all old generations but the newest, under names that sort by age and never repeat', async () => {
  const truth = await run({ rotation: 'kubelet', containers: 1 })
  const paths = truth.containers[0]!.generations.map(({ path }) => path)
  const old = paths.slice(0, -1)
  expect(old.length).toBeGreaterThan(5)
  expect([...old].sort()).toEqual(old)
  expect(old.map((path) => path.endsWith('.gz'))).toEqual(old.map((_, i) => i < old.length - 1))
  expect(old.every((path) => /\/0\.log\.\d{8}-\d{6}(\.gz)?$/.test(path))).toBe(true)
  expect(readdirSync(join(paths[0]!, '..'))).toHaveLength(paths.length)
})

test('what is written between the renaming and the new file goes to the old one', async () => {
  const truth = await run({ rotation: 'rename', gapMs: 5, containers: 1, rotateBytes: 1, maxLines: 20_000 })
  const { generations } = truth.containers[0]!
  // 256 records are one write: a generation that has more went on after the write that filled it.
  expect(generations.some(({ starts }) => starts.length > 256)).toBe(true)
})

test('only so many old generations are kept', async () => {
  const truth = await run({ rotation: 'gzip', keep: 2, containers: 1 })
  const { generations } = truth.containers[0]!
  expect(generations.filter(({ deleted }) => !deleted)).toEqual(generations.slice(-3))
  expect(readdirSync(join(generations.at(-1)!.path, '..'))).toHaveLength(3)
})

test('a second run continues as the next restart of the containers, and drops what is older than the last', async () => {
  for (let i = 0; i < 3; i++) await run({ containers: 1, rotateBytes: 0, maxLines: 10 })
  const [link, more] = readdirSync(join(out, 'containers'))
  expect(more).toBeDefined()
  const directory = join(readlinkSync(join(out, 'containers', link!)), '..')
  expect(readdirSync(directory).sort()).toEqual(['1.log', '2.log'])
})

test('a run is repeatable by its seed, and the truth survives JSON', async () => {
  const truth = await run({ seed: 7, partialPercent: 1, pieceBytes: 200 })
  const copy = decodeTruth(encodeTruth(truth))
  expect(copy.containers).toEqual(truth.containers)
  const texts = () =>
    truth.containers.flatMap(({ generations }) =>
      generations.flatMap((g) => recordsOf(contentOf(g), 'cri').map(({ text }) => text)),
    )
  const first = texts()
  const identity = { cluster: 'c', node: 'n' }
  expect(sourceOf(copy.containers[0]!, copy.containers[0]!.generations[0]!, identity)).toHaveLength(16)
  rmSync(out, { recursive: true })
  const again = await run({ seed: 7, partialPercent: 1, pieceBytes: 200 })
  expect(again.containers.map(({ lines }) => lines)).toEqual(truth.containers.map(({ lines }) => lines))
  truth.containers.forEach((container, i) => {
    container.generations.splice(0, Number.POSITIVE_INFINITY, ...again.containers[i]!.generations)
  })
  expect(texts()).toEqual(first)
})

test('a rate is kept', async () => {
  const truth = await run({ rate: 5000, durationMs: 400, maxLines: Number.POSITIVE_INFINITY })
  expect(totals(truth).lines).toBe(2000)
})

test.for([
  ['another number', (text: string) => text.replace('seq=5 ', 'seq=6 ')],
  ['another container', (text: string) => text.replace('ctr=0002', 'ctr=0001')],
  ['a missing end', (text: string) => text.slice(0, -1)],
  ['a missing beginning', (text: string) => text.slice(1)],
  ['another character', (text: string) => `${text.slice(0, -1)}~`],
  ['two texts in one', (text: string) => text + text],
] as const)('a text with %s is recognised as damaged', async ([, damage]) => {
  const truth = await run({ maxLines: 768, rotateBytes: 0 })
  const { path } = truth.containers[2]!.generations[0]!
  const { text } = recordsOf(readFileSync(path), 'cri')[5]!
  expect(checkText(text)).toEqual({ container: 2, seq: 5 })
  expect(checkText(damage(text))).toBeUndefined()
})

test.runIf(process.platform === 'linux')(
  'where no directory can be made generate says so instead of trying for ever',
  async () => {
    const command = fileURLToPath(new URL('../main.ts', import.meta.url))
    const ran = spawnSync(process.execPath, [command, 'generate', '--out', '/proc/x/y'], {
      encoding: 'utf8',
      timeout: 15_000,
    })
    expect([ran.status, ran.signal]).toEqual([1, null])
    expect(ran.stderr).toContain("--out: the directory /proc/x can't be made (ENOENT")
  },
)
