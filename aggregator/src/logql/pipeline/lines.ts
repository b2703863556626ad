/** Lines are bytes and are worked on as text: a byte that is not UTF-8 becomes the lone surrogate U+DC00 + byte (quote.ts), and back. */
import { decodeBytes } from '../quote.ts'

/** The text of `[start, end)`; every other byte sequence has another text. */
export function lineText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end)
  return text.includes('\ufffd') ? decodeBytes(bytes.subarray(start, end)) : text
}

/** Length in bytes of the line that the text stands for. */
export function lineBytes(text: string): number {
  if (text.isWellFormed()) return Buffer.byteLength(text)
  let strange = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0xd800 && code < 0xdc00) i++
    else if (code >= 0xdc00 && code < 0xe000) strange++
  }
  return Buffer.byteLength(text) - 2 * strange
}

/** What clients see of it: bytes that are not UTF-8 as U+FFFD. */
export const shownText = (text: string): string => (text.isWellFormed() ? text : text.toWellFormed())

/** Bytes that are not UTF-8, and U+FFFD itself. */
const invalid = /[\ufffd\udc80-\udcff]/

/** Label values have a space in place of what is not UTF-8. Of a surrogate pair nothing is replaced. */
export function labelText(text: string): string {
  if (!invalid.test(text)) return text
  return text.isWellFormed() ? text.replaceAll('\ufffd', ' ') : text.toWellFormed().replaceAll('\ufffd', ' ')
}

export const hasInvalid = (text: string): boolean => text.includes('\ufffd') || !text.isWellFormed()
