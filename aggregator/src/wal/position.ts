/** A place in the write-ahead log: segments are numbered from 1, offsets are bytes within one. */
export interface WalPosition {
  readonly segment: number
  readonly offset: number
}

export function comparePositions(a: WalPosition, b: WalPosition): number {
  return a.segment - b.segment || a.offset - b.offset
}

/** `3:1024`, as it stands in files and logs. */
export function formatPosition({ segment, offset }: WalPosition): string {
  return `${segment}:${offset}`
}

export function parsePosition(text: string): WalPosition | undefined {
  const match = /^(\d+):(\d+)$/.exec(text)
  return match ? { segment: Number(match[1]), offset: Number(match[2]) } : undefined
}
