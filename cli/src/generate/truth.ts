/** What was generated, exactly: the other half of every comparison. */
import { fingerprintBytes, type SourceId, sourceId } from '@tributary/protocol/source.ts'

/** One generation of a container's log: what lies between two rotations. */
export interface GenerationTruth {
  /** Where it lies in the end, `.gz` or not. */
  path: string
  deleted: boolean
  readonly restart: number
  /** Records `[firstSeq, firstSeq + starts.length)`. */
  readonly firstSeq: number
  /** Uncompressed bytes. */
  bytes: number
  /** Position of each record's first byte. */
  readonly starts: number[]
  /** The first line, or as much of it as identifies the source. */
  fingerprint: Buffer
}

export interface ContainerTruth {
  readonly container: number
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  readonly name: string
  lines: number
  readonly generations: GenerationTruth[]
}

export interface Truth {
  readonly seed: number
  readonly containers: readonly ContainerTruth[]
  readonly seconds: number
}

export function totals({ containers }: Truth): { lines: number; bytes: number; generations: number } {
  const all = containers.flatMap(({ generations }) => generations)
  return {
    lines: containers.reduce((sum, { lines }) => sum + lines, 0),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    generations: all.length,
  }
}

export function takeFingerprint(generation: GenerationTruth, written: Buffer): void {
  if (generation.fingerprint.length >= fingerprintBytes || generation.fingerprint.includes(10)) return
  const head = Buffer.concat([generation.fingerprint, written.subarray(0, fingerprintBytes)])
  const lf = head.indexOf(10)
  generation.fingerprint = head.subarray(0, Math.min(lf === -1 ? head.length : lf + 1, fingerprintBytes))
}

/** The id by which collector and aggregator know a generation in CRI or docker format. */
export function sourceOf(
  { uid, name }: ContainerTruth,
  { restart, fingerprint }: GenerationTruth,
  { cluster, node }: { cluster: string; node: string },
): SourceId {
  return sourceId({ cluster, node, pod: uid, container: name, restart, distinction: '' }, fingerprint)
}

/** As JSON; positions as base64 of LEB128 differences, a byte or two for each record. */
export function encodeTruth(truth: Truth): string {
  return JSON.stringify({ ...totals(truth), ...truth }, (key, value) => {
    if (key === 'starts') return packDeltas(value as number[])
    if (key === 'fingerprint') return Buffer.from((value as { data: number[] }).data).toString('base64')
    return value as unknown
  })
}

export function decodeTruth(json: string): Truth {
  return JSON.parse(json, (key, value) => {
    if (key === 'starts') return unpackDeltas(value as string)
    if (key === 'fingerprint') return Buffer.from(value as string, 'base64')
    return value as unknown
  }) as Truth
}

function packDeltas(values: readonly number[]): string {
  const bytes: number[] = []
  let last = 0
  for (const value of values) {
    let rest = value - last
    last = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80)
    bytes.push(rest)
  }
  return Buffer.from(bytes).toString('base64')
}

function unpackDeltas(text: string): number[] {
  const values: number[] = []
  let last = 0
  let delta = 0
  let scale = 1
  for (const byte of Buffer.from(text, 'base64')) {
    delta += (byte & 0x7f) * scale
    scale *= 0x80
    if (byte & 0x80) continue
    values.push((last += delta))
    delta = 0
    scale = 1
  }
  return values
}
