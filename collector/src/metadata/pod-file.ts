/**
 * Known pods on disk (docs/formats/pods.md): one JSON line that says what the file is, one per pod, one with the number of lines and a
 * CRC-32 of all before it. The whole file is replaced. One that fails its check is set aside: the API server tells again what is there.
 */
import { crc32 } from 'node:zlib'
import { type Disk, isMissing } from '@tributary/protocol/disk.ts'
import type { KnownPod } from './known-pods.ts'

const format = 'tributary-pods'
const version = 1

export function encodePods(pods: Iterable<KnownPod>): Buffer {
  const lines = [JSON.stringify({ format, version })]
  for (const pod of pods) lines.push(JSON.stringify(pod))
  const body = `${lines.join('\n')}\n`
  return Buffer.from(`${body}${JSON.stringify({ pods: lines.length - 1, crc32: crc32(body) })}\n`)
}

/** Throws with what is wrong when the bytes are not what {@link encodePods} wrote. */
export function decodePods(bytes: Buffer): KnownPod[] {
  const lastLine = bytes.lastIndexOf(10, bytes.length - 2) + 1
  const body = bytes.subarray(0, lastLine)
  const { pods, crc32: expected } = JSON.parse(bytes.toString('utf8', lastLine)) as { pods: number; crc32: number }
  if (crc32(body) !== expected) throw new Error('the checksum differs')
  const [head, ...lines] = body.toString('utf8').trimEnd().split('\n')
  const found = JSON.parse(head ?? '{}') as { format?: string; version?: number }
  if (found.format !== format) throw new Error('not a file of pods')
  if (found.version !== version) throw new Error(`version ${found.version}, this collector reads ${version}`)
  if (lines.length !== pods) throw new Error(`${lines.length} pods, not ${pods}`)
  return lines.map((line) => JSON.parse(line) as KnownPod)
}

export interface LoadedPods {
  readonly pods: readonly KnownPod[]
  /** Set when there was a file that could not be used: what was wrong. */
  readonly damaged?: Error
}

/** Never rejects: what is not known any more is asked for again. */
export async function loadPods(disk: Disk, path: string): Promise<LoadedPods> {
  let bytes: Buffer
  try {
    bytes = await disk.readFile(path)
  } catch (error) {
    return isMissing(error) ? { pods: [] } : { pods: [], damaged: error as Error }
  }
  try {
    return { pods: decodePods(bytes) }
  } catch (error) {
    // If it can't be set aside, the next save replaces it.
    await disk.rename(path, `${path}.damaged`).catch(() => {})
    return { pods: [], damaged: error as Error }
  }
}
