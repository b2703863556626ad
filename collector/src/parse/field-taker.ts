import { reservedAttributes } from '../filter/record-view.ts'
import { levelOf } from './level.ts'
import type { TakeField } from './parser.ts'

/** Fields of one line that become attributes; further ones are left in the line only. */
export const maxFields = 32
/** Characters of one value, and of all of a line's fields together: what is longer is cut, or left in the line only. */
export const maxValue = 1024
export const maxTotal = 8192
const maxName = 128
/** Names that are sanitized once; beyond it they are sanitized each time. */
const rememberedNames = 1024

/** Takes the fields of one line after another, with names as attributes may have them and within the caps. */
export class FieldTaker {
  readonly fields = new Map<string, string>()
  readonly #taken: ReadonlySet<string>
  readonly #names = new Map<string, string>()
  #total = 0

  /** @param labels names that a field may not have; such a field's becomes `<name>_extracted` */
  constructor(labels: Iterable<string>) {
    this.#taken = new Set([...labels, ...reservedAttributes, 'parse_error'])
  }

  begin(): void {
    this.fields.clear()
    this.#total = 0
  }

  readonly take: TakeField = (name, value) => {
    const level = levelOf(name, value)
    if (level !== undefined) this.fields.set('detected_level', level)
    if (value === '' || this.fields.size >= maxFields) return
    const short = value.length > maxValue ? cut(value) : value
    const attribute = this.#names.get(name) ?? this.#sanitize(name)
    const total = this.#total + attribute.length + short.length
    if (total > maxTotal || attribute === '') return
    this.#total = total
    this.fields.set(attribute, short)
  }

  #sanitize(name: string): string {
    let attribute = name.slice(0, maxName).replace(/[^A-Za-z0-9_]/g, '_')
    if (/^\d/.test(attribute)) attribute = `_${attribute}`
    if (this.#taken.has(attribute)) attribute += '_extracted'
    if (this.#names.size < rememberedNames && name.length <= maxName) this.#names.set(name, attribute)
    return attribute
  }
}

/** Without half of a character. */
function cut(value: string): string {
  const last = value.charCodeAt(maxValue - 1)
  return value.slice(0, last >= 0xd800 && last < 0xdc00 ? maxValue - 1 : maxValue)
}
