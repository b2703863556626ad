import { expect, test } from 'vitest'
import { chooseLedger, type LedgerView } from './ledger-choice.ts'

const takeoverAfter = 10_000

/**
 * `A` keeps its own ledger A, `S` shares ledger S, `?` never answered, `!` could not be reached; `-` before it: not listed any more; `~` after it:
 * silent for longer than `takeoverAfter`.
 */
function views(text: string): LedgerView[] {
  return text.split(' ').map((one) => {
    const name = one.replace(/[-~]/g, '')
    return {
      listed: !one.startsWith('-'),
      identity: '?!'.includes(name) ? undefined : { ledger: name, shared: name === 'S' || name === 'T' },
      tried: name === '!' || one.endsWith('~'),
      silentMs: one.endsWith('~') ? takeoverAfter : name === '!' ? 100 : 0,
    }
  })
}

test.for([
  // The first start.
  { found: '?', waited: 9000, chosen: undefined, why: 'nobody answered' },
  { found: 'A', waited: 0, chosen: 'A', why: 'there is one' },
  { found: 'A ?', waited: 100, chosen: undefined, why: 'the other may share a ledger' },
  { found: 'A !', waited: 100, chosen: 'A', why: 'the other was tried' },
  { found: '? B', waited: 2000, chosen: 'B', why: 'the other takes too long' },
  { found: 'S ?', waited: 0, chosen: 'S', why: 'a shared one' },
  { found: 'A B', waited: 0, chosen: 'A', why: 'the first' },
  { found: 'A B B', waited: 0, chosen: 'B', why: 'most keep it' },
  { found: 'A A S', waited: 0, chosen: 'S', why: 'a shared one before others' },
  { found: 'S T T', waited: 0, chosen: 'T', why: 'most share it' },
  { found: '-A', waited: 9000, chosen: undefined, why: 'it is not listed' },
  // It stays for as long as somebody may keep it.
  { current: 'B', found: 'A B', chosen: 'B', why: 'it is there' },
  { current: 'B', found: 'A B~', chosen: 'B', why: 'it is away, and listed' },
  { current: 'B', found: 'S B~', chosen: 'B', why: 'it is away, and listed, whatever else there is' },
  { current: 'B', found: 'A ?', chosen: 'B', why: 'the other may be it' },
  { current: 'B', found: 'A !~', chosen: 'B', why: 'the other may be it, however long it is away' },
  { current: 'B', found: 'S !', chosen: 'B', why: 'the other may be it' },
  { current: 'B', found: 'A -B', chosen: 'B', why: 'it was there a moment ago' },
  { current: 'B', found: '? ?', chosen: 'B', why: 'nobody answered' },
  { current: 'B', found: '-B~', chosen: 'B', why: 'there is no other' },
  // It changes when nobody does.
  { current: 'B', found: 'A', chosen: 'A', why: 'all that are listed keep others' },
  { current: 'B', found: 'A -B~', chosen: 'A', why: 'it left, and is gone' },
  { current: 'B', found: 'S !~', chosen: 'S', why: 'one that never answers does not stop a shared one' },
  { current: 'B', found: 'A S', chosen: 'S', why: 'all keep others: the shared one' },
])('$why: of $found, with $current before, $chosen', ({ current, found, waited = 60_000, chosen }) => {
  expect(chooseLedger(current, views(found), { waitedMs: waited, takeoverAfter })).toBe(chosen)
})
