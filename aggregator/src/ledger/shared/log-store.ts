/** Where the log of the shared ledger lies: what is needed of it, and how ClickHouse does it (docs/formats/shared-ledger.md). */
import type { StoreClient } from '../../store/client.ts'
import { LogBlock } from '../../store/log-block.ts'
import { encodeBlock, StringColumn, UInt64Column } from '../../store/native.ts'
import type { LogRow } from './entry.ts'
import type { OpenClaim } from './state.ts'

export interface LedgerSnapshot {
  /** The entries before it are in the snapshot. */
  readonly upTo: number
  readonly lines: readonly string[]
}

export interface LogStore {
  /**
   * Puts an entry in place `row.seq` unless that is taken, which is no error: read, and see whose it is. After any error the entry
   * may be there or not, or come to be there later.
   */
  append(row: Omit<LogRow, 'at'>): Promise<void>
  /** Entries from a number on, in order; the one that counts first where a place has more than one. Not necessarily all of them. */
  read(from: number): Promise<LogRow[]>
  /** The newest snapshot there is. */
  readSnapshot(): Promise<LedgerSnapshot | undefined>
  /** Writing the same again changes nothing. */
  writeSnapshot(snapshot: LedgerSnapshot): Promise<void>
  /** Entries before `entries`, and snapshots before `snapshots`, are not needed any more. */
  drop(entries: number, snapshots: number): Promise<void>
  /**
   * Sees to it that the rows of a claim's day either are in the store or never will be; whether they are.
   *
   * @param old so much was inserted since that the store may have forgotten the claim's token
   */
  decide(ledger: string, claim: OpenClaim, day: number, old: boolean): Promise<boolean>
}

/** The name under which the rows of one day of a claim are inserted, or a tombstone in their place. */
export function claimToken(ledger: string, claim: number, day: number): string {
  return `${ledger}/${claim}:${day}`
}

/** Entries of one partition of the log. */
export const partitionEntries = 1000
const readLimit = 1000
const secondsOfDay = 86_400

export class ClickHouseLog implements LogStore {
  readonly #client: StoreClient

  constructor(client: StoreClient) {
    this.#client = client
  }

  async append({ seq, entry, writer, body }: Omit<LogRow, 'at'>): Promise<void> {
    const columns = [new UInt64Column('seq'), ...['entry', 'writer', 'body'].map((name) => new StringColumn(name))]
    const [number, ...texts] = columns as [UInt64Column, ...StringColumn[]]
    number.append(seq)
    for (const [i, text] of [entry, writer, body].entries()) appendText(texts[i]!, text)
    const names = columns.map(({ name }) => name)
    await this.#client.insertNative('ledger_log', names, encodeBlock(columns), `ledger:${seq}`, this.#writing)
  }

  async read(from: number): Promise<LogRow[]> {
    const { rows } = await this.#client.query<Record<'seq' | 'entry' | 'writer' | 'body' | 'at', string>>(
      `SELECT seq, entry, writer, body, toUnixTimestamp64Milli(written) AS at FROM ledger_log
       WHERE seq >= {from:UInt64} ORDER BY seq, written, entry LIMIT 1 BY seq LIMIT ${readLimit}`,
      { from },
      this.#reading,
    )
    return rows.map(({ seq, at, ...row }) => ({ ...row, seq: Number(seq), at: Number(at) }))
  }

  async readSnapshot(): Promise<LedgerSnapshot | undefined> {
    const { rows } = await this.#client.query<{ up_to: string; line: string }>(
      `SELECT up_to, line FROM ledger_snapshots
       WHERE up_to = (SELECT max(up_to) FROM ledger_snapshots) ORDER BY number`,
      {},
      this.#reading,
    )
    return rows.length === 0 ? undefined : { upTo: Number(rows[0]!.up_to), lines: rows.map(({ line }) => line) }
  }

  async writeSnapshot({ upTo, lines }: LedgerSnapshot): Promise<void> {
    const [position, number, text] = [new UInt64Column('up_to'), new UInt64Column('number'), new StringColumn('line')]
    for (const [i, line] of lines.entries()) {
      position.append(upTo)
      number.append(i)
      appendText(text, line)
    }
    const names = [position, number, text].map(({ name }) => name)
    const rows = encodeBlock([position, number, text])
    await this.#client.insertNative('ledger_snapshots', names, rows, `snapshot:${upTo}`, this.#writing)
  }

  async drop(entries: number, snapshots: number): Promise<void> {
    await this.#dropPartitions('ledger_log', `intDiv(seq, ${partitionEntries})`, Math.floor(entries / partitionEntries))
    await this.#dropPartitions('ledger_snapshots', 'up_to', snapshots)
  }

  async decide(ledger: string, claim: OpenClaim, day: number, old: boolean): Promise<boolean> {
    const parameters = { ledger, claim: claim.seq, day }
    await this.#insertTombstone(ledger, claim, day)
    const { rows } = await this.#client.query<{ n: string }>(
      `SELECT count() AS n FROM logs
       WHERE tenant = '' AND sid = {claim:UInt64} AND line = {ledger:String} AND toDate(ts) = toDate({day:UInt16})`,
      parameters,
      this.#reading,
    )
    if (rows[0]?.n === '0') return true
    return old && (await this.#hasRows(claim, day))
  }

  /** A row that no query can find takes the place of the claim's: of two inserts with one token the store takes the first. */
  async #insertTombstone(ledger: string, { seq, shard }: OpenClaim, day: number): Promise<void> {
    const block = new LogBlock()
    block.setStream({ ...nobody, sid: BigInt(seq) })
    const text = Buffer.from(ledger)
    block.add(day * secondsOfDay, 0, 0, '', text, 0, text.length)
    await this.#client.insertNative('logs', block.columns, block.encode(), claimToken(ledger, seq, day), {
      // A replica that does not have it yet would say that the claim's rows are in.
      ...this.#writing,
      shard,
    })
  }

  /** Rows of a day are inserted all at once: any one of them stands for all. */
  async #hasRows({ parts }: OpenClaim, day: number): Promise<boolean> {
    const part = parts.find((one) => one.day === day && one.records > 0)
    if (part === undefined) return false
    const { rows } = await this.#client.query<{ n: string }>(
      `SELECT count() AS n FROM logs WHERE toDate(ts) = toDate({day:UInt16}) AND source = unhex({source:String})
       AND arrayExists(range -> offset >= range.1 AND offset < range.2, {ranges:Array(Tuple(UInt64, UInt64))})`,
      { day, source: part.source, ranges: `[${part.ranges.map(([first, end]) => `(${first},${end})`).join()}]` },
      { ...this.#reading, maxExecutionSeconds: 600 },
    )
    return rows[0]?.n !== '0'
  }

  async #dropPartitions(table: 'ledger_log' | 'ledger_snapshots', of: string, before: number): Promise<void> {
    if (before <= 0) return
    const { rows } = await this.#client.query<{ id: string }>(
      `SELECT DISTINCT _partition_id AS id FROM ${table} WHERE ${of} < {before:UInt64}`,
      { before },
      this.#reading,
    )
    for (const { id } of rows) {
      if (!/^\w+$/.test(id)) continue
      const drop = `DROP PARTITION ID '${id}'`
      await this.#client.command(this.#client.dialect.alterParts({ name: table, placement: 'everywhere' }, drop))
    }
  }

  get #writing() {
    return { settings: this.#client.dialect.consistentInsert }
  }
  get #reading() {
    return { settings: this.#client.dialect.consistentRead }
  }
}

/** Whose tombstones are: a tenant that nobody can be, and no source. */
const nobody = {
  ...{ tenant: '', cluster: '', namespace: '', pod: '', container: '', node: '', app: '', service_name: '' },
  ...{ stream: '', labels: {}, meta: {}, source: Buffer.alloc(16) },
}

function appendText(column: StringColumn, text: string): void {
  const bytes = Buffer.from(text)
  column.append(bytes, 0, bytes.length)
}
