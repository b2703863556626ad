/** Runs the statements of requests on the pool's sessions, and kills those nobody waits for any more. */
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { Readable } from 'node:stream'
import type { ChdbResult, StreamChunk } from 'chdb'
import { parsePart } from './deduplication-log.ts'
import { exception, exceptionCodes, exceptionFrom } from './exception.ts'
import { NewParts, setPartAside } from './new-parts.ts'
import { syncTable } from './repair.ts'
import type { EngineRequest } from './request.ts'
import type { Purpose } from './session-counts.ts'
import type { PooledSession, SessionPool } from './session-pool.ts'
import type { Spool } from './spool.ts'
import { dataInsertOf, insertFromFile, quoteIdentifier, quoteLiteral } from './statement.ts'

/** Threads of a query that begins while rows come in: what takes them has work for one core, and what brings them for another. */
const threadsBesideInserts = Math.max(1, Math.floor(availableParallelism() / 2))
/** Rows count as coming in for so long behind an insert, milliseconds: the next block follows within it. */
const insertPause = 2000

/** A statement that does not stop is asked again this often, in milliseconds: the first time may come before it has begun. */
const killInterval = 100

/** Parts of inserts are always checked. Those of merges, which may be large, while the disk had less than so much free, bytes, */
const shortOfRoom = 64 << 20
/** and for so long afterwards, milliseconds. */
const longestMerge = 30 * 60_000

/** One that has parts. */
interface Table {
  readonly name: string
  readonly directory: string
}

export class Executor {
  readonly #pool: SessionPool
  readonly #spool: Spool
  readonly #onBroken: (part: string, why: string) => Promise<never>
  readonly #parts = new NewParts()
  /** By `database.table`. */
  readonly #tables = new Map<string, Table>()
  #count = 0
  #inserting = 0
  #inserted = Number.NEGATIVE_INFINITY
  /** When the disk was nearly full, of {@link performance.now}. */
  #short = Number.NEGATIVE_INFINITY

  /** @param onBroken the engine has made a part that can't be read, which was set aside: it has to be started anew */
  constructor(pool: SessionPool, spool: Spool, onBroken: (part: string, why: string) => Promise<never>) {
    this.#pool = pool
    this.#spool = spool
    this.#onBroken = onBroken
  }

  /** Resolves when the engine runs statements. */
  async ping(): Promise<void> {
    await this.#pool.run('control', ({ session }) => session.queryAsync('SELECT 1'))
  }

  /** A statement whose result, if any, is wanted whole. */
  run(sql: string, format: string, request: EngineRequest, signal: AbortSignal): Promise<ChdbResult> {
    const purpose: Purpose = /^\s*INSERT\b/i.test(sql) ? 'insert' : 'query'
    return this.#withSession(purpose, sql, request, signal, (pooled) => pooled.session.queryAsync(sql, { format }))
  }

  /** A query whose result is handed on piece by piece; `take` is awaited before the next piece is made. */
  stream(
    sql: string,
    format: string,
    request: EngineRequest,
    signal: AbortSignal,
    take: (chunk: StreamChunk) => Promise<void>,
  ): Promise<void> {
    return this.#withSession('query', sql, request, signal, async (pooled) => {
      try {
        for await (const chunk of pooled.session.queryStream(sql, { format })) {
          signal.throwIfAborted()
          await take(chunk)
        }
      } catch (error) {
        // A stream that was killed stays in the engine's list of queries until its session runs something else.
        await pooled.session.queryAsync('SELECT 1').catch(() => {}) // what went wrong before is what counts
        throw error
      }
    })
  }

  /** `INSERT INTO t (a, b) FORMAT Native` with its rows in `body`, or in the spool. Resolves once the rows are durable. */
  async insert(sql: string, body: Readable, request: EngineRequest, signal: AbortSignal): Promise<ChdbResult> {
    const insert = dataInsertOf(sql)
    if (insert?.format !== 'Native') {
      throw exception(exceptionCodes.unknownFormat, 'UNKNOWN_FORMAT', 'Rows are taken in the format Native only.')
    }
    const rows = request.spooled === undefined ? body : request.spooled
    this.#inserting++
    try {
      return await this.#spool.with(rows, async (path) => {
        const table = await this.#tableOf(insert.table, request.database)
        await this.#parts.begin(table.directory)
        await this.#look(table.directory)
        try {
          const result = await this.run(insertFromFile(insert, path), 'TabSeparated', request, signal)
          await syncTable(table.directory)
          return result
        } finally {
          await this.#check(table, request.database)
        }
      })
    } finally {
      this.#inserting--
      this.#inserted = performance.now()
    }
  }

  /** Queries must not take the cores from what comes in. */
  #threadsOf(purpose: Purpose, { settings }: EngineRequest): readonly (readonly [string, string])[] {
    const free = this.#inserting === 0 && performance.now() - this.#inserted > insertPause
    if (purpose !== 'query' || free || settings.has('max_threads')) return []
    return [['max_threads', String(threadsBesideInserts)]]
  }

  /** Remembers when the disk was nearly full. */
  async #look(directory: string): Promise<void> {
    const { bsize, bavail } = await statfs(directory)
    if (bsize * bavail < shortOfRoom) this.#short = performance.now()
  }

  /** Before anybody is told that rows are durable: are they? */
  async #check({ name, directory }: Table, database: string): Promise<void> {
    await this.#look(directory)
    const wasShort = performance.now() - this.#short < longestMerge
    for (const part of await this.#parts.take(directory)) {
      if (parsePart(part)!.level > 0 && !wasShort) continue
      const sql = `CHECK TABLE ${quoteIdentifier(database)}.${quoteIdentifier(name)} PART ${quoteLiteral(part)}`
      const answer = await this.#pool
        .run('control', ({ session }) => session.queryAsync(sql, { format: 'TabSeparatedRaw' }))
        .then(
          (result) => result.text(),
          () => undefined,
        ) // it was merged meanwhile, or dropped
      const [, isSound, why] = answer?.split('\t') ?? []
      if (isSound !== '0') continue
      await setPartAside(directory, part)
      await this.#onBroken(part, why ?? '')
    }
  }

  /** Where the engine keeps a table. */
  async #tableOf(table: string, database: string): Promise<Table> {
    const key = `${database}.${table}`
    const known = this.#tables.get(key)
    if (known !== undefined && existsSync(known.directory)) return known
    // Of a distributed table it is the one behind it that has parts.
    const names = [table, `${table}_local`].map(quoteLiteral).join(', ')
    const sql = `SELECT data_paths[1], name FROM system.tables
      WHERE database = ${quoteLiteral(database)} AND name IN (${names}) AND engine LIKE '%MergeTree' ORDER BY name LIMIT 1`
    const result = await this.#pool.run('control', ({ session }) =>
      session.queryAsync(sql, { format: 'TabSeparatedRaw' }),
    )
    const [directory = '', name = ''] = result.text().trimEnd().split('\t')
    const found = { name, directory }
    this.#tables.set(key, found)
    return found
  }

  async #withSession<T>(
    purpose: Purpose,
    sql: string,
    request: EngineRequest,
    signal: AbortSignal,
    work: (session: PooledSession) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#pool.run(
        purpose,
        async (session) => {
          const name = `statement-${this.#count++}`
          const settings = new Map([...request.settings, ...this.#threadsOf(purpose, request), ['log_comment', name]])
          await session.prepare(sql, { database: request.database, settings, parameters: request.parameters })
          signal.throwIfAborted()
          using _watch = this.#killWhenAborted(name, signal)
          return await work(session)
        },
        signal,
      )
    } catch (error) {
      if (signal.aborted) throw exception(exceptionCodes.queryCancelled, 'QUERY_WAS_CANCELLED', 'Nobody waits for it.')
      throw exceptionFrom(error)
    }
  }

  #killWhenAborted(name: string, signal: AbortSignal): Disposable {
    let timer: NodeJS.Timeout | undefined
    const kill = () => {
      const sql = `KILL QUERY WHERE Settings['log_comment'] = ${quoteLiteral(name)} ASYNC`
      // When it fails, the statement ends by itself, by its time limit at the latest.
      this.#pool.run('control', ({ session }) => session.queryAsync(sql)).catch(() => {})
    }
    const begin = () => {
      kill()
      timer = setInterval(kill, killInterval)
    }
    signal.addEventListener('abort', begin, { once: true })
    return {
      [Symbol.dispose]() {
        signal.removeEventListener('abort', begin)
        clearInterval(timer)
      },
    }
  }
}
