import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { parseConfig } from './config-file.ts'
import { ConfigError, describeProblems, readConfig, valueOfWritten } from './config-value.ts'

const fromEnvironment = '$' + '{N}'
const value = { node: fromEnvironment, logs: { path: '/l', include: [] }, kubernetes: {} }

test.for([
  { what: 'JSON in one line', text: JSON.stringify(value), written: true },
  { what: 'JSON that is indented', text: `${JSON.stringify(value, null, 2)}\n`, written: true },
  { what: 'YAML', text: 'node: a\n', written: false },
  { what: 'nothing', text: '', written: false },
  { what: 'a list', text: '[]', written: false },
  { what: 'JSON that a person wrote', text: '{ "node": "a" }', written: false },
  { what: 'a key that is there twice', text: '{"node":"a","node":"b"}', written: false },
  { what: "YAML's braces", text: '{node: a}', written: false },
  { what: 'JSON with a comment', text: '{"node":"a"} # here', written: false },
  { what: 'an escape that JavaScript would not write', text: '{"node":"\\u003c"}', written: false },
])('$what is read without a parser of YAML: $written', ({ text, written }) => {
  expect(valueOfWritten(text) !== undefined).toBe(written)
})

test('what is read without a parser of YAML is what that would have read', () => {
  let nested = 0
  const plain = fc.dictionary(
    fc.string().filter((key) => key !== '__proto__'),
    fc.jsonValue({ noUnicodeString: false }),
  )
  fc.assert(
    fc.property(plain, fc.constantFrom(undefined, 2), (object, indent) => {
      const text = JSON.stringify(object, null, indent)
      const read = valueOfWritten(text)
      // Keys that are numbers change places, and -0 is written as 0: read the other way, or the same.
      if (read === undefined) return
      expect(read).toEqual(parseConfig('f', text, z.any()))
      if (Object.values(object).some((one) => typeof one === 'object' && one !== null)) nested++
    }),
  )
  expect(nested).toBeGreaterThan(10)
})

test('a file is read either way with the environment filled in, and what is wrong is named', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'config-'))
  const file = join(directory, 'c.yaml')
  const schema = z.strictObject({ node: z.string(), count: z.int().default(3) })
  try {
    for (const text of ['node: N\n', '{"node":"N"}', '{ "node": "N" }']) {
      writeFileSync(file, text.replace('N', fromEnvironment))
      expect(await readConfig(file, schema, { N: 'n1' })).toEqual({ node: 'n1', count: 3 })
    }
    for (const text of ['node: a\nextra: 1\n', '{"node":"a","extra":1}']) {
      writeFileSync(file, text)
      await expect(readConfig(file, schema)).rejects.toThrow(/c\.yaml: extra: unknown key/)
    }
    writeFileSync(file, '{"node":"a","node":"b"}')
    await expect(readConfig(file, schema)).rejects.toThrow(/unique/)
    writeFileSync(file, 'node: &a [1, [*a, *a]]\n')
    await expect(readConfig(file, schema)).rejects.toThrow(/c\.yaml: node\.1\.0: holds itself; write out/)
    await expect(readConfig(join(directory, 'none'), schema)).rejects.toThrow(ConfigError)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

const url = z.url('write a URL')
const user = z.strictObject({ password: z.string() })
const oneOrMore = z.union([url, z.array(url).min(1, 'name one')])

test.for<[value: unknown, schema: z.ZodType, problems: string[]]>([
  ['nonsense', oneOrMore, ['key: write a URL']],
  [['http://a', 'nonsense'], oneOrMore, ['key.1: write a URL']],
  [[], oneOrMore, ['key: name one']],
  [5, oneOrMore, ['key: write a URL']],
  [{ pass: 'x' }, z.union([z.string(), user]), ['key.pass: unknown key; remove it', 'key.password: is missing']],
  [5, z.union([z.string(), user], 'write a password'), ['key: write a password']],
  [{ password: 5 }, z.union([z.string(), user], 'write a password'), ['key.password: is a number, and a text is']],
  [true, z.string(), ['key: is true or false, and a text is wanted; put it in quotes']],
])(
  'of a key that may be one of several is told what is wrong with the one that was meant: %j',
  ([given, schema, problems]) => {
    const { error } = z.strictObject({ key: schema }).safeParse({ key: given })
    const told = describeProblems(error!)
    expect(told.toSorted().map((text, i) => text.slice(0, problems[i]?.length))).toEqual(problems)
  },
)

const typedSchema = z.strictObject({
  port: z.int().max(9).optional(),
  on: z.boolean().optional(),
  key: z.string().optional(),
  users: z.record(z.string(), z.union([z.string(), user])).optional(),
})

test.for<[text: string, environment: NodeJS.ProcessEnv, found: object | string]>([
  ['{ port: "$P", on: "$ON" }', { P: '3', ON: 'true' }, { port: 3, on: true }],
  ['{ key: "$K" }', { K: '0012345678901234567890' }, { key: '0012345678901234567890' }],
  ['{ key: "$K", port: "$P" }', { K: 'true', P: '3' }, { key: 'true', port: 3 }],
  ['{ users: { a: "$K", b: { password: "$K" } } }', { K: '7' }, { users: { a: '7', b: { password: '7' } } }],
  ['{ key: "$K", port: "$P" }', { K: '7', P: '10' }, /^f: port: Too big[^\n]*$/.source],
  ['{ key: "$K", port: "$P" }', { K: '7', P: 'x' }, /^f: port: Invalid input: expected number[^\n]*$/.source],
])('what the environment says is a text where one is wanted: %s', ([text, environment, found]) => {
  const read = () => parseConfig('f', text.replaceAll(/[$]([A-Z]+)/g, '$$' + '{$1}'), typedSchema, environment)
  if (typeof found === 'string') expect(read).toThrow(new RegExp(found))
  else expect(read()).toEqual(found)
})
