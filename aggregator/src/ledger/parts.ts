/**
 * A chunk accounts for bytes of one source or, where a record goes on behind a rotation, for bytes of two (docs/formats/wire.md, seam).
 * Ranges of such a chunk, and the offsets of its records, count on over the seam; here they become each source's own. Pure.
 */
import type { ChunkHeader, ChunkSeam, FilterReason, LeftOut } from '@tributary/protocol/chunk.ts'
import type { ByteRange, ByteRanges } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'

/** What a chunk has of one source. */
export interface ChunkPart {
  readonly source: SourceId
  /** Where in the chunk's offsets the part begins and ends. */
  readonly first: number
  readonly end: number
  /** The chunk's offset of the source's first byte. */
  readonly shift: number
}

export function partsOf({ source, range, seam }: Pick<ChunkHeader, 'source' | 'range' | 'seam'>): ChunkPart[] {
  const [first, end] = range
  if (seam === undefined) return [{ source, first, end, shift: 0 }]
  return [
    { source, first, end: seam.at, shift: 0 },
    { source: seam.source, first: seam.at, end, shift: seam.at },
  ]
}

/** Those of a chunk's ranges that lie in a part, in the chunk's offsets. */
export function within({ first, end }: Pick<ChunkPart, 'first' | 'end'>, ranges: ByteRanges): ByteRange[] {
  return ranges
    .map(([from, to]): ByteRange => [Math.max(from, first), Math.min(to, end)])
    .filter(([from, to]) => from < to)
}

/** Ranges in the offsets of the part's source. */
export function toSource({ shift }: Pick<ChunkPart, 'shift'>, ranges: ByteRanges): ByteRange[] {
  return ranges.map(([from, to]) => [from - shift, to - shift])
}

/** The ranges of a record of the write-ahead log, by source. */
export function rangesBySource(
  source: SourceId,
  seam: ChunkSeam | undefined,
  ranges: ByteRanges,
): { source: string; ranges: ByteRange[] }[] {
  return partsOf({ source, range: [0, Number.POSITIVE_INFINITY], ...(seam ? { seam } : {}) })
    .map((part) => ({ source: part.source.toString('hex'), ranges: toSource(part, within(part, ranges)) }))
    .filter((one) => one.ranges.length > 0)
}

/**
 * The bytes that a chunk's filters left out, spread over parts of which so many bytes were admitted, one part after the other. Of a chunk
 * that is new in parts nobody knows what was left out where: its share goes by the bytes.
 */
export function spread({ leftOut, range: [first, end] }: ChunkHeader, admitted: readonly number[]): LeftOut[] {
  const room = [...admitted]
  const all = room.reduce((sum, bytes) => sum + bytes, 0)
  const spread = room.map((): Partial<Record<FilterReason, number>> => ({}))
  for (const [reason, bytes] of Object.entries(leftOut ?? {}) as [FilterReason, number][]) {
    let rest = all === end - first ? bytes : Math.floor((bytes * all) / (end - first))
    for (const [i, part] of spread.entries()) {
      const taken = Math.min(rest, room[i]!)
      if (taken === 0) continue
      part[reason] = taken
      room[i]! -= taken
      rest -= taken
    }
  }
  return spread
}
