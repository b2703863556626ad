/** What of a block may be claimed, by the accounts as they are. Here doubles end, wherever a chunk was sent. Pure. */
import { type ByteRange, type ByteRanges, uncovered } from '@tributary/protocol/ranges.ts'
import { comparePositions } from '../../wal/position.ts'
import type { BlockRange, Claim, ClaimPart } from './entry.ts'
import type { LedgerState, OpenBlock, OpenClaim } from './state.ts'

/** Bytes that a block must leave out: somebody claimed them, or a fence refuses them. */
export interface Exclusion {
  /** Hex. */
  readonly source: string
  readonly session: string | undefined
  readonly ranges: ByteRanges
}

/** An open claim of another aggregator that overlaps: until it is settled or resolved nobody knows whose the bytes are. */
export function obstacle(state: LedgerState, writer: string, { parts }: Claim): OpenClaim | undefined {
  for (const { source, ranges } of parts) {
    for (const claim of state.openClaims(source)) {
      if (claim.writer === writer) continue
      if (claim.parts.some((part) => part.source === source && overlap(part.ranges, ranges))) return claim
    }
  }
  return undefined
}

/** What the claim must do without. With nothing in it, the claim can be made as it is. */
export function exclusionsOf(state: LedgerState, { parts }: Claim): Exclusion[] {
  const exclusions: Exclusion[] = []
  for (const { source, session, ranges } of parts) {
    const claimed = meet(state.claimed(source), ranges)
    const fence = state.fenceAgainst(source, session)
    const refused = fence === undefined ? [] : meet([[fence.keep, Number.MAX_SAFE_INTEGER]], ranges)
    if (claimed.length > 0 || refused.length > 0) exclusions.push({ source, session, ranges: [...claimed, ...refused] })
  }
  return exclusions
}

/** The claim without what the accounts know already. */
export function briefly(state: LedgerState, claim: Claim): Claim {
  const told = new Set<string>()
  const parts = claim.parts.map((part): ClaimPart => {
    const { about, ...rest } = part
    const account = state.accounts.get(part.source)
    const same =
      account !== undefined &&
      about !== undefined &&
      account.path === about.path &&
      sameMap(account.labels, about.labels) &&
      sameMap(account.metadata, about.metadata)
    // An outcome of a source whose file is gone knows its stream no more.
    const useless = part.outcome !== undefined && account !== undefined && account.path !== ''
    if (about === undefined || same || useless || told.has(part.source)) return rest
    if (part.outcome === undefined) told.add(part.source)
    return part
  })
  return { ...claim, parts }
}

/** The block of a writer that begins where this one does, if it is known. */
export function openBlock(state: LedgerState, writer: string, { from }: BlockRange): OpenBlock | undefined {
  return state.writers.get(writer)?.blocks.find((block) => comparePositions(block.from, from) === 0)
}

/** What two sets have in common. */
export function meet(a: ByteRanges, b: ByteRanges): ByteRange[] {
  return b.flatMap((range) => {
    const without = uncovered(a, range)
    return uncovered(without, range)
  })
}

function overlap(a: ByteRanges, b: ByteRanges): boolean {
  return b.some(([first, end]) => a.some(([from, to]) => from < end && first < to))
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}
