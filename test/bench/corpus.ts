/** The data of all benches: seeded, so that two runs on two versions read the same bytes. 189-byte CRI lines, 50 containers, 1 % in parts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CriParser } from '@tributary/collector/cri/line.ts'
import { ChunkCutter, noDetectors } from '@tributary/collector/tail/cutter.ts'
import { chunkBytes } from '@tributary/collector/tail/reader.ts'
import { chunkId, chunkOptions } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { generate, generateDefaults } from 'tributary/generate/generate.ts'
import { sourceOf, type Truth, totals } from 'tributary/generate/truth.ts'

export const containers = 50

/** Writes at least `lines` lines below `out`. */
export async function writeCorpus(
  out: string,
  lines: number,
  options: Partial<typeof generateDefaults> = {},
): Promise<Truth> {
  return generate({
    ...generateDefaults,
    out,
    containers,
    rate: 0,
    durationMs: Number.POSITIVE_INFINITY,
    maxLines: lines,
    rotateBytes: Number.MAX_SAFE_INTEGER,
    // Lines in parts are as long as the others: what they cost is the joining.
    pieceBytes: 64,
    partialPercent: 1,
    ...options,
  })
}

export { totals }

export interface Prepared {
  readonly id: string
  readonly message: readonly Buffer[]
  readonly records: number
  readonly bytes: number
}

/** The chunks a collector would send of the corpus, sources taking turns. */
export function prepareChunks(truth: Truth): Prepared[] {
  const perSource = truth.containers.map((container) => chunksOf(truth, container))
  const chunks: Prepared[] = []
  for (let turn = 0; perSource.some((own) => turn < own.length); turn++) {
    for (const own of perSource) if (own[turn]) chunks.push(own[turn]!)
  }
  return chunks
}

function chunksOf(truth: Truth, container: Truth['containers'][number]): Prepared[] {
  const [generation] = container.generations
  const bytes = readFileSync(generation!.path)
  const cutter = new ChunkCutter({ maxLineBytes: 256 * 1024, maxLines: 1000 })
  const source = sourceOf(container, generation!, { cluster: 'bench', node: `seed-${truth.seed}` })
  const labels = {
    cluster: 'bench',
    node: `seed-${truth.seed}`,
    namespace: container.namespace,
    pod: container.pod,
    container: container.name,
  }
  const chunks: Prepared[] = []
  for (let at = 0; at < bytes.length; at += cutter.consumed) {
    const view = bytes.subarray(at, at + chunkBytes)
    const rest = at + view.length === bytes.length ? 'all' : 'wait'
    cutter.cut({
      bytes: view,
      offset: at,
      parser: new CriParser(),
      detectors: noDetectors,
      midLine: false,
      seconds: 0,
      nanoseconds: 0,
      rest,
    })
    const { records, consumed, encodedBytes } = cutter
    const range = [at, at + consumed] as const
    const header = {
      source,
      range,
      seen: bytes.length,
      rawBytes: encodedBytes,
      path: generation!.path,
      labels,
      metadata: { pod_uid: container.uid },
    }
    const entries = compress(cutter.out.subarray(0, encodedBytes), 'zstd')
    chunks.push({
      id: chunkId(source, range),
      message: forwardMessage('tributary', entries, chunkOptions(header, records, 'zstd')),
      records,
      bytes: consumed,
    })
  }
  return chunks
}

export function corpusDirectory(root: string): string {
  return join(root, 'logs')
}
