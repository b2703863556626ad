/** The main thread's side of the loader: starts its thread, keeps it running, and passes on what it says. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { scriptFile } from '@tributary/protocol/script-file.ts'
import type { WalPosition } from '../wal/position.ts'
import type {
  BlockReport,
  FromLoader,
  LedgerReply,
  LedgerRequest,
  LoaderSettings,
  Quarantined,
  Retry,
  ToLoader,
} from './messages.ts'

export interface LoaderEvents {
  onOpened(id: string): void
  onStored(position: WalPosition): void
  onBlock(report: BlockReport): void
  onRetry(retry: Retry): void
  onWarning(fields: Readonly<Record<string, unknown>>, message: string): void
  onQuarantined(quarantined: Quarantined): void
  /** Bytes of a source that were accepted can't be stored. Resolves when that is durable in the ledger. */
  onLoss(source: string, ranges: ByteRanges, records: number): Promise<void>
  /** What the loader asks of a shared ledger. */
  onLedgerRequest(ask: LedgerRequest): Promise<unknown>
  onCursorLost(message: string): void
  onWalEvent(event: string, fields: Readonly<Record<string, unknown>>): void
  /** The thread ended although nobody asked it to, and is started again, with a heap of so many MiB. */
  onDeath(error: Error, heapMegabytes: number): void
}

/** Pause before the thread is started again, in milliseconds: what ended it, such as an unreadable disk, may last. */
const restartDelay = 1000
/** What the block on its way may take beyond the deadline, in milliseconds: a store that hangs would never end it. */
const lastPatience = 2000
/** V8's heap of the thread, in MiB: blocks lie outside of it. */
const usualHeap = 192
/** What it may grow to, for a message whose streams alone take more: some 2 KiB for each. */
const mostHeap = 1536

export class LoaderThread {
  readonly #settings: () => LoaderSettings
  readonly #events: LoaderEvents
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #worker: Worker | undefined
  #heapMegabytes = usualHeap
  /** Who waits until no block is on its way; set while blocks are held. */
  #held: PromiseWithResolvers<void> | undefined
  /** When closing has to end. */
  #deadline: AbortSignal | undefined

  /** @param settings asked anew for each start */
  constructor(settings: () => LoaderSettings, events: LoaderEvents) {
    this.#settings = settings
    this.#events = events
    this.#running = this.#run()
  }

  committed(position: WalPosition): void {
    this.#post({ kind: 'committed', position })
  }

  /**
   * Resolves when no block is on its way and the cursor on disk says so; none goes on its way until {@link go}. Rejects when the thread ends
   * meanwhile, or is held already.
   */
  hold(): Promise<void> {
    if (this.#held !== undefined) return Promise.reject(new Error('the loader is held already'))
    this.#held = Promise.withResolvers()
    if (this.#worker === undefined) this.#held.reject(new Error('the loader does not run'))
    this.#post({ kind: 'hold' })
    return this.#held.promise
  }

  /** Blocks go on their way again. False when the thread ended while they should not have: another one may have loaded meanwhile. */
  go(): boolean {
    const wasHeld = this.#held !== undefined
    this.#held = undefined
    this.#post({ kind: 'go' })
    return wasHeld
  }

  /** Loads what is committed, until `deadline`. What is left stays in the write-ahead log. */
  async close(deadline: AbortSignal): Promise<void> {
    this.#deadline = deadline
    this.#closing.abort()
    this.#post({ kind: 'stop' })
    let end: NodeJS.Timeout | undefined
    const cut = () => {
      this.#post({ kind: 'cut' })
      end = setTimeout(() => void this.#worker?.terminate(), lastPatience)
    }
    if (deadline.aborted) cut()
    deadline.addEventListener('abort', cut, { once: true })
    await this.#running
    clearTimeout(end)
    deadline.removeEventListener('abort', cut)
  }

  /** One life after another, also while closing: what is left then is to be loaded until the deadline. */
  async #run(): Promise<void> {
    for (;;) {
      const error = await this.#live()
      if (error === undefined || this.#deadline?.aborted) return
      // The same message comes first again, and a block can't be less than it.
      if (isOutOfMemory(error)) this.#heapMegabytes = Math.min(2 * this.#heapMegabytes, mostHeap)
      this.#events.onDeath(error, this.#heapMegabytes)
      await this.#pause()
      if (this.#deadline?.aborted) return
    }
  }

  async #pause(): Promise<void> {
    const { signal } = this.#closing
    // Closing, and its deadline, end the pause: what comes next looks at both.
    if (!signal.aborted) await sleep(restartDelay, undefined, { signal }).catch(() => {})
    else await sleep(restartDelay, undefined, this.#deadline && { signal: this.#deadline }).catch(() => {})
  }

  /** One life of the thread; the error that ended it, if one did. */
  #live(): Promise<Error | undefined> {
    const worker = new Worker(scriptFile(import.meta.url, './worker.ts', 'loader-worker'), {
      workerData: this.#settings(),
      resourceLimits: { maxOldGenerationSizeMb: this.#heapMegabytes },
    })
    this.#worker = worker
    if (this.#closing.signal.aborted) this.#post({ kind: 'stop' })
    return new Promise((resolve) => {
      let reason: Error | undefined
      worker.on('message', (message: FromLoader) => this.#receive(message))
      worker.on('error', (error) => {
        reason = error instanceof Error ? error : new Error(String(error))
      })
      worker.on('exit', (code) => {
        this.#worker = undefined
        this.#held?.reject(new Error("the loader's thread ended"))
        this.#held = undefined
        resolve(reason ?? (code === 0 ? undefined : new Error(`the loader's thread ended with ${code}`)))
      })
    })
  }

  #receive(message: FromLoader): void {
    const events = this.#events
    if (message.kind === 'held') this.#held?.resolve()
    else if (message.kind === 'opened') events.onOpened(message.id)
    else if (message.kind === 'stored') events.onStored(message.position)
    else if (message.kind === 'block') events.onBlock(message.report)
    else if (message.kind === 'retry') events.onRetry(message.retry)
    else if (message.kind === 'warning') events.onWarning(message.fields, message.message)
    else if (message.kind === 'quarantined') events.onQuarantined(message.quarantined)
    else if (message.kind === 'cursorLost') events.onCursorLost(message.message)
    else if (message.kind === 'wal') events.onWalEvent(message.event, message.fields)
    else if (message.kind === 'ledger') this.#answer(message.request, message.ask)
    else {
      const { loss, source, ranges, records } = message
      void events.onLoss(source, ranges, records).then(() => this.#post({ kind: 'booked', loss }))
    }
  }

  /** To the life of the thread that asked: the numbers of another one are others. */
  #answer(request: number, ask: LedgerRequest): void {
    const worker = this.#worker
    const reply = (message: Omit<LedgerReply, 'kind' | 'request'>) =>
      worker?.postMessage({ kind: 'reply', request, ...message } satisfies LedgerReply)
    this.#events.onLedgerRequest(ask).then(
      (value) => reply({ value }),
      (error: Error) => reply({ failure: error.message }),
    )
  }

  #post(message: ToLoader): void {
    this.#worker?.postMessage(message)
  }
}

const isOutOfMemory = (error: NodeJS.ErrnoException): boolean => error.code === 'ERR_WORKER_OUT_OF_MEMORY'
