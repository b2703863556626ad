import { reservedAttributes } from '../filter/record-view.ts'
import { isLevelName, levelNamed } from './level.ts'
import type { TakeField } from './parser.ts'

/** Fields of one line that become attributes; further ones are left in the line only. */
export const maxFields = 32
/** Characters of one value, and of all of a line's fields together: what is longer is cut, or left in the line only. */
export const maxValue = 1024
export const maxTotal = 8192
const maxName = 128
/** Names that are sanitized once; beyond it they are sanitized each time. */
const rememberedNames = 1024

/** What a field's name means. */
interface Name {
  /** As attributes may have it. */
  readonly attribute: string
  readonly isLevel: boolean
}

/** Takes the fields of one line after another, with names as attributes may have them and within the caps. */
export class FieldTaker {
  /** Another map for each line: whoever takes it may keep it. */
  fields = new Map<string, string>()
  readonly #taken: ReadonlySet<string>
  readonly #names = new Map<string, Name>()
  #total = 0

  /** @param taken names that a field may not have; such a field's becomes `<name>_extracted` */
  constructor(taken: Iterable<string>) {
    this.#taken = new Set([...taken, ...reservedAttributes, 'parse_error'])
  }

  begin(): void {
    this.fields = new Map()
    this.#total = 0
  }

  readonly take: TakeField = (name, value) => {
    const { attribute, isLevel } = this.#names.get(name) ?? this.#name(name)
    if (isLevel) {
      const level = levelNamed(value)
      if (level !== undefined) this.fields.set('detected_level', level)
    }
    if (value === '' || this.fields.size >= maxFields) return
    const short = value.length > maxValue ? cut(value) : value
    const total = this.#total + attribute.length + short.length
    if (total > maxTotal || attribute === '') return
    this.#total = total
    this.fields.set(attribute, short)
  }

  #name(name: string): Name {
    let attribute = name.slice(0, maxName).replace(/[^A-Za-z0-9_]/g, '_')
    if (/^\d/.test(attribute)) attribute = `_${attribute}`
    if (this.#taken.has(attribute)) attribute += '_extracted'
    const known = { attribute, isLevel: isLevelName(name) }
    if (this.#names.size < rememberedNames && name.length <= maxName) this.#names.set(name, known)
    return known
  }
}

/** Without half of a character. */
function cut(value: string): string {
  const last = value.charCodeAt(maxValue - 1)
  return value.slice(0, last >= 0xd800 && last < 0xdc00 ? maxValue - 1 : maxValue)
}
