/**
 * Pushes that came lately, by their content: a client that did not get its answer sends the same again, which is answered as the
 * first one was and not stored twice. Forgotten with the process.
 */
import { createHash } from 'node:crypto'

/** How long a client may take to repeat itself, milliseconds: Promtail and Alloy give up after eight and a half minutes. */
const rememberFor = 600_000
const mostRemembered = 10_000

interface Known<Outcome> {
  readonly outcome: Promise<Outcome>
  readonly since: number
}

export class Repeats<Outcome> {
  readonly #known = new Map<string, Known<Outcome>>()

  /** The outcome of what has this content; `take` is called unless it came before and did not fail. */
  once(content: readonly (string | Uint8Array)[], now: number, take: () => Promise<Outcome>): Promise<Outcome> {
    const hash = createHash('sha256')
    for (const part of content) hash.update(part).update('\0')
    const key = hash.digest('base64')
    this.#forget(now)
    const known = this.#known.get(key)
    if (known !== undefined) return known.outcome
    const outcome = take()
    this.#known.set(key, { outcome, since: now })
    outcome.catch(() => this.#known.delete(key)) // told to whoever waits for it
    return outcome
  }

  /** The oldest are the first: none is moved. */
  #forget(now: number): void {
    for (const [key, { since }] of this.#known) {
      if (this.#known.size < mostRemembered && now - since < rememberFor) return
      this.#known.delete(key)
    }
  }
}
