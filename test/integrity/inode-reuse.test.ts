import { readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Truth, totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { Pipeline, until } from '../harness/processes.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

const rounds = 4
/** Whoever else makes files takes the inodes too: goes on until this test got some. */
const mostRounds = 12
const load = { containers: 8, rate: 20_000, lines: 6000, rotateBytes: 64 * 1024, partial: 2, pieceBytes: 120 }

/** Whether the file system under `directory` gives a deleted file's inode to the next one. tmpfs does not, ext4 and overlayfs do. */
function reusesInodes(directory: string): boolean {
  const inodes = [1, 2].map((n) => {
    const path = join(directory, `probe-${n}`)
    writeFileSync(path, 'x')
    const { ino } = statSync(path)
    rmSync(path)
    return ino
  })
  return inodes[0] === inodes[1]
}

const filesOf = (truth: Truth) => truth.containers.flatMap(({ generations }) => generations.map(({ path }) => path))
const inodesOf = (truth: Truth) => filesOf(truth).map((path) => statSync(path, { throwIfNoEntry: false })?.ino ?? 0)

/** Deletes pods as the kubelet does: the links, then all generations. */
function deletePods(pipeline: Pipeline, truth: Truth): void {
  const directories = new Set(filesOf(truth).map((path) => dirname(path)))
  const links = join(pipeline.logs, 'containers')
  for (const name of readdirSync(links)) {
    if (directories.has(dirname(readlinkSync(join(links, name))))) rmSync(join(links, name))
  }
  for (const directory of directories) rmSync(directory, { recursive: true })
}

test('pods whose files get the inodes of deleted ones are read whole, with the collector up or down meanwhile', {
  timeout: 240_000,
}, async (context) => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start({ collector: { checkpoints: { interval: '100ms' } } })
  if (!reusesInodes(pipeline.root)) {
    // The temporary directory decides it, not a tool that is missing.
    console.log(
      `skipped: the file system under ${pipeline.root} does not reuse inodes; set TMPDIR to an ext4 or overlayfs`,
    )
    if (process.env['CI'] === 'true') throw new Error('no file system that reuses inodes')
    return context.skip()
  }
  const truths: Truth[] = []
  const inodes = new Set<number>()
  let reused = 0
  for (let round = 0; round < rounds || (reused === 0 && round < mostRounds); round++) {
    const format = round % 3 === 2 ? 'docker' : 'cri'
    const down = round % 2 === 1
    const before = truths.at(-1)
    if (down) await pipeline.collector.kill()
    if (before) deletePods(pipeline, before)
    const rotation = round % 2 === 0 ? 'kubelet' : 'rename'
    const writer = new Writer(pipeline, { ...load, seed, namespace: `round-${round}`, format, rotation })
    const truth = await writer.truth()
    if (down) pipeline.collector.start()
    truths.push(truth)
    const now = inodesOf(truth)
    reused += now.filter((inode) => inodes.has(inode)).length
    for (const inode of now) inodes.add(inode)
    const all = truths.reduce((sum, one) => sum + totals(one).bytes, 0)
    await until(
      async () => (await storedBytes(pipeline)) === all,
      20_000,
      () => `round ${round} did not arrive: ${pipeline.collector.output}`,
    )
  }
  const { verdicts, audit } = await conclude(pipeline, truths, { name: 'inodes used again', seed, events: { reused } })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
  expect(reused, 'files with the inode of a deleted one').toBeGreaterThan(0)
})

async function storedBytes(pipeline: Pipeline): Promise<number> {
  const response = await fetch(`${pipeline.url}/api/v1/audit`)
  return ((await response.json()) as { totals: { storedBytes: number } }).totals.storedBytes
}
