/**
 * What survives everything: the store that all share, which knows tokens as the engine does, and the time. Whatever anybody waits for, an
 * answer of the store or a while, is a step here, and goes on when the run takes it: nothing else decides what comes next.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import type { LogRow } from '../entry.ts'
import { claimToken, type LedgerSnapshot, type LogStore } from '../log-store.ts'
import type { Random } from './random.ts'

/** Bytes of a record; its day is that of its first byte. */
export interface Row {
  readonly source: number
  readonly range: ByteRange
}

/** What becomes of a request: done and answered, done and not answered, not done, given up and done later, or its aggregator dies. */
export type Fate = 'done' | 'unanswered' | 'refused' | 'late' | 'dies before' | 'dies after'

/** Whoever waits; nothing comes to the dead. */
export interface Waiting {
  readonly name: string
  readonly alive: boolean
  die(): Promise<never>
}

export interface Step {
  readonly of: Waiting
  readonly what: string
  /** Waiting for time to pass: nothing can go wrong with it. */
  readonly isWait: boolean
  readonly go: (fate: Fate) => void
  /** What a request does to the store. */
  readonly effect?: () => void
}

export class World {
  readonly log: LogRow[] = []
  readonly inserted = new Map<string, readonly Row[] | 'tombstone'>()
  /** What happened how often. */
  readonly happened = new Map<string, number>()
  /** What happened one after the other; undefined when nobody wants to know. */
  readonly trace: string[] | undefined
  readonly snapshotEntries: number
  snapshot: LedgerSnapshot | undefined
  time = 0
  #steps: Step[] = []
  /** Requests that are still on their way, though nobody waits for an answer any more. */
  readonly #late: Step[] = []
  readonly #tokens = new Set<string>()

  constructor(options: { readonly snapshotEntries: number; readonly traced: boolean }) {
    this.snapshotEntries = options.snapshotEntries
    this.trace = options.traced ? [] : undefined
  }

  count(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1)
  }

  tell(what: () => string): void {
    this.trace?.push(`${String(this.time).padStart(6)} ${what()}`)
  }

  /** All rows. */
  rows(): Row[] {
    return [...this.inserted.values()].flatMap((rows) => (rows === 'tombstone' ? [] : rows))
  }

  /** What the living wait for. */
  steps(): readonly Step[] {
    if (this.#steps.every(({ of }) => of.alive)) return this.#steps
    this.#late.push(...this.#steps.filter(({ of, isWait }) => !of.alive && !isWait))
    this.#steps = this.#steps.filter(({ of }) => of.alive)
    return this.#steps
  }

  /** A request arrives that nobody waits for, or is lost on its way. */
  arrive(random: Random): void {
    if (this.#late.length === 0) return
    const [step] = this.#late.splice(random.next(this.#late.length), 1) as [Step]
    if (random.next(3) === 0) return
    this.count(`late: ${step.what}`)
    this.tell(() => `${step.of.name}: ${step.what}: arrives late`)
    step.effect?.()
  }

  /** Lets a step go on, and all that follows from it without waiting for another one. */
  async take(step: Step, fate: Fate): Promise<void> {
    this.#steps.splice(this.#steps.indexOf(step), 1)
    if (fate !== 'done') this.count(fate)
    if (fate === 'unanswered' || fate.startsWith('dies')) this.count(`${fate}: ${step.what}`)
    if (fate !== 'done') this.tell(() => `${step.of.name}: ${step.what}: ${fate}`)
    if (fate === 'late') this.#late.push(step)
    step.go(fate)
    await quiet()
  }

  /** Resolves when the run wants it, or with the signal. */
  wait(of: Waiting, what: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const end = () => {
        signal?.removeEventListener('abort', end)
        this.#steps = this.#steps.filter((one) => one !== step)
        resolve()
      }
      const step: Step = { of, what, isWait: true, go: end }
      signal?.addEventListener('abort', end)
      this.#steps.push(step)
    })
  }

  /** A request to the store. */
  async request<T>(of: Waiting, what: string, effect: () => T): Promise<T> {
    const fate = await new Promise<Fate>((go) => this.#steps.push({ of, what, isWait: false, go, effect }))
    if (fate === 'dies before') return await of.die()
    if (fate === 'late') throw new Error('no answer in time')
    if (fate === 'refused') throw new Error('the store is away')
    const result = effect()
    if (fate === 'dies after') return await of.die()
    if (fate === 'unanswered') throw new Error('the connection broke')
    return result
  }

  /** Rows of a claim's day, or a tombstone in their place: whichever came first is there. */
  insert(by: Waiting, token: string, rows: readonly Row[] | 'tombstone'): void {
    const isFirst = this.#takes(token)
    if (isFirst) this.inserted.set(token, rows)
    // The ledger's name is random, the rest of the token is not.
    this.tell(() => `${by.name}: ${isFirst ? '' : 'too late, '}${token.split('/')[1]} ${wordsOf(rows)}`)
  }

  /** The ledger's part of the store, as one aggregator sees it. */
  storeOf(of: Waiting): LogStore {
    const ask = <T>(what: string, effect: () => T) => this.request(of, what, effect)
    return {
      append: (row) => ask('append', () => this.#append(of, { ...row, at: this.time })),
      // Few at a time: others write while somebody reads.
      read: (from) => ask('read', () => this.log.filter(({ seq }) => seq >= from).slice(0, 5)),
      readSnapshot: () => ask('read snapshot', () => this.snapshot),
      writeSnapshot: (snapshot) =>
        ask('write snapshot', () => {
          if (snapshot.upTo > (this.snapshot?.upTo ?? -1)) this.snapshot = snapshot
          this.count('snapshot')
          this.tell(() => `${of.name}: snapshot of what is before ${snapshot.upTo}`)
        }),
      drop: () =>
        ask('drop', () => {
          const before = this.snapshot?.upTo ?? 0
          this.log.splice(0, this.log.filter(({ seq }) => seq < before).length)
        }),
      decide: (ledger, claim, day) =>
        ask('decide', () => {
          const token = claimToken(ledger, claim.seq, day)
          this.insert(of, token, 'tombstone')
          return this.inserted.get(token) !== 'tombstone'
        }),
    }
  }

  #append(by: Waiting, row: LogRow): void {
    if (!this.#takes(`ledger:${row.seq}`)) return
    this.log.push(row)
    this.tell(() => `${by.name}: entry ${row.seq} ${row.body}`)
  }

  #takes(token: string): boolean {
    if (this.#tokens.has(token)) return false
    this.#tokens.add(token)
    return true
  }
}

/** Resolves when all that could go on has: whoever is left waits for a step. */
export async function quiet(): Promise<void> {
  await turn()
}

function wordsOf(rows: readonly Row[] | 'tombstone'): string {
  if (rows === 'tombstone') return rows
  return `rows ${rows.map(({ source, range: [first, end] }) => `${source}:${first}-${end}`).join(' ')}`
}
