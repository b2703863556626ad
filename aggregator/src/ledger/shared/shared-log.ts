/**
 * One aggregator's side of the shared ledger's log: reads on, and appends by compare-and-set. An entry is made knowing all entries before
 * it; when another aggregator took its place, that one is read and the entry is made anew.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Wait, wait } from '@tributary/protocol/wait.ts'
import { encodeEntry, type LogEntry, type LogRow, LogVersionError } from './entry.ts'
import type { LogStore } from './log-store.ts'
import { decodeState, encodeState } from './snapshot.ts'
import { LedgerState } from './state.ts'

/** What is to be written, decided anew each time the state changes before it is. */
export interface Change {
  /**
   * `later`: not while the state is like this. `needless`: nothing has to be written any more. What it throws is thrown to whoever
   * submitted it.
   */
  prepare(state: LedgerState): LogEntry | 'later' | 'needless'
}

export interface SharedLogOptions {
  readonly store: LogStore
  /** The aggregator's name in the log: of its write-ahead log. */
  readonly writer: string
  /** A read or write failed and is tried again. */
  readonly onError?: (error: unknown) => void
  /** Another aggregator's entry took the place. */
  readonly onConflict?: () => void
  /** An own entry is in the log. */
  readonly onWritten?: () => void
  /** How often it is looked for entries of others, ms. */
  readonly pollInterval?: number
  readonly retryDelay?: number
  /** Entries between two snapshots. */
  readonly snapshotEntries?: number
  readonly now?: () => number
  /** Waits before what failed is tried again, ms; resolves early when the signal comes. */
  readonly wait?: Wait
}

interface Submitted {
  readonly change: Change
  /** Number of the entry; undefined when nothing had to be written. */
  readonly resolve: (seq: number | undefined) => void
  readonly reject: (error: unknown) => void
}

const longestDelay = 2000
/** Entries kept behind the newest snapshot, for aggregators that read slowly. */
const margin = 2000

export class SharedLog {
  readonly #options: SharedLogOptions
  readonly #now: () => number
  readonly #wait: Wait
  #state = new LedgerState()
  #loaded = false
  readonly #loading = untold()
  #queue: Submitted[] = []
  #writing: Promise<void> | undefined
  #reading: Promise<unknown> = Promise.resolve()
  /** Entry ids by place, of what was read last: whose a place is that this aggregator tried to take. */
  #attempt: { readonly seq: number; readonly entry: string; won: boolean | undefined } | undefined
  /** When an entry of a writer was last applied, and since when the store has answered without a break. */
  readonly #heard = new Map<string, number>()
  #answersSince: number
  #answers = false
  #changed = untold()
  #snapshotting = false
  readonly #closing = new AbortController()

  constructor(options: SharedLogOptions) {
    this.#options = options
    this.#now = options.now ?? performance.now.bind(performance)
    this.#wait = options.wait ?? wait
    this.#answersSince = this.#now()
  }

  get state(): LedgerState {
    return this.#state
  }

  get writer(): string {
    return this.#options.writer
  }

  /** Whether the log was read to its end at least once. */
  get loaded(): boolean {
    return this.#loaded
  }

  /** Resolves when the log was read to its end for the first time. */
  get ready(): Promise<void> {
    return this.#loading.promise
  }

  /** Resolves when entries were applied after this call. Rejects when the aggregator closes. */
  get changed(): Promise<void> {
    return this.#changed.promise
  }

  /** For how long nothing came of a writer, ms, as far as this aggregator can know. */
  silence(writer: string): number {
    return this.#answers ? this.#now() - Math.max(this.#heard.get(writer) ?? 0, this.#answersSince) : 0
  }

  /** Reads on at the poll interval until `signal`; what was submitted and is not written then is rejected. Rejects with LogVersionError. */
  async run(signal: AbortSignal): Promise<void> {
    const { pollInterval = 1000, onError } = this.#options
    const close = () => this.#closing.abort()
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
    try {
      while (!signal.aborted) {
        await this.refresh().catch((error: unknown) => {
          if (error instanceof LogVersionError) throw error
          onError?.(error)
        })
        await sleep(pollInterval, undefined, { signal, ref: false }).catch(() => {}) // ends the loop
      }
    } finally {
      close()
      await this.#writing
      const error = new Error('the aggregator is closing')
      this.#loading.reject(error)
      this.#changed.reject(error)
      for (const { reject } of this.#queue.splice(0)) reject(error)
    }
  }

  /** Applies what is in the log by now. Throws StoreError, LogVersionError. */
  async refresh(): Promise<void> {
    await this.#read()
    if (this.#queue.length > 0) this.#write()
  }

  /** Writes a change as soon as it can be; the number of its entry, undefined when it was needless. */
  submit(change: Change): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#closing.signal.aborted) return reject(new Error('the aggregator is closing'))
      this.#queue.push({ change, resolve, reject })
      this.#write()
    })
  }

  #write(): void {
    if (this.#loaded) this.#writing ??= this.#writeAll()
  }

  async #writeAll(): Promise<void> {
    try {
      // What is submitted in the same turn of the event loop shares an entry.
      await Promise.resolve()
      while (!this.#closing.signal.aborted) {
        const { entry, taken } = this.#prepare()
        if (taken.length === 0) return
        const seq = await this.#append(entry)
        if (seq === undefined) continue
        this.#queue = this.#queue.filter((one) => !taken.includes(one))
        for (const { resolve } of taken) resolve(seq)
        this.#maybeSnapshot()
      }
    } finally {
      // In the same turn as the last look at the queue: what is submitted after that begins anew.
      this.#writing = undefined
    }
  }

  /** One entry of all that can be written now. */
  #prepare(): { entry: LogEntry; taken: Submitted[] } {
    let entry: LogEntry = {}
    const taken: Submitted[] = []
    const left: Submitted[] = []
    for (const submitted of this.#queue) {
      try {
        const part = submitted.change.prepare(this.#state)
        if (part === 'needless') submitted.resolve(undefined)
        // An entry has one claim: its number is the claim's.
        else if (part === 'later' || (part.claim !== undefined && entry.claim !== undefined)) left.push(submitted)
        else {
          entry = merge(entry, part)
          taken.push(submitted)
          left.push(submitted)
        }
      } catch (error) {
        submitted.reject(error)
      }
    }
    this.#queue = left
    return { entry, taken }
  }

  /** Tries to take the next place; its number when this entry is there, undefined when another one is. Until then it is repeated as it is. */
  async #append(entry: LogEntry): Promise<number | undefined> {
    const { store, writer, onError, onConflict, onWritten, retryDelay = 100 } = this.#options
    const seq = this.#state.next
    const row = { seq, entry: randomBytes(12).toString('hex'), writer, body: encodeEntry(entry) }
    const attempt = { seq, entry: row.entry, won: undefined as boolean | undefined }
    this.#attempt = attempt
    for (let failures = 0; !this.#closing.signal.aborted; ) {
      try {
        await store.append(row)
        await this.#read()
        if (attempt.won === true) {
          onWritten?.()
          return seq
        }
        if (this.#state.next > seq) {
          onConflict?.()
          return undefined
        }
        throw new Error('an entry of the shared ledger was taken and cannot be read')
      } catch (error) {
        this.#silent()
        onError?.(error)
        const delay = Math.min(longestDelay, retryDelay * 2 ** failures++)
        await this.#wait(delay, this.#closing.signal)
      }
    }
    return undefined
  }

  /** Applies all there is. One at a time. */
  #read(): Promise<void> {
    const done = this.#reading.then(() => this.#readOn())
    this.#reading = done.catch(() => {})
    return done
  }

  async #readOn(): Promise<void> {
    try {
      if (!this.#loaded && this.#state.next === 0) await this.#loadSnapshot()
      for (;;) {
        const rows = await this.#options.store.read(this.#state.next)
        // Entries are missing: the log was cut while this aggregator was away.
        if (rows.some(({ seq }, i) => seq !== this.#state.next + i)) {
          await this.#loadSnapshot()
          continue
        }
        for (const row of rows) this.#apply(row)
        if (rows.length === 0) break
      }
    } catch (error) {
      this.#silent()
      throw error
    }
    if (!this.#answers) this.#answersSince = this.#now()
    this.#answers = true
    if (!this.#loaded) {
      this.#loaded = true
      this.#loading.resolve()
    }
  }

  #apply(row: LogRow): void {
    this.#state.apply(row)
    this.#heard.set(row.writer, this.#now())
    if (this.#attempt?.seq === row.seq) this.#attempt.won = this.#attempt.entry === row.entry
    this.#changed.resolve()
    this.#changed = untold()
  }

  #silent(): void {
    this.#answers = false
  }

  async #loadSnapshot(): Promise<void> {
    const snapshot = await this.#options.store.readSnapshot()
    if (snapshot === undefined) {
      if (this.#state.next > 0) throw new Error('the log of the shared ledger has a gap and there is no snapshot')
      return
    }
    if (snapshot.upTo <= this.#state.next) throw new Error('the log of the shared ledger has a gap behind its snapshot')
    this.#state = decodeState(snapshot)
  }

  /** Whoever wrote the entry that makes it due writes the snapshot, says so, and drops what it stands for. */
  #maybeSnapshot(): void {
    const { snapshotEntries = 5000, store, onError } = this.#options
    const state = this.#state
    if (this.#snapshotting || state.next - Math.max(0, state.snapshot) < snapshotEntries) return
    this.#snapshotting = true
    const snapshot = { upTo: state.next, lines: encodeState(state) }
    const write = async () => {
      await store.writeSnapshot(snapshot)
      const seq = await this.submit({
        prepare: ({ snapshot: known }) => (known >= snapshot.upTo ? 'needless' : { snapshot: snapshot.upTo }),
      })
      if (seq !== undefined) await store.drop(snapshot.upTo - margin, snapshot.upTo)
    }
    void write()
      .catch((error: unknown) => onError?.(error))
      .finally(() => {
        this.#snapshotting = false
      })
  }
}

/** Whose rejection is told to whoever waits for it, and to nobody else. */
function untold(): PromiseWithResolvers<void> {
  const resolvers = Promise.withResolvers<void>()
  resolvers.promise.catch(() => {})
  return resolvers
}

function merge(a: LogEntry, b: LogEntry): LogEntry {
  const list = <T>(name: keyof LogEntry) => {
    const all = [...((a[name] ?? []) as readonly T[]), ...((b[name] ?? []) as readonly T[])]
    return all.length === 0 ? {} : { [name]: all }
  }
  return {
    ...a,
    ...b,
    ...list('settled'),
    ...list('contested'),
    ...list('resolved'),
    ...list('fences'),
  }
}
