/** The state of the shared ledger as lines of JSON (docs/formats/shared-ledger.md): a head, then one line per source. Pure. */
import type { FilterReason, LossReason } from '@tributary/protocol/chunk.ts'
import { type ByteRanges, unionOf } from '@tributary/protocol/ranges.ts'
import { Account } from '../account.ts'
import { LogVersionError } from './entry.ts'
import type { LedgerSnapshot } from './log-store.ts'
import { type Fence, LedgerState, type OpenClaim, type Writer } from './state.ts'

const version = 1

interface Head {
  readonly v: number
  readonly id: string
  readonly snapshot: number
  readonly claims: readonly OpenClaim[]
  readonly writers: readonly (readonly [string, Writer])[]
  /** Versions that remembered one of each source wrote that alone. */
  readonly fences: readonly (readonly [string, readonly Fence[] | Fence])[]
  readonly sessions: readonly (readonly [string, number])[]
  readonly heardSessions: number
}

interface AccountLine {
  readonly source: string
  readonly path: string
  readonly labels: Record<string, string>
  readonly metadata: Record<string, string>
  readonly seen: number
  readonly records: number
  readonly touched: number
  readonly stored: ByteRanges
  readonly filtered: Record<string, ByteRanges>
  readonly lost: Record<string, ByteRanges>
  readonly leftOut: Record<string, number>
}

export function encodeState(state: LedgerState): string[] {
  const { id, snapshot, heardSessions } = state
  const head: Head = {
    ...{ v: version, id, snapshot, heardSessions },
    claims: [...state.claims.values()],
    writers: [...state.writers],
    fences: [...state.fences],
    sessions: [...state.sessions],
  }
  return [JSON.stringify(head), ...[...state.accounts.values()].map(encodeAccount)]
}

function encodeAccount(account: Account): string {
  const { source, path, labels, metadata, seen, records, touched, stored } = account
  return JSON.stringify({
    ...{ source, path, labels, metadata, seen, records, touched, stored },
    filtered: Object.fromEntries(account.filtered),
    lost: Object.fromEntries(account.lost),
    leftOut: Object.fromEntries(account.leftOut),
  } satisfies AccountLine)
}

/** Throws {@link LogVersionError}. */
export function decodeState({ upTo, lines: [first, ...rest] }: LedgerSnapshot): LedgerState {
  const head = JSON.parse(first!) as Head
  if (head.v !== version)
    throw new LogVersionError(
      `the shared ledger has a snapshot of version ${head.v}, this program reads version ${version}`,
    )
  const state = new LedgerState()
  state.next = upTo
  state.id = head.id
  state.snapshot = head.snapshot
  state.heardSessions = head.heardSessions
  for (const line of rest) {
    const account = decodeAccount(line)
    state.accounts.set(account.source, account)
  }
  for (const [name, writer] of head.writers) state.writers.set(name, writer)
  for (const [source, fences] of head.fences) state.fences.set(source, [fences].flat())
  for (const [session, number] of head.sessions) state.sessions.set(session, number)
  for (const claim of head.claims) state.reopen(claim)
  return state
}

function decodeAccount(line: string): Account {
  const { filtered, lost, leftOut, ...rest } = JSON.parse(line) as AccountLine
  const account = Object.assign(new Account(rest.source), rest)
  for (const [reason, ranges] of Object.entries(filtered)) account.filtered.set(reason as FilterReason, ranges)
  for (const [reason, ranges] of Object.entries(lost)) account.lost.set(reason as LossReason, ranges)
  for (const [reason, bytes] of Object.entries(leftOut)) account.leftOut.set(reason as FilterReason, bytes)
  account.accepted = unionOf(account.stored, ...account.filtered.values(), ...account.lost.values())
  return account
}
