/**
 * The ledger on disk (docs/formats/ledger.md): one JSON line that says what the file is and up to which position of the write-ahead log it
 * goes, one per source, one with their number and a CRC-32 of all before it.
 */
import { crc32 } from 'node:zlib'
import type { FilterReason, LossReason } from '@tributary/protocol/chunk.ts'
import { type ByteRanges, unionOf } from '@tributary/protocol/ranges.ts'
import { formatPosition, parsePosition, type WalPosition } from '../wal/position.ts'
import { Account } from './account.ts'

const version = 1

interface Line {
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
}

/** Sources encoded between two turns of the event loop: about 5 ms of work. */
const sliceSources = 500

/** `lines` as {@link encodeAccount} makes them. */
export async function encodeSnapshot(upTo: WalPosition, lines: readonly string[]): Promise<Buffer> {
  const head = `${JSON.stringify({ format: 'tributary-ledger', version, upTo: formatPosition(upTo) })}\n`
  const pieces = [Buffer.from(head)]
  let crc = crc32(head)
  for (let at = 0; at < lines.length; at += sliceSources) {
    const piece = Buffer.from(`${lines.slice(at, at + sliceSources).join('\n')}\n`)
    crc = crc32(piece, crc)
    pieces.push(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  pieces.push(Buffer.from(`${JSON.stringify({ sources: lines.length, crc32: crc })}\n`))
  return Buffer.concat(pieces)
}

export function encodeAccount(account: Account): string {
  const { source, path, labels, metadata, seen, records, touched, stored } = account
  const line: Line = {
    ...{ source, path, labels, metadata, seen, records, touched, stored },
    filtered: Object.fromEntries(account.filtered),
    lost: Object.fromEntries(account.lost),
  }
  return JSON.stringify(line)
}

/** Throws with what is wrong when the bytes are not a ledger's. */
export function decodeSnapshot(bytes: Buffer): { upTo: WalPosition; accounts: Account[] } {
  const lastLine = bytes.lastIndexOf(10, bytes.length - 2) + 1
  const body = bytes.subarray(0, lastLine)
  const { sources, crc32: expected } = JSON.parse(bytes.toString('utf8', lastLine)) as {
    sources: number
    crc32: number
  }
  if (crc32(body) !== expected) throw new Error('the checksum differs')
  const [first, ...lines] = body.toString('utf8').trimEnd().split('\n')
  const head = JSON.parse(first ?? '{}') as { format?: string; version?: number; upTo?: string }
  if (head.format !== 'tributary-ledger') throw new Error('not a ledger')
  if (head.version !== version) throw new Error(`version ${head.version}, this aggregator reads ${version}`)
  const upTo = parsePosition(head.upTo ?? '')
  if (upTo === undefined || lines.length !== sources) throw new Error('its head or its number of sources does not fit')
  return { upTo, accounts: lines.map(decodeAccount) }
}

function decodeAccount(text: string): Account {
  const line = JSON.parse(text) as Line
  const account = new Account(line.source)
  const { path, labels, metadata, seen, records, touched, stored } = line
  Object.assign(account, { path, labels, metadata, seen, records, touched, stored })
  for (const [reason, ranges] of Object.entries(line.filtered)) account.filtered.set(reason as FilterReason, ranges)
  for (const [reason, ranges] of Object.entries(line.lost)) account.lost.set(reason as LossReason, ranges)
  account.accepted = unionOf(stored, ...account.filtered.values(), ...account.lost.values())
  return account
}
