/** Functions with typed parameters, checked as Go's reflection does before a call. */
import { TemplateError } from './error.ts'
import { GoTime } from './time.ts'
import { type TemplateValue, typeName } from './value.ts'

/** `s` string, `i` int, `f` float64, `t` time, `a` anything; the last may be repeated with `*`, any number of times. */
export interface TemplateFunction {
  readonly parameters: string
  // biome-ignore lint/suspicious/noExplicitAny: the types are those that `parameters` names, checked before the call
  readonly call: (...values: any[]) => TemplateValue
}

// biome-ignore lint/suspicious/noExplicitAny: see above
export const fn = (parameters: string, call: (...values: any[]) => TemplateValue): TemplateFunction => ({
  parameters,
  call,
})

/** Results larger than this are not made, characters. */
export const maxText = 1 << 20

export function limited(text: string): string {
  if (text.length > maxText) throw new TemplateError('the result is too large')
  return text
}

const names: Record<string, string> = { s: 'string', i: 'int', f: 'float64', t: 'time.Time' }

/** @param literal of each value: whether it stands in the template as a number, which then fits any type of number */
export function callFunction(
  name: string,
  { parameters, call }: TemplateFunction,
  values: readonly TemplateValue[],
  literal: readonly boolean[],
): TemplateValue {
  const repeated = parameters.endsWith('*')
  const fixed = repeated ? parameters.slice(0, -2) : parameters
  if (values.length < fixed.length || (!repeated && values.length > fixed.length)) {
    const least = repeated ? `at least ${fixed.length}` : String(fixed.length)
    throw new TemplateError(`wrong number of args for ${name}: want ${least} got ${values.length}`)
  }
  const converted = values.map((value, i) => {
    const type = fixed[i] ?? parameters.at(-2)!
    return convert(type, value, literal[i] ?? false)
  })
  try {
    return call(...converted)
  } catch (error) {
    if (error instanceof TemplateError) throw new TemplateError(`error calling ${name}: ${error.message}`)
    throw error
  }
}

function convert(type: string, value: TemplateValue, literal: boolean): TemplateValue {
  switch (type) {
    case 's':
      if (typeof value === 'string') return value
      break
    case 'i':
      if (typeof value === 'bigint') return value
      if (literal && typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
      break
    case 'f':
      if (typeof value === 'number') return value
      if (literal && typeof value === 'bigint') return Number(value)
      break
    case 't':
      if (value instanceof GoTime) return value
      break
    default:
      return value
  }
  throw new TemplateError(
    value === null
      ? `invalid value; expected ${names[type]}`
      : `wrong type for value; expected ${names[type]}; got ${typeName(value)}`,
  )
}
