/**
 * Identity of a source: one generation of one log file. The id must be the same after a rename, a compression, a restart of the
 * collector and the loss of its checkpoints, and must not change while the file grows. It is therefore made from what never changes:
 * where the container ran, and the file's first line (see docs/formats/wire.md).
 */
import { createHash } from 'node:crypto'

/** 16 bytes. */
export type SourceId = Buffer

/** The first line, or this many bytes of it, is the fingerprint; a file's first kibibyte never changes while it grows. */
export const fingerprintBytes = 1024

export interface SourceOrigin {
  readonly cluster: string
  readonly node: string
  /** Pod uid, container name and restart count from the path; for a plain file its path, '' and 0. */
  readonly pod: string
  readonly container: string
  readonly restart: number
  /** Plain files can begin with equal lines: what else tells them apart (inode and birth time); '' where lines carry a nanosecond time. */
  readonly distinction: string
}

export function sourceId(origin: SourceOrigin, fingerprint: Uint8Array): SourceId {
  const hash = createHash('sha256')
  for (const part of [
    origin.cluster,
    origin.node,
    origin.pod,
    origin.container,
    String(origin.restart),
    origin.distinction,
  ]) {
    hash.update(`${Buffer.byteLength(part)}:${part},`)
  }
  return hash.update(fingerprint).digest().subarray(0, 16)
}

/**
 * The part of a file's head that identifies it: up to and with the first LF, at most {@link fingerprintBytes}. Undefined while
 * the file has neither a complete line nor that many bytes, as what is there may still grow.
 */
export function fingerprintOf(head: Uint8Array): Uint8Array | undefined {
  const lf = head.indexOf(10)
  if (lf !== -1 && lf < fingerprintBytes) return head.subarray(0, lf + 1)
  return head.length >= fingerprintBytes ? head.subarray(0, fingerprintBytes) : undefined
}
