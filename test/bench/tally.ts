/** Counts, for each container, how often each numbered line came: the other half of {@link Load}. */
import { checkText } from 'tributary/generate/content.ts'

export interface TallyVerdict {
  /** Lines of files that came, each counted once. */
  readonly lines: number
  readonly records: number
  /** Lines that were written and did not come. */
  readonly lost: number
  readonly doubled: number
  /** Lines that are not as they were written. */
  readonly foreign: number
}

export class Tally {
  readonly #seen: Uint8Array[] = []
  lines = 0
  records = 0
  #doubled = 0
  #foreign = 0

  /** Takes one record, whose line may be that of several lines of a file. */
  add(record: Buffer): void {
    this.records++
    for (const line of record.toString('utf8').split('\n')) this.#add(line)
  }

  #add(line: string): void {
    const at = line.indexOf('ctr=')
    const found = at === -1 ? undefined : checkText(line.slice(at))
    if (found === undefined) {
      this.#foreign++
      return
    }
    const seen = this.#room(found.container, found.seq)
    if (seen[found.seq] === 0) this.lines++
    else this.#doubled++
    seen[found.seq] = 1
  }

  #room(container: number, seq: number): Uint8Array {
    const old = this.#seen[container] ?? new Uint8Array(64)
    if (seq < old.length) {
      this.#seen[container] = old
      return old
    }
    const larger = new Uint8Array(Math.max(seq + 1, 2 * old.length))
    larger.set(old)
    this.#seen[container] = larger
    return larger
  }

  /** @param written how many lines each container wrote */
  verdict(written: readonly number[]): TallyVerdict {
    let lost = 0
    let foreign = this.#foreign
    written.forEach((lines, container) => {
      const seen = this.#seen[container] ?? new Uint8Array(0)
      for (let seq = 0; seq < lines; seq++) if (!seen[seq]) lost++
      for (let seq = lines; seq < seen.length; seq++) if (seen[seq]) foreign++
    })
    return { lines: this.lines, records: this.records, lost, doubled: this.#doubled, foreign }
  }
}
