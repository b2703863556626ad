/** The loader's thread: reads the write-ahead log behind its durable end and fills the store. */
import { parentPort, workerData } from 'node:worker_threads'
import { chunkHeader } from '@tributary/protocol/chunk.ts'
import { CompressionError } from '@tributary/protocol/compression.ts'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import { parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { TenantLimits } from '../access/tenant-limits.ts'
import { partsOf, toSource, within } from '../ledger/parts.ts'
import { BlockLostError, type ClaimAnswer, type Unfinished } from '../ledger/shared/shared-ledger.ts'
import { headerOfTenant } from '../ledger/tenant-source.ts'
import { acceptedRecords } from '../recover.ts'
import { StoreClient } from '../store/client.ts'
import type { StoreLog } from '../store/endpoints.ts'
import { retryDelay, StoreError, type StoreErrorCode } from '../store/error.ts'
import { LateIndexes, withoutIndexes } from '../store/late-indexes.ts'
import type { DamagedRecord } from '../wal/event.ts'
import { comparePositions, formatPosition, type WalPosition } from '../wal/position.ts'
import { WalReader } from '../wal/reader.ts'
import type { WalEntry } from '../wal/wal.ts'
import { isFull } from './block-collector.ts'
import { ClaimBlock, insertClaimed } from './claim-block.ts'
import { type Cursor, openCursor } from './cursor.ts'
import { MessageDecoder } from './decode-message.ts'
import { Loader } from './loader.ts'
import type { FromLoader, LedgerReply, LedgerRequest, LoaderSettings, ToLoader } from './messages.ts'
import { Quarantine } from './quarantine.ts'
import { SharedLoader, unlessAborted } from './shared-loader.ts'
import { BlockPool, insertBlock, StoreBlock } from './store-block.ts'

const settings = workerData as LoaderSettings
const port = parentPort!
const stop = new AbortController()
const cut = new AbortController()
const tell = (message: FromLoader) => port.postMessage(message)

/** What the store's client notices is written to the one log there is. */
const storeLog: StoreLog = {
  debug: () => {},
  warn: (fields, message) => tell({ kind: 'warning', fields: { ...fields }, message }),
}

/** Losses that the ledger has not made durable yet, by number. */
const unbooked = new Map<number, () => void>()
let losses = 0

/** Keeps what can't be decoded, and tells of it. */
async function keep(quarantine: Quarantine, { start: position, message }: WalEntry, error: Error): Promise<void> {
  const path = await quarantine.keep(`${formatPosition(position)}.msgpack`, message)
  const reason = !(error instanceof CompressionError)
    ? 'msgpack'
    : error.reason === 'too_large'
      ? 'too_large'
      : 'compression'
  tell({ kind: 'quarantined', quarantined: { position, reason, message: error.message, path } })
}

/** Keeps what can't be decoded, and makes its loss durable before the cursor moves over it. */
async function setAside(quarantine: Quarantine, entry: WalEntry, error: Error): Promise<void> {
  const { message, accepted, tenant } = entry
  await keep(quarantine, entry, error)
  for (const lost of accepted.length === 0 ? [] : lossesOf(message, accepted, tenant)) await book(lost)
}

/** Resolves when a loss is durable in the ledger. */
async function book(lost: DamagedRecord): Promise<void> {
  const loss = losses++
  const booked = new Promise<void>((resolve) => unbooked.set(loss, resolve))
  tell({ kind: 'loss', loss, ...lost })
  await booked
  unbooked.delete(loss)
}

/** Whose bytes a message carries, and how many records of them were counted; nothing when not even that can be read. */
function lossesOf(message: Buffer, accepted: ByteRanges, tenant: string | undefined): DamagedRecord[] {
  try {
    const parsed = parseMessage(message)
    const header = chunkHeader(parsed?.options)
    if (parsed === undefined || header === undefined) return []
    return partsOf(headerOfTenant(header, tenant)).map((part) => {
      const own = within(part, accepted)
      const records = own.length === 0 ? 0 : acceptedRecords(parsed, own, settings.maxEntriesBytes)
      return { source: part.source.toString('hex'), ranges: toSource(part, own), records }
    })
  } catch (error) {
    if (error instanceof MsgpackError) return []
    throw error
  }
}

/** What a disk that does not take the cursor has in common with a store that is away: both may be back soon. */
function reasonOf(error: unknown): StoreErrorCode {
  return error instanceof StoreError ? error.code : 'unavailable'
}

/** What both kinds of loader are made of. */
interface Tools {
  readonly cursor: Cursor
  readonly client: StoreClient
  readonly decoder: MessageDecoder
  readonly pool: BlockPool
  readonly quarantine: Quarantine
}

let cpu = process.threadCpuUsage()

function report({ rows, bytes, malformed, clamped, truncated }: BlockCounts, insertSeconds: number): void {
  const used = process.threadCpuUsage(cpu)
  cpu = process.threadCpuUsage()
  const cpuSeconds = (used.user + used.system) / 1e6
  tell({ kind: 'block', report: { rows, bytes, malformed, clamped, truncated, insertSeconds, cpuSeconds } })
}

type BlockCounts = Pick<StoreBlock, 'rows' | 'bytes' | 'malformed' | 'clamped' | 'truncated'>

function onRetry(error: unknown, attempt: number, delay: number): void {
  const reason = error instanceof StoreError ? error.code : 'cursor'
  tell({ kind: 'retry', retry: { reason, message: (error as Error).message, attempt, delay } })
}

const pace = {
  blockRows: settings.blockRows,
  blockBytes: settings.blockBytes,
  blockDelay: settings.blockDelay,
  retryDelay: (error: unknown, failures: number) => retryDelay(reasonOf(error), failures),
}

/** A loader whose ledger is this aggregator's own. */
async function loadAlone({ client, cursor, decoder, pool, quarantine }: Tools): Promise<void> {
  const reader = new WalReader({
    disk: nodeDisk,
    directory: settings.walDirectory,
    from: cursor.stored,
    onEvent: async (event) => {
      tell({ kind: 'wal', event: event.kind, fields: { ...event } })
      if (event.kind === 'corrupt' && event.lost !== undefined) for (const lost of event.lost) await book(lost)
    },
  })
  const indexes = new LateIndexes(client, storeLog)
  indexes.later()
  const loader = new Loader<WalEntry, StoreBlock>({
    ...pace,
    disk: nodeDisk,
    cursorPath: settings.cursorPath,
    cursor,
    reader,
    newBlock: () => new StoreBlock(pool.take(), decoder, (entry, error) => setAside(quarantine, entry, error)),
    insert: async (block, token) => {
      const full = isFull(block, settings)
      await insertBlock(client, block, token, full ? withoutIndexes : {})
      if (full) indexes.later()
    },
    onStored: (position) => tell({ kind: 'stored', position }),
    onBlock: (block, insertSeconds) => {
      report(block, insertSeconds)
      pool.giveBack(block.log)
    },
    onRetry,
  })
  follow(loader)
  try {
    await loader.run(stop.signal, cut.signal)
  } finally {
    indexes.close()
    await reader.close()
  }
}

/** A loader that claims its blocks in a ledger which it shares with other aggregators. */
async function loadShared({ client, cursor, decoder, pool, quarantine }: Tools): Promise<void> {
  // While the store is away the ledger does not know, and who wants this to end can't wait for it.
  const known = (await unlessAborted(ask({ what: 'unfinished' }), cut.signal)) as Unfinished | undefined
  if (known === undefined) return
  const { upTo, ...unfinished } = known
  // A write-ahead log that was lost begins anew, before what the ledger remembers of it.
  const isKnown = upTo !== undefined && comparePositions(upTo, settings.committed) <= 0
  let collecting: ClaimBlock | undefined
  /** On a cluster: where the rows of a claim that is open go. */
  const shards = new Map<number, number>()
  for (const { claim } of unfinished.blocks) if (claim?.shard !== undefined) shards.set(claim.seq, claim.shard)
  const loader = new SharedLoader<WalEntry, ClaimBlock>({
    ...pace,
    disk: nodeDisk,
    cursorPath: settings.cursorPath,
    cursor,
    unfinished: { ...unfinished, upTo: isKnown ? upTo : undefined },
    ledger: {
      claim: async (claim) => {
        const shard = await client.pickShard()
        const placed = shard === undefined ? claim : { ...claim, shard }
        const answer = (await ask({ what: 'claim', claim: placed })) as ClaimAnswer
        if (answer.seq !== undefined && shard !== undefined) shards.set(answer.seq, shard)
        return answer
      },
      stands: async (seq) => void (await ask({ what: 'stands', seq })),
      settle: async (seq, block) => {
        shards.delete(seq)
        await ask({ what: 'settle', seq, block })
      },
    },
    readerAt: (from) =>
      new WalReader({
        disk: nodeDisk,
        directory: settings.walDirectory,
        from,
        onEvent: (event) => {
          tell({ kind: 'wal', event: event.kind, fields: { ...event } })
          if (event.kind === 'corrupt')
            for (const { source, ranges } of event.lost ?? []) collecting?.lose(source, ranges)
        },
      }),
    newBlock: (scope) => {
      const setAside = (entry: WalEntry, error: Error) => keep(quarantine, entry, error)
      collecting = new ClaimBlock({ decoder, take: () => pool.take(), setAside, scope })
      return collecting
    },
    discard: ({ days }) => {
      for (const log of days.values()) pool.giveBack(log)
    },
    insert: (block, claim) => insertClaimed(client, block, unfinished.ledger, claim, shards.get(claim)),
    onStored: (position) => tell({ kind: 'stored', position }),
    onBlock: report,
    onRetry,
  })
  follow(loader)
  await loader.run(stop.signal, cut.signal)
}

/** Answers of the shared ledger that are waited for, by number. */
const unanswered = new Map<number, PromiseWithResolvers<unknown>>()
let requests = 0

function ask(request: LedgerRequest): Promise<unknown> {
  const number = requests++
  const answer = Promise.withResolvers<unknown>()
  unanswered.set(number, answer)
  tell({ kind: 'ledger', request: number, ask: request })
  return answer.promise
}

function answered({ request, value, failure }: LedgerReply): void {
  const answer = unanswered.get(request)
  unanswered.delete(request)
  if (failure === undefined) answer?.resolve(value)
  // Whatever it is, this life of the loader does not know what became of its block.
  else answer?.reject(new BlockLostError(failure))
}

let committed = settings.committed
let following: Followed | undefined
let holding = false

interface Followed {
  committed(position: WalPosition): void
  hold?(cut: AbortSignal): Promise<void>
  go?(): void
}

function follow(loader: Followed): void {
  following = loader
  loader.committed(committed)
  // Once it runs: what the life before left on its way is then on its way again.
  if (holding) queueMicrotask(hold)
}

/** A loader that is cut has told nothing, and the thread's end does. */
function hold(): void {
  void following?.hold?.(cut.signal).then(() => tell({ kind: 'held' }))
}

async function run(): Promise<void> {
  port.on('message', (message: ToLoader) => {
    if (message.kind === 'committed') {
      committed = message.position
      following?.committed(committed)
    } else if (message.kind === 'hold') {
      holding = true
      hold()
    } else if (message.kind === 'go') {
      holding = false
      following?.go?.()
    } else if (message.kind === 'stop') stop.abort()
    else if (message.kind === 'cut') cut.abort()
    else if (message.kind === 'reply') answered(message)
    else unbooked.get(message.loss)?.()
  })
  const onLost = (message: string) => tell({ kind: 'cursorLost', message })
  const { cursorPath, oldest } = settings
  const cursor = await openCursor(nodeDisk, cursorPath, { oldest, committed: settings.committed }, onLost)
  tell({ kind: 'opened', id: cursor.id })
  const quarantine = await Quarantine.open(nodeDisk, settings.quarantineDirectory)
  const client = new StoreClient(settings.store, storeLog)
  const limits = new TenantLimits({ limits: settings.limits, overrides: settings.overrides })
  const decoder = new MessageDecoder({ ...settings, limits, id: cursor.id })
  const tools: Tools = { cursor, client, decoder, quarantine, pool: new BlockPool(2 * settings.blockBytes) }
  try {
    await (settings.shared ? loadShared(tools) : loadAlone(tools))
  } finally {
    await client.close()
    port.close()
  }
}

await run()
