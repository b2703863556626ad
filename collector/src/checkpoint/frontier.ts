/** How far a source is acknowledged without a gap: what may be read again from after a crash, and no earlier byte. Pure. */
export interface Tail {
  /** How many bytes before the position the checksum covers. */
  readonly length: number
  readonly crc: number
}

interface Sent {
  readonly end: number
  readonly tail: Tail
  acked: boolean
}

export class Frontier {
  #offset: number
  #tail: Tail
  readonly #sent: Sent[] = []

  constructor(offset: number, tail: Tail) {
    this.#offset = offset
    this.#tail = tail
  }

  /** End of the unbroken acknowledged prefix, bytes. */
  get offset(): number {
    return this.#offset
  }

  /** What stands before {@link offset} in the source, to recognise it again. */
  get tail(): Tail {
    return this.#tail
  }

  get inFlight(): number {
    return this.#sent.length
  }

  /** Books the next chunk, which ends at `end`; chunks are booked in the order of the source. Call the result when it is acknowledged. */
  sent(end: number, tail: Tail): () => void {
    const sent: Sent = { end, tail, acked: false }
    this.#sent.push(sent)
    return () => {
      sent.acked = true
      while (this.#sent[0]?.acked) {
        const { end, tail } = this.#sent.shift()!
        this.#offset = end
        this.#tail = tail
      }
    }
  }
}
