/**
 * Sources of tenants. A sender says itself which source its bytes are of; so that none can book, ask for or hide bytes of another tenant's
 * sources, the ledger and the store know a tenant's sources by ids of their own. Those of the default tenant are as they are sent. Pure.
 */
import { createHash } from 'node:crypto'
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import { defaultTenant } from '../logql/tenant-scope.ts'
import { foreignPrefix } from '../store/row-stream.ts'

/** Docs/formats/ledger.md describes it: what is stored under such an id stays there. */
export function sourceOfTenant(source: SourceId, tenant: string | undefined): SourceId {
  if (tenant === undefined || tenant === defaultTenant) return source
  const digest = createHash('sha256').update(`${tenant}:`).update(source).digest().subarray(0, 16)
  // What no file is behind is known by its beginning.
  if (source.subarray(0, foreignPrefix.length).equals(foreignPrefix)) foreignPrefix.copy(digest)
  else if (digest.subarray(0, foreignPrefix.length).equals(foreignPrefix)) digest[0] = 1
  return digest as SourceId
}

export function headerOfTenant(header: ChunkHeader, tenant: string | undefined): ChunkHeader {
  if (tenant === undefined || tenant === defaultTenant) return header
  const { source, seam } = header
  return {
    ...header,
    source: sourceOfTenant(source, tenant),
    ...(seam === undefined ? {} : { seam: { ...seam, source: sourceOfTenant(seam.source, tenant) } }),
  }
}
