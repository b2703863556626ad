/** How many records of a chunk begin within given ranges. Needed only where a part of a chunk is not new. */
import { decompress } from '@tributary/protocol/compression.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { RecordScanner } from '@tributary/protocol/records.ts'

/** Throws MsgpackError or CompressionError when the entries can't be read. */
export function countRecords(entries: Buffer, ranges: ByteRanges, maxEntriesBytes: number): number {
  const scanner = new RecordScanner(decompress(entries, maxEntriesBytes))
  let count = 0
  while (scanner.next()) {
    const { offset } = scanner
    if (ranges.some(([first, end]) => offset >= first && offset < end)) count++
  }
  return count
}
