/**
 * The ledger as lines of text (docs/formats/ledger.md): what the file is and up to which position of the write-ahead log it goes, one line
 * per source, and an end with their number. Each line has a checksum of its own, so that damage costs the sources it lies in. Pure.
 */
import { crc32 } from 'node:zlib'
import type { FilterReason, LossReason } from '@tributary/protocol/chunk.ts'
import { type ByteRanges, unionOf } from '@tributary/protocol/ranges.ts'
import { formatPosition, parsePosition, type WalPosition } from '../wal/position.ts'
import { Account } from './account.ts'

const format = 'tributary-ledger'
const version = 1
const lineFeed = 10
/** Of a line's checksum and the space behind it, in characters. */
const checksumLength = 9

/** Written by a newer version of this program. */
export class LedgerVersionError extends Error {
  override readonly name = 'LedgerVersionError'
}

interface AccountLine {
  source: string
  path: string
  labels: Record<string, string>
  metadata: Record<string, string>
  seen: number
  records: number
  touched: number
  stored: ByteRanges
  filtered: Record<string, ByteRanges>
  lost: Record<string, ByteRanges>
  /** Left out where there is none, as in files of the first version of this program. */
  leftOut?: Record<string, number>
}

interface HeadLine {
  format: string
  version: number
  upTo: string
}

interface EndLine {
  sources: number
}

export interface Snapshot {
  readonly accounts: readonly Account[]
  /** Undefined when the line that says so is damaged. */
  readonly upTo: WalPosition | undefined
  /** What is wrong with it; undefined when it is whole. */
  readonly damage: string | undefined
}

export function encodeHead(upTo: WalPosition): string {
  return lineOf({ format, version, upTo: formatPosition(upTo) } satisfies HeadLine)
}

export function encodeEnd(sources: number): string {
  return lineOf({ sources } satisfies EndLine)
}

export function encodeAccount(account: Account): string {
  const { source, path, labels, metadata, seen, records, touched, stored } = account
  return lineOf({
    ...{ source, path, labels, metadata, seen, records, touched, stored },
    filtered: Object.fromEntries(account.filtered),
    lost: Object.fromEntries(account.lost),
    ...(account.leftOut.size === 0 ? {} : { leftOut: Object.fromEntries(account.leftOut) }),
  } satisfies AccountLine)
}

function lineOf(value: object): string {
  const json = JSON.stringify(value)
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`
}

/** What can be read of a snapshot's bytes. Throws {@link LedgerVersionError}. */
export function decodeSnapshot(bytes: Buffer): Snapshot {
  const accounts: Account[] = []
  let head: HeadLine | undefined
  let sources: number | undefined
  let damaged = 0
  for (let at = 0; at < bytes.length; ) {
    const lf = bytes.indexOf(lineFeed, at)
    const end = lf === -1 ? bytes.length : lf
    const line = decodeLine(bytes.subarray(at, end))
    if (line === undefined) damaged++
    else if ('version' in line) head = checked(line)
    else if ('sources' in line) sources = line.sources
    else accounts.push(decodeAccount(line))
    at = end + 1
  }
  const upTo = head === undefined ? undefined : parsePosition(head.upTo)
  const whole = damaged === 0 && upTo !== undefined && sources === accounts.length
  const damage = `${damaged} damaged lines, ${accounts.length} of ${sources ?? 'an unknown number of'} sources`
  return { accounts, upTo, damage: whole ? undefined : damage }
}

function decodeLine(bytes: Buffer): HeadLine | EndLine | AccountLine | undefined {
  const json = bytes.subarray(checksumLength)
  const checksum = crc32(json).toString(16).padStart(8, '0')
  return bytes.toString('latin1', 0, checksumLength) === `${checksum} ` ? JSON.parse(json.toString('utf8')) : undefined
}

function checked(head: HeadLine): HeadLine {
  if (head.version === version && head.format === format) return head
  throw new LedgerVersionError(
    `the ledger is a ${head.format} of version ${head.version}, this program reads version ${version}: a newer version wrote it`,
  )
}

function decodeAccount(line: AccountLine): Account {
  const account = new Account(line.source)
  const { path, labels, metadata, seen, records, touched, stored } = line
  Object.assign(account, { path, labels, metadata, seen, records, touched, stored })
  for (const [reason, ranges] of Object.entries(line.filtered)) account.filtered.set(reason as FilterReason, ranges)
  for (const [reason, ranges] of Object.entries(line.lost)) account.lost.set(reason as LossReason, ranges)
  for (const [reason, bytes] of Object.entries(line.leftOut ?? {})) account.leftOut.set(reason as FilterReason, bytes)
  account.accepted = unionOf(stored, ...account.filtered.values(), ...account.lost.values())
  return account
}
