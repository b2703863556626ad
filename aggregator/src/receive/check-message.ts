/**
 * What can be told about a message without decompressing or decoding it, so that one which can never be loaded is refused before
 * it is acknowledged. Pure.
 */
import {
  type AskedSource,
  type ChunkHeader,
  chunkHeader,
  ledgerQuery,
  querySession,
} from '@tributary/protocol/chunk.ts'
import { chunkOf, type ForwardMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import { checkEntries, parseReceived, unsupportedSignal } from '@tributary/protocol/receive/check-entries.ts'
import { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import { isPush } from '../push/push-message.ts'

export type CheckedMessage =
  | { readonly kind: 'heartbeat' }
  /** A collector asks what is accepted of these sources; `chunk` is what the answer names. */
  | {
      readonly kind: 'query'
      readonly chunk: string
      readonly sources: readonly AskedSource[]
      readonly session: string | undefined
    }
  /** A chunk of our collector, or a message it passes on. `records` is what it says it holds. */
  | {
      readonly kind: 'chunk'
      readonly chunk: string | undefined
      readonly header: ChunkHeader
      readonly records: number
      readonly message: ForwardMessage
    }
  /** Anyone else's records. */
  | { readonly kind: 'foreign'; readonly chunk: string | undefined; readonly message: ForwardMessage }
  /** Metrics or traces. */
  | { readonly kind: 'unsupported'; readonly chunk: string | undefined; readonly signal: string }

/** @throws {@link ReceiveError} */
export function checkMessage(bytes: Buffer, maxEntriesBytes: number): CheckedMessage {
  const message = parseReceived(bytes)
  if (message === undefined) return { kind: 'heartbeat' }
  const chunk = chunkOf(message)
  const signal = unsupportedSignal(message)
  if (signal !== undefined) return { kind: 'unsupported', chunk, signal }
  const own = ownPart(message.options)
  if (own?.sources !== undefined) {
    if (chunk === undefined) throw new ReceiveError('bad_chunk', 'a ledger query without chunk', false)
    return { kind: 'query', chunk, sources: own.sources, session: querySession(message.options) }
  }
  if (own?.header?.outcome !== undefined) return { kind: 'chunk', chunk, header: own.header, records: 0, message }
  checkEntries(message, maxEntriesBytes)
  if (own?.header === undefined) return { kind: 'foreign', chunk, message }
  // How many records a relayed message has is not known before it is decoded.
  if (own.header.relayed) return { kind: 'chunk', chunk, header: own.header, records: 0, message }
  if (message.mode !== 'packed' || message.count === undefined) {
    throw new ReceiveError('bad_chunk', 'a chunk whose records are not packed, or without their number', false)
  }
  return { kind: 'chunk', chunk, header: own.header, records: message.count, message }
}

function ownPart(
  options: ForwardMessage['options'],
): { readonly sources?: readonly AskedSource[]; readonly header?: ChunkHeader } | undefined {
  if (options['tributary'] === undefined) return undefined
  try {
    const sources = ledgerQuery(options)
    if (sources !== undefined) return { sources }
    // Only pushes over HTTP are written so, after their entries were checked.
    if (isPush(options)) throw new MsgpackError('a push that did not come over HTTP')
    const header = chunkHeader(options)
    if (header === undefined) throw new MsgpackError('neither a source nor a query')
    return { header }
  } catch (error) {
    if (!(error instanceof MsgpackError || error instanceof TypeError)) throw error
    throw new ReceiveError('bad_chunk', error.message, false, { cause: error })
  }
}
