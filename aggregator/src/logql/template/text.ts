/** Functions on text. Those with a capital are LogQL's own, with the text first; the others take it last, for pipelines. */
import { TemplateError } from './error.ts'
import { fn, limited, maxText, type TemplateFunction } from './signature.ts'

const trimLeft = (text: string, characters: string): string => {
  const set = new Set(characters)
  const all = [...text]
  let at = 0
  while (at < all.length && set.has(all[at]!)) at++
  return all.slice(at).join('')
}
const trimRight = (text: string, characters: string): string => {
  const set = new Set(characters)
  const all = [...text]
  while (all.length > 0 && set.has(all.at(-1)!)) all.pop()
  return all.join('')
}
const trim = (text: string, characters: string): string => trimRight(trimLeft(text, characters), characters)
const trimPrefix = (text: string, prefix: string): string =>
  text.startsWith(prefix) ? text.slice(prefix.length) : text
const trimSuffix = (text: string, suffix: string): string =>
  suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text
const trimSpace = (text: string): string => text.replace(/^[\s\u0085]+|[\s\u0085]+$/g, '')

/** Go's strings.Replace: an empty text stands before every character and at the end; a negative count means all. */
function replace(text: string, old: string, by: string, count: bigint): string {
  if (count === 0n || old === by) return text
  const pieces = old === '' ? ['', ...text] : text.split(old)
  const most = count < 0n ? Number.POSITIVE_INFINITY : Number(count)
  const joined = pieces.reduce((out, piece, i) => out + (i <= most ? by : old) + piece)
  const atEnd = old === '' && pieces.length <= most ? by : ''
  return limited((old === '' && pieces.length > 0 ? joined : joined) + atEnd)
}

function alignLeft(width: bigint, text: string): string {
  const all = [...text]
  const count = Number(width)
  if (count < 0 || count === all.length) return text
  return count > all.length ? text + pad(count - all.length) : all.slice(0, count).join('')
}

function alignRight(width: bigint, text: string): string {
  const all = [...text]
  const count = Number(width)
  if (count < 0 || count === all.length) return text
  return count > all.length ? pad(count - all.length) + text : all.slice(all.length - count).join('')
}

function pad(count: number): string {
  if (count > maxText) throw new TemplateError('the result is too large')
  return ' '.repeat(count)
}

function repeat(count: bigint, text: string): string {
  if (count < 0n) throw new TemplateError('strings: negative Repeat count')
  if (Number(count) * text.length > maxText) throw new TemplateError('the result is too large')
  return text.repeat(Number(count))
}

/** Positions are bytes. */
function slice(text: string, start: number, end: number): string {
  const bytes = Buffer.from(text)
  if (start < 0 || end > bytes.length || start > end)
    throw new TemplateError(`runtime error: slice bounds out of range [${start}:${end}]`)
  return bytes.toString('utf8', start, end)
}

function trunc(length: bigint, text: string): string {
  const size = Buffer.byteLength(text)
  const count = Number(length)
  if (count < 0 && size + count > 0) return slice(text, size + count, size)
  return count >= 0 && size > count ? slice(text, 0, count) : text
}

function substr(start: bigint, end: bigint, text: string): string {
  const size = Buffer.byteLength(text)
  if (start < 0n) return slice(text, 0, Number(end))
  return slice(text, Number(start), end < 0n || Number(end) > size ? size : Number(end))
}

function indent(spaces: bigint, text: string): string {
  const space = repeat(spaces, ' ')
  return limited(space + text.replaceAll('\n', `\n${space}`))
}

function decodeBase64(text: string): string {
  const rest = text.length % 4
  const padded = rest === 2 || rest === 3 ? text + '='.repeat(4 - rest) : text
  const clean = padded.replace(/[\r\n]/g, '')
  const wrong = /[^A-Za-z0-9+/=]|=(?!=?$)/.exec(clean)
  if (wrong || clean.length % 4 !== 0)
    return `illegal base64 data at input byte ${wrong?.index ?? clean.length - (clean.length % 4)}`
  return Buffer.from(clean, 'base64').toString('utf8')
}

const title = (text: string): string =>
  text.replace(/(^|[^\p{L}\p{Nd}_'’])(\p{L})/gu, (_, before: string, letter: string) => before + letter.toUpperCase())

const lower = fn('s', (text: string) => text.toLowerCase())
const upper = fn('s', (text: string) => text.toUpperCase())

export const textFunctions: Readonly<Record<string, TemplateFunction>> = {
  ToLower: lower,
  ToUpper: upper,
  Replace: fn('sssi', replace),
  Trim: fn('ss', trim),
  TrimLeft: fn('ss', trimLeft),
  TrimRight: fn('ss', trimRight),
  TrimPrefix: fn('ss', trimPrefix),
  TrimSuffix: fn('ss', trimSuffix),
  TrimSpace: fn('s', trimSpace),
  alignLeft: fn('is', alignLeft),
  alignRight: fn('is', alignRight),
  b64dec: fn('s', decodeBase64),
  b64enc: fn('s', (text: string) => Buffer.from(text).toString('base64')),
  lower,
  upper,
  title: fn('s', title),
  trunc: fn('is', trunc),
  substr: fn('iis', substr),
  contains: fn('ss', (part: string, text: string) => text.includes(part)),
  hasPrefix: fn('ss', (part: string, text: string) => text.startsWith(part)),
  hasSuffix: fn('ss', (part: string, text: string) => text.endsWith(part)),
  indent: fn('is', indent),
  nindent: fn('is', (spaces: bigint, text: string) => `\n${indent(spaces, text)}`),
  replace: fn('sss', (old: string, by: string, text: string) => replace(text, old, by, -1n)),
  repeat: fn('is', repeat),
  trim: fn('s', trimSpace),
  trimAll: fn('ss', (characters: string, text: string) => trim(text, characters)),
  trimSuffix: fn('ss', (suffix: string, text: string) => trimSuffix(text, suffix)),
  trimPrefix: fn('ss', (prefix: string, text: string) => trimPrefix(text, prefix)),
}
