/** The sources whose files were gone when the collector started, until their loss is acknowledged. */
import type { LossReason } from '@tributary/protocol/chunk.ts'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import type { Courier } from '../forward/courier.ts'
import type { Spool } from '../spool/spool.ts'
import { askedOf } from './asked.ts'
import type { Generation } from './generation.ts'
import type { Identifier } from './identifier.ts'
import { isGone, orphanOf, spoolOrphanOf } from './orphan.ts'

/** How long after the start a source without a file counts as deleted, ms: its directory may be mounted or listed late. */
const graceMs = 5000

export interface OrphansOptions {
  readonly config: { readonly cluster: string; readonly node: string }
  readonly courier: Pick<Courier, 'ask'>
  readonly identifier: Identifier
  readonly spool: Spool
  /** Gives up what is unread of a source. */
  lost(generation: Generation, reason: LossReason): void
  /** The ledger has answered: there is something to tell it. */
  onAnswered(): void
}

export class Orphans {
  readonly #options: OrphansOptions
  #generations: Generation[] = []
  #seekAt = performance.now() + graceMs

  constructor(options: OrphansOptions) {
    this.#options = options
  }

  get generations(): readonly Generation[] {
    return this.#generations
  }

  /** It is time to look for sources without a file again. */
  isDue(now: number): boolean {
    return now >= this.#seekAt
  }

  /**
   * What sources of the checkpoints whose files are gone had unread is lost, and said so.
   *
   * @param complete every log was looked at: what no file was found for has none
   */
  seek(now: number, complete: boolean): void {
    this.#seekAt = now + graceMs
    if (!complete) return
    const { config, courier, identifier, spool, lost, onAnswered } = this.#options
    const damaged = spool.damaged.splice(0)
    for (const { source } of damaged) identifier.claim(source)
    const cutOff = identifier.unclaimed().filter((one) => identifier.isCutOff(one))
    for (const { source } of cutOff) identifier.claim(source)
    const gone = identifier.unclaimed().filter(isGone)
    for (const { source } of gone) identifier.claim(source)
    const orphansOf = (checkpoints: readonly Checkpoint[], lostAs: LossReason) =>
      checkpoints
        .filter(({ done }) => !done)
        .map((checkpoint) => Object.assign(orphanOf(checkpoint, config, now), { lostAs }))
    const orphans = [
      ...orphansOf(cutOff, 'truncated'),
      ...orphansOf(gone, 'deleted'),
      ...damaged.map((name) => spoolOrphanOf(name, identifier.checkpointOf(name.source), config, now)),
    ]
    if (orphans.length === 0) return
    this.#generations.push(...orphans)
    for (const orphan of orphans) orphan.state = 'asking'
    void courier.ask(orphans.map(askedOf)).then((answers) => {
      for (const orphan of orphans) {
        orphan.resume(answers.get(orphan.source) ?? [])
        lost(orphan, orphan.lostAs!)
      }
      onAnswered()
    })
  }

  /** Lets go of those whose loss is acknowledged. */
  retire(): void {
    for (const orphan of this.#generations) if (orphan.ended && orphan.frontier.inFlight === 0) orphan.state = 'done'
    this.#generations = this.#generations.filter(({ state }) => state !== 'done')
  }
}
