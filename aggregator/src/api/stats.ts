/** The `stats` block of a response. Clients that show it decode the whole of Loki's struct, so all of it is there, in its types. */
import type { ReadTotals } from '../logql/rows.ts'

const noStore = () => ({
  totalChunksRef: 0,
  totalChunksDownloaded: 0,
  chunksDownloadTime: 0,
  queryReferencedStructuredMetadata: false,
  chunk: {
    headChunkBytes: 0,
    headChunkLines: 0,
    decompressedBytes: 0,
    decompressedLines: 0,
    compressedBytes: 0,
    totalDuplicates: 0,
    postFilterLines: 0,
    headChunkStructuredMetadataBytes: 0,
    decompressedStructuredMetadataBytes: 0,
  },
  chunkRefsFetchTime: 0,
  congestionControlLatency: 0,
  pipelineWrapperFilteredLines: 0,
})

const noCache = () => ({
  entriesFound: 0,
  entriesRequested: 0,
  entriesStored: 0,
  bytesReceived: 0,
  bytesSent: 0,
  requests: 0,
  downloadTime: 0,
  queryLengthServed: 0,
})

const cache = {
  chunk: noCache(),
  index: noCache(),
  result: noCache(),
  statsResult: noCache(),
  volumeResult: noCache(),
  seriesResult: noCache(),
  labelResult: noCache(),
  instantMetricResult: noCache(),
}

/** @param returned entries, or series, in the answer */
export function statsJson(totals: ReadTotals, seconds: number, returned: number): string {
  const store = noStore()
  store.chunk.decompressedBytes = totals.bytes
  store.chunk.decompressedLines = totals.rows
  store.chunk.postFilterLines = totals.lines
  const perSecond = (amount: number) => (seconds > 0 ? Math.floor(amount / seconds) : 0)
  return JSON.stringify({
    summary: {
      bytesProcessedPerSecond: perSecond(totals.bytes),
      linesProcessedPerSecond: perSecond(totals.rows),
      totalBytesProcessed: totals.bytes,
      totalLinesProcessed: totals.rows,
      execTime: seconds,
      queueTime: 0,
      subqueries: 0,
      totalEntriesReturned: returned,
      splits: 0,
      shards: 0,
      totalPostFilterLines: totals.lines,
      totalStructuredMetadataBytesProcessed: 0,
    },
    querier: { store },
    ingester: {
      totalReached: 0,
      totalChunksMatched: 0,
      totalBatches: 0,
      totalLinesSent: 0,
      store: noStore(),
    },
    cache,
    index: { totalChunks: 0, postFilterChunks: 0, shardsDuration: 0, usedBloomFilters: false },
  })
}
