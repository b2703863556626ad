/**
 * The lines a container runtime makes of a record: CRI (`<time> stdout F <text>`) as containerd writes it, or docker's json-file. Long
 * records are split as the runtimes do. Pure.
 */

export type RuntimeFormat = 'cri' | 'docker'
export type Stream = 'stdout' | 'stderr'

/** What surrounds a text in either format, bytes, at most. */
export const runtimeOverhead = 96

/** A clock that never says the same nanosecond twice, and follows the real one as far as that allows. */
export class LineClock {
  #seconds = 0
  #nanoseconds = 0
  #prefix = ''

  /** @param nowMs milliseconds since 1970 */
  catchUp(nowMs: number): void {
    const seconds = Math.floor(nowMs / 1000)
    const nanoseconds = Math.floor((nowMs % 1000) * 1e6)
    if (seconds < this.#seconds || (seconds === this.#seconds && nanoseconds <= this.#nanoseconds)) return
    this.#set(seconds, nanoseconds)
  }

  /** Moves on and writes `2026-11-23T15:34:29.123456789Z`, 30 bytes. */
  write(out: Buffer, at: number): number {
    const next = this.#nanoseconds + 1009
    if (next >= 1e9) this.#set(this.#seconds + 1, next - 1e9)
    else this.#nanoseconds = next
    out.write(this.#prefix, at, 'latin1')
    let rest = this.#nanoseconds
    for (let i = 28; i >= 20; i--) {
      out[at + i] = 0x30 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    out[at + 29] = 0x5a
    return at + 30
  }

  #set(seconds: number, nanoseconds: number): void {
    if (seconds !== this.#seconds) this.#prefix = `${new Date(seconds * 1000).toISOString().slice(0, 19)}.`
    this.#seconds = seconds
    this.#nanoseconds = nanoseconds
  }
}

/** Writes what precedes the text. */
export function beginLine(
  out: Buffer,
  at: number,
  format: RuntimeFormat,
  clock: LineClock,
  stream: Stream,
  partial: boolean,
): number {
  if (format === 'docker') return at + out.write('{"log":"', at, 'latin1')
  const p = clock.write(out, at)
  return p + out.write(` ${stream} ${partial ? 'P' : 'F'} `, p, 'latin1')
}

/** Writes what follows the text, with the LF. */
export function endLine(
  out: Buffer,
  at: number,
  format: RuntimeFormat,
  clock: LineClock,
  stream: Stream,
  partial: boolean,
): number {
  if (format === 'cri') {
    out[at] = 0x0a
    return at + 1
  }
  let p = at + out.write(`${partial ? '' : '\\n'}","stream":"${stream}","time":"`, at, 'latin1')
  p = clock.write(out, p)
  return p + out.write('"}\n', p, 'latin1')
}

/** Where the piece of a text that begins at `start` ends. docker's pieces are JSON strings, so they end between characters. */
export function pieceEnd(text: Buffer, start: number, pieceBytes: number, format: RuntimeFormat): number {
  let end = Math.min(start + pieceBytes, text.length)
  if (format === 'docker') while (end < text.length && (text[end]! & 0xc0) === 0x80) end--
  return end
}
