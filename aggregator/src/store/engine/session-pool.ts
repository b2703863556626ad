/**
 * The engine's sessions. One session runs one statement at a time, so there are a few: for inserts, for queries, and one to kill
 * queries from. A request's settings and parameters are set on the session before its statement and taken back before the next.
 */
import { drainPending, Session } from 'chdb'
import { exception, exceptionCodes } from './exception.ts'
import { type Purpose, sessionCounts } from './session-counts.ts'
import { parameterNames, quoteIdentifier, setStatement } from './statement.ts'

/** Requests of one purpose that may wait for a session; further ones are refused. */
const maxWaiting = 64

export interface StatementContext {
  readonly database: string
  readonly settings: ReadonlyMap<string, string>
  readonly parameters: ReadonlyMap<string, string>
}

export class PooledSession {
  readonly session: Session
  readonly #base: ReadonlyMap<string, string>
  readonly #parameters = new Set<string>()
  #changed = new Set<string>()
  #database = ''

  constructor(session: Session, base: ReadonlyMap<string, string>) {
    this.session = session
    this.#base = base
  }

  /** Makes the session ready for one statement: its database, its settings and no one else's, its parameters. */
  async prepare(sql: string, context: StatementContext): Promise<void> {
    this.#refuseStaleParameters(sql, context.parameters)
    if (context.database !== this.#database) {
      await this.session.queryAsync(`USE ${quoteIdentifier(context.database)}`)
      this.#database = context.database
    }
    const changes = new Map<string, string | undefined>()
    for (const name of this.#changed) changes.set(name, this.#base.get(name))
    for (const [name, value] of context.settings) changes.set(name, value)
    for (const [name, value] of context.parameters) changes.set(`param_${name}`, value)
    for (const name of context.settings.keys()) this.#changed.add(name)
    const set = setStatement(changes)
    if (set !== '') await this.session.queryAsync(set)
    this.#changed = new Set(context.settings.keys())
    for (const name of context.parameters.keys()) this.#parameters.add(name)
  }

  /** A session keeps the parameters of earlier statements: one that this request forgot must not get an old value. */
  #refuseStaleParameters(sql: string, given: ReadonlyMap<string, string>): void {
    for (const name of parameterNames(sql)) {
      if (this.#parameters.has(name) && !given.has(name)) {
        throw exception(
          exceptionCodes.unknownParameter,
          'UNKNOWN_QUERY_PARAMETER',
          `Substitution \`${name}\` is not set.`,
        )
      }
    }
  }
}

export class SessionPool {
  readonly #free: Record<Purpose, PooledSession[]> = { insert: [], query: [], control: [] }
  readonly #waiting: Record<Purpose, ((session: PooledSession) => void)[]> = { insert: [], query: [], control: [] }
  readonly #sessions: Session[] = []

  private constructor() {}

  /** Opens the store directory. Throws what the engine says when it can't. */
  static async open(
    path: string,
    configFile: string,
    database: string,
    baseOf: (purpose: Purpose) => ReadonlyMap<string, string>,
  ): Promise<SessionPool> {
    const pool = new SessionPool()
    for (const purpose of Object.keys(sessionCounts) as Purpose[]) {
      const base = baseOf(purpose)
      for (let i = 0; i < sessionCounts[purpose]; i++) {
        const session = new Session(path, { connectionArgs: [`--config-file=${configFile}`] })
        pool.#sessions.push(session)
        await session.queryAsync(setStatement(base))
        pool.#free[purpose].push(new PooledSession(session, base))
      }
    }
    await pool.#sessions[0]!.queryAsync(`CREATE DATABASE IF NOT EXISTS ${quoteIdentifier(database)} ENGINE = Atomic`)
    return pool
  }

  /** Runs `work` with a session to itself, in the order of asking. Rejects when `signal` fires before one is free. */
  async run<T>(purpose: Purpose, work: (session: PooledSession) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const session = await this.#take(purpose, signal)
    try {
      return await work(session)
    } finally {
      this.#give(purpose, session)
    }
  }

  #take(purpose: Purpose, signal?: AbortSignal): Promise<PooledSession> {
    signal?.throwIfAborted()
    const free = this.#free[purpose].pop()
    if (free !== undefined) return Promise.resolve(free)
    const waiting = this.#waiting[purpose]
    if (waiting.length >= maxWaiting) {
      const message = `Too many requests wait for a session: ${waiting.length}.`
      return Promise.reject(exception(exceptionCodes.tooManyQueries, 'TOO_MANY_SIMULTANEOUS_QUERIES', message))
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        waiting.splice(waiting.indexOf(granted), 1)
        reject(signal!.reason)
      }
      const granted = (session: PooledSession) => {
        signal?.removeEventListener('abort', abort)
        resolve(session)
      }
      signal?.addEventListener('abort', abort, { once: true })
      waiting.push(granted)
    })
  }

  #give(purpose: Purpose, session: PooledSession): void {
    const next = this.#waiting[purpose].shift()
    if (next === undefined) this.#free[purpose].push(session)
    else next(session)
  }

  /** Waits for what runs, then closes the directory. Leaving while a statement runs would abort the process. */
  async close(): Promise<void> {
    await drainPending()
    for (const session of this.#sessions) session.close()
    await drainPending()
  }
}
