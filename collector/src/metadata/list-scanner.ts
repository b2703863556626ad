/** Takes the answer to a LIST apart while it comes, one object at a time: a node's pods as one text are several MiB. Pure. */

/** More than an API server stores of one object. */
const maxItemBytes = 8 * 1024 * 1024
/** Of all that is not an object: kind, version, metadata. */
const maxEnvelopeBytes = 64 * 1024

const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = Buffer.from('"\\{}[]')

/** What a list says beside its objects. */
export interface ListEnvelope {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
}

/** Throws when the bytes are not a list. */
export class ListScanner {
  readonly #onItem: (item: unknown) => void
  #depth = 0
  #inString = false
  #escaped = false
  #inItems = false
  #item: Buffer[] = []
  #envelope: Buffer[] = []
  #bytes = 0
  #envelopeBytes = 0

  /** @param onItem gets each object of the list, parsed, before the next is looked at */
  constructor(onItem: (item: unknown) => void) {
    this.#onItem = onItem
  }

  push(piece: Buffer): void {
    let start = 0
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at]
      if (this.#inString) this.#inText(byte!)
      else if (byte === quote) this.#inString = true
      else if (byte === openBrace || byte === openBracket) {
        // The one array directly below the list is that of its objects.
        if (byte === openBracket && this.#depth === 1) {
          this.#keep(piece.subarray(start, at + 1))
          this.#inItems = true
          start = at + 1
        } else if (this.#inItems && this.#depth === 2) start = at
        this.#depth++
      } else if (byte === closeBrace || byte === closeBracket) {
        this.#depth--
        if (this.#inItems && this.#depth === 2) {
          this.#itemEnds(piece.subarray(start, at + 1))
          start = at + 1
        } else if (this.#inItems && this.#depth === 1) {
          this.#inItems = false
          start = at
        }
      }
    }
    this.#keep(piece.subarray(start))
  }

  /** What surrounds the objects, when all was pushed. */
  end(): ListEnvelope {
    const envelope = JSON.parse(Buffer.concat(this.#envelope).toString()) as ListEnvelope | null
    if (typeof envelope !== 'object' || envelope === null) throw new Error('not a list')
    return envelope
  }

  #inText(byte: number): void {
    if (this.#escaped) this.#escaped = false
    else if (byte === backslash) this.#escaped = true
    else if (byte === quote) this.#inString = false
  }

  /** Keeps a view's bytes for later: of the object it belongs to, or of the envelope. Between objects there are only commas. */
  #keep(view: Buffer): void {
    if (this.#inItems) {
      if (this.#depth > 2) this.#item.push(Buffer.from(view))
      this.#bytes += view.length
      if (this.#bytes > maxItemBytes) throw new Error(`an object of more than ${maxItemBytes} bytes`)
    } else {
      this.#envelope.push(Buffer.from(view))
      this.#envelopeBytes += view.length
      if (this.#envelopeBytes > maxEnvelopeBytes) throw new Error('not a list of objects')
    }
  }

  #itemEnds(rest: Buffer): void {
    const text = this.#item.length === 0 ? rest.toString() : Buffer.concat([...this.#item, rest]).toString()
    this.#item = []
    this.#bytes = 0
    this.#onItem(JSON.parse(text))
  }
}
