/** What a configuration file says, checked against a zod schema: strict, with the environment filled in, every error named by its path. */
import { readFileSync } from 'node:fs'
import type { z } from 'zod'

/** What is wrong with a configuration file, one sentence for each thing, each with the key's path. */
export class ConfigError extends Error {
  readonly file: string
  readonly problems: readonly string[]
  constructor(file: string, problems: readonly string[]) {
    super(problems.map((problem) => `${file}: ${problem}`).join('\n'))
    this.name = 'ConfigError'
    this.file = file
    this.problems = problems
  }
}

/** A configuration's text; throws {@link ConfigError}. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(file, [`cannot be read: ${(error as Error).message}`])
  }
}

/** As {@link loadConfig} of config-file.ts does, which is loaded only for a file that needs it: a parser of YAML is a tenth of what it takes a collector to start. */
export async function readConfig<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<z.output<Schema>> {
  const text = readText(file)
  const written = valueOfWritten(text)
  if (written !== undefined) return checkValue(file, written, schema, environment)
  return (await import('./config-file.ts')).parseConfig(file, text, schema, environment)
}

/**
 * The value of JSON as a program writes it, such as the chart; undefined for any other text. Written anew the value has to give the same text: one that a
 * person wrote may say a key twice, which JSON.parse does not tell.
 */
export function valueOfWritten(text: string): object | undefined {
  if (!text.startsWith('{')) return undefined
  let value: object
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const trimmed = text.trimEnd()
  return trimmed === JSON.stringify(value) || trimmed === JSON.stringify(value, null, 2) ? value : undefined
}

/** Fills in the environment and checks a configuration's value; `file` is only the name used in messages. Throws {@link ConfigError}. */
export function checkValue<Schema extends z.ZodType>(
  file: string,
  raw: unknown,
  schema: Schema,
  environment: NodeJS.ProcessEnv,
): z.output<Schema> {
  const filling: Filling = { environment, problems: [], typed: new Set(), texts: new Set() }
  const value = substitute(raw, filling, [])
  if (filling.problems.length > 0) throw new ConfigError(file, filling.problems)
  // zod would write and compile a function for each object: of use for a schema that is applied more than once.
  const check = (one: unknown) => schema.safeParse(one, { jitless: true })
  let parsed = check(value)
  if (!parsed.success) {
    const texts = [...filling.typed].filter((path) => parsed.error!.issues.some((issue) => isOfOtherType(issue, path)))
    if (texts.length > 0) parsed = check(substitute(raw, { ...filling, texts: new Set(texts) }, []))
  }
  if (!parsed.success) throw new ConfigError(file, describeProblems(parsed.error))
  return parsed.data
}

/** Whether an issue says that the value at the path, or what that is in, should be of another type. */
function isOfOtherType({ code, path }: z.core.$ZodIssue, at: string): boolean {
  if (code !== 'invalid_type' && code !== 'invalid_union') return false
  return `${at}.`.startsWith(`${path.map(String).join('.')}.`)
}

interface Filling {
  readonly environment: NodeJS.ProcessEnv
  readonly problems: string[]
  /** Paths of values that the environment says alone, and that look like a number or a switch. */
  readonly typed: Set<string>
  /** Those of them that are texts all the same, such as a password of digits. */
  readonly texts: ReadonlySet<string>
}

/** Fills `${VAR}` and `${VAR:-default}` into every string; `$${` stands for a literal `${`. */
function substitute(value: unknown, filling: Filling, path: string[], around: readonly unknown[] = []): unknown {
  if (typeof value === 'string') return substituteText(value, filling, path.join('.'))
  if (value === null || typeof value !== 'object') return value
  // An alias of YAML may stand for what it is in.
  if (around.includes(value)) {
    filling.problems.push(`${path.join('.')}: holds itself; write out what the alias stands for`)
    return undefined
  }
  const within = (item: unknown, key: string) => substitute(item, filling, [...path, key], [...around, value])
  if (Array.isArray(value)) return value.map((item, i) => within(item, String(i)))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, within(item, key)]))
}

function substituteText(text: string, { environment, problems, typed, texts }: Filling, path: string): unknown {
  if (!text.includes('${')) return text
  const filled = text.replace(/\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g, (whole, name, fallback) => {
    if (whole === '$${') return '${'
    const found = environment[name as string]
    if (found !== undefined && (found !== '' || fallback === undefined)) return found
    if (fallback !== undefined) return fallback as string
    problems.push(`${path}: the environment variable ${name} is not set; set it or write \${${name}:-default}`)
    return ''
  })
  // A key that takes a number or a switch must be able to come from the environment, where everything is text.
  if (!/^\$\{[^}]*\}$/.test(text) || texts.has(path)) return filled
  const isNumber = /^-?\d+$/.test(filled)
  if (!isNumber && filled !== 'true' && filled !== 'false') return filled
  typed.add(path)
  return isNumber ? Number(filled) : filled === 'true'
}

/** What is wrong with a value, each with its key. */
export function describeProblems(error: z.ZodError): string[] {
  return error.issues.flatMap(describeIssue)
}

/** What zod says of a union that has no words of its own. */
const saysNothing = 'Invalid input'

/** Of a key that may be one of several: what is wrong with the one that was meant, as far as its type tells which. */
function describeUnion(issue: z.core.$ZodIssueInvalidUnion): string[] {
  const within = (problems: readonly z.core.$ZodIssue[]) =>
    problems.map((problem) => ({ ...problem, path: [...issue.path, ...problem.path] }))
  const ofOtherType = (problem: z.core.$ZodIssue) =>
    problem.path.length === 0 && (problem.code === 'invalid_type' || problem.code === 'invalid_value')
  const meant = issue.errors.find((problems) => problems.length > 0 && !problems.some(ofOtherType))
  if (meant === undefined && issue.message !== saysNothing) return [describeAt(issue.path, issue.message)]
  return within(meant ?? issue.errors[0] ?? []).flatMap(describeIssue)
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'invalid_union') return describeUnion(issue)
  const at = (key: PropertyKey) => [...issue.path, key].map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${at(key)}: unknown key; remove it or see the configuration reference for its name`)
  }
  const path = issue.path.map(String).join('.')
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => `${path}: ${message}`)
  const told = issue.code === 'invalid_type' ? describeType(issue) : undefined
  return [told === undefined ? describeAt(issue.path, issue.message) : `${path}: ${told}`]
}

/** What is to be done about a value of another type, where that can be said. */
function describeType({ expected, message }: z.core.$ZodIssueInvalidType): string | undefined {
  const received = / received (\w+)$/.exec(message)?.[1]
  if (received === 'undefined') return 'is missing; set it, see the configuration reference for what it takes'
  if (received === 'null') return 'has no value; remove the key, or write below it, indented, what it is to hold'
  if (expected !== 'string') return undefined
  if (received === 'number') return 'is a number, and a text is wanted; put it in quotes'
  if (received === 'boolean') return 'is true or false, and a text is wanted; put it in quotes'
  return undefined
}

function describeAt(path: readonly PropertyKey[], message: string): string {
  return path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`
}
