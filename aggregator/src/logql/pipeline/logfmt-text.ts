/** Scans logfmt: `key=value key="quoted" flag`. What is broken is stepped over; the first call behind it tells. */

const quoteMark = 0x22
const equals = 0x3d

export class LogfmtScanner {
  #text = ''
  #at = 0
  key = ''
  value = ''
  /** Of the last thing that was broken; '' when nothing was. */
  error = ''

  begin(text: string): void {
    this.#text = text
    this.#at = 0
    this.error = ''
  }

  get ended(): boolean {
    return this.#at >= this.#text.length
  }

  /** Reads the next pair into `key` and `value`; false when there is none here, at the end or where the text is broken. */
  next(): boolean {
    this.key = ''
    this.value = ''
    this.#skipBlank()
    if (this.ended) return false
    const text = this.#text
    const start = this.#at
    let p = start
    for (; p < text.length; p++) {
      const c = text.charCodeAt(p)
      if (c <= 0x20) break
      if (c === equals || c === quoteMark) break
    }
    this.#at = p
    const mark = p < text.length ? text.charCodeAt(p) : 0
    if (mark === quoteMark) return this.#unexpected('"')
    if (mark === equals && p === start) return this.#unexpected('=')
    this.key = text.slice(start, p)
    if (invalidKey.test(this.key) && !isValid(this.key)) {
      this.#fail('invalid key')
      if (mark === equals) this.#skipWord()
      return false
    }
    return mark === equals ? this.#readValue() : true
  }

  #readValue(): boolean {
    const text = this.#text
    const start = ++this.#at
    if (start >= text.length || text.charCodeAt(start) <= 0x20) return true
    if (text.charCodeAt(start) === quoteMark) return this.#readQuoted()
    let p = start
    for (; p < text.length; p++) {
      const c = text.charCodeAt(p)
      if (c <= 0x20) break
      if (c === equals || c === quoteMark) {
        this.#at = p
        return this.#unexpected(text[p]!)
      }
    }
    this.#at = p
    this.value = text.slice(start, p)
    return true
  }

  #readQuoted(): boolean {
    const text = this.#text
    const start = this.#at
    let escaped = false
    for (let p = start + 1; p < text.length; p++) {
      const c = text.charCodeAt(p)
      if (c === 0x5c) {
        escaped = true
        p++
      } else if (c === quoteMark) {
        this.#at = p + 1
        const raw = text.slice(start + 1, p)
        const value = escaped ? unescapeValue(raw) : raw
        if (value === undefined) return this.#fail('invalid quoted value')
        this.value = value
        return true
      }
    }
    this.#at = text.length
    return this.#fail('unterminated quoted value')
  }

  #skipBlank(): void {
    const text = this.#text
    while (this.#at < text.length && text.charCodeAt(this.#at) <= 0x20) this.#at++
  }

  #skipWord(): void {
    const text = this.#text
    while (this.#at < text.length && text.charCodeAt(this.#at) > 0x20) this.#at++
  }

  #unexpected(character: string): false {
    this.#fail(`unexpected '${character}'`)
    this.#skipWord()
    return false
  }

  #fail(message: string): false {
    const position = Buffer.byteLength(this.#text.slice(0, this.#at).toWellFormed()) + 1
    this.error = `logfmt syntax error at pos ${position} : ${message}`
    return false
  }
}

const invalidKey = /[\ufffd\udc80-\udcff]/
const isValid = (key: string): boolean => key.isWellFormed() && !key.includes('\ufffd')

const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  "'": "'",
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/** As in JSON, but half of a surrogate pair is replaced. */
function unescapeValue(raw: string): string | undefined {
  let wrong = false
  const out = raw.replace(/\\(u[\da-fA-F]{4}|[^u]|u)/gs, (_, code: string) => {
    if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    const plain = escapes[code]
    if (plain === undefined) wrong = true
    return plain ?? ''
  })
  return wrong ? undefined : out
}
