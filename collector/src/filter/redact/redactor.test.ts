import fc from 'fast-check'
import { expect, test } from 'vitest'
import { regexCompiler } from '../regex.ts'
import { builtInPatterns } from './names.ts'
import { type RedactConfig, Redactor } from './redactor.ts'

const compileRegex = await regexCompiler()
const all: RedactConfig = {
  patterns: [...builtInPatterns],
  custom: {},
  replacement: '[{name}]',
  maxLineBytes: 1 << 16,
  maxLineTime: 100,
}

function redact(line: string | Buffer, config: Partial<RedactConfig> = {}) {
  const found: string[] = []
  let withheld = 0
  const redactor = new Redactor({ ...all, ...config }, compileRegex, {
    found: (rule) => found.push(rule),
    withheld: () => withheld++,
  })
  const [before, bytes] = [Buffer.from('sender@example.org 4111111111111111 '), Buffer.from(line as string)]
  // What lies around the line is not part of it.
  const chunk = Buffer.concat([before, bytes, Buffer.from('111 bearer abcdefghijkl')])
  redactor.begin(chunk)
  const result = redactor.redact(chunk, before.length, before.length + bytes.length)
  return {
    line: result === undefined ? bytes.toString() : result.bytes.toString('utf8', 0, result.end),
    found,
    withheld,
  }
}

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U'
const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'

test.for([
  ['Authorization: Bearer abc.def-123~x+y/z==', 'Authorization: Bearer [bearer]'],
  ['"authorization":"bearer 0123456789"}', '"authorization":"bearer [bearer]"}'],
  ['BEARER   0123456789', 'BEARER   [bearer]'],
  ['Bearer\t0123456789', 'Bearer\t[bearer]'],
  ['Bearer0123456789', 'Bearer0123456789'],
  ['to "quoted x"@a.de now', 'to [email] now'],
  ['"a\\"b c"@a.de', '[email]'],
  ['{"to":"\\"quoted x\\"@a.de"}', '{"to":"[email]"}'],
  ['<"quoted x"@a.de>', '<[email]>'],
  ['{"mail":"@handle.com"}', '{"mail":"@handle.com"}'],
  ['{"mail": "@handle.com"}', '{"mail": "@handle.com"}'],
  ['["a","@handle.com"]', '["a","@handle.com"]'],
  ['the bearer of news', 'the bearer of news'],
  ['forbearer 0123456789', 'forbearer 0123456789'],
  ['bearer ', 'bearer '],
  [`token=${jwt};`, 'token=[jwt];'],
  [`Bearer ${jwt}`, 'Bearer [bearer]'],
  ['eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.', '[jwt]'],
  ['eyJhbGciOiJIUzI1NiJ9 alone', 'eyJhbGciOiJIUzI1NiJ9 alone'],
  ['xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.abc', 'xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.abc'],
  ['key AKIAIOSFODNN7EXAMPLE used', 'key [aws] used'],
  ['ASIAIOSFODNN7EXAMPLE', '[aws]'],
  ['AKIAIOSFODNN7EXAMPL', 'AKIAIOSFODNN7EXAMPL'],
  ['AKIAIOSFODNN7EXAMPLEX', 'AKIAIOSFODNN7EXAMPLEX'],
  [`aws_secret_access_key = ${secret}`, 'aws_secret_access_key = [aws]'],
  [`AWS_SECRET_ACCESS_KEY=${secret}`, 'AWS_SECRET_ACCESS_KEY=[aws]'],
  [`{"SecretAccessKey": "${secret}"}`, '{"SecretAccessKey": "[aws]"}'],
  [`secretKey=${secret}`, 'secretKey=[aws]'],
  [`{"secret_key":"${secret.replaceAll('/', '\\/')}"}`, '{"secret_key":"[aws]"}'],
  [`{"secret_key":"${secret.replaceAll('/', '\\/')}x"}`, `{"secret_key":"${secret.replaceAll('/', '\\/')}x"}`],
  ['{"a":"Bearer 0123456\\/789\\/","b":"\\/"}', '{"a":"Bearer [bearer]","b":"\\/"}'],
  ['{"a":"{\\"b\\":\\"Bearer 0123456789\\"}"}', '{"a":"{\\"b\\":\\"Bearer [bearer]\\"}"}'],
  [`secret ${secret}`, `secret ${secret}`],
  ['card 4111111111111111.', 'card [creditCard].'],
  ['4111 1111 1111 1111', '[creditCard]'],
  ['4111-1111-1111-1111', '[creditCard]'],
  ['4111-1111 1111-1111', '4111-1111 1111-1111'],
  ['3782 822463 10005', '[creditCard]'],
  ['at 12:30:05 4111 1111 1111 1111 14 EUR', 'at 12:30:05 [creditCard] 14 EUR'],
  ['2026-01-02 5555555555554444', '2026-01-02 [creditCard]'],
  ['4111111111111112', '4111111111111112'],
  ['1768000000000000000', '1768000000000000000'],
  ['0.4111111111111111', '0.4111111111111111'],
  ['4111111111111111.5', '4111111111111111.5'],
  ['a4111111111111111', 'a4111111111111111'],
  ['4111111111111111b', '4111111111111111b'],
  ['41111111111111111111', '41111111111111111111'],
  ['mail to jane.doe+x@mail.example.co.uk, please', 'mail to [email], please'],
  ['<a@b.de>', '<[email]>'],
  ['a@b.de. Next', '[email]. Next'],
  ['java.lang.Object@1b6d3586', 'java.lang.Object@1b6d3586'],
  ['user@localhost', 'user@localhost'],
  ['user@host.1', 'user@host.1'],
  ['@example.org', '@example.org'],
  ['a@b@c.de', 'a@[email]'],
  ['x@y..de', 'x@y..de'],
  ['nothing here at all 2026-01-02T03:04:05.123456789Z', 'nothing here at all 2026-01-02T03:04:05.123456789Z'],
  ['a@b.de and c@d.org and 4111111111111111', '[email] and [email] and [creditCard]'],
])('%s → %s', ([line, expected]) => expect(redact(line!).line).toBe(expected))

test('a secret is the same wherever it stands', () => {
  const filler = fc.array(fc.constantFrom('x ', ', ', '=', ' "', '7 ', '- ', 'é ', '@ ', 'eyJ ', 'Bearer ', '. '), {
    maxLength: 12,
  })
  const secrets = ['4111 1111 1111 1111', '5555555555554444', `${jwt}`, 'a.b@example.org', 'AKIAIOSFODNN7EXAMPLE']
  fc.assert(
    fc.property(filler, fc.constantFrom(...secrets), filler, (before, one, after) => {
      const line = `${before.join('')} ${one} ${after.join('')}`
      const { line: left, found } = redact(line)
      expect(left).not.toContain(one)
      expect(found.length).toBeGreaterThan(0)
    }),
    { numRuns: 1000 },
  )
})

test('the lines of a chunk are redacted as each would be alone', () => {
  const parts = [
    'plain text, ',
    'JSON ',
    'key=',
    '@',
    'a.b@example.org ',
    '4111 1111 1111 1111 ',
    `${jwt} `,
    'Bearer abcdefghijk ',
    'AKIAIOSFODNN7EXAMPLE ',
  ]
  const lines = fc.array(
    fc.array(fc.constantFrom(...parts), { maxLength: 3 }).map((some) => some.join('')),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(lines, (some) => {
      const chunk = Buffer.from(some.join(''))
      const redactor = new Redactor(all, compileRegex, { found: () => undefined, withheld: () => undefined })
      redactor.begin(chunk)
      let at = 0
      for (const line of some) {
        const result = redactor.redact(chunk, at, (at += line.length))
        expect(result === undefined ? line : result.bytes.toString('utf8', 0, result.end)).toBe(redact(line).line)
      }
    }),
    { numRuns: 500 },
  )
})

test('a card is found wherever it stands between others', () => {
  const piece = fc.constantFrom(
    '4111111111111111',
    '4111 1111 1111 1111',
    '12',
    '-',
    ' ',
    'ab',
    '2026-01-02',
    '3782-822463-10005 ',
  )
  const part = fc.array(piece, { maxLength: 3 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      expect(redact(parts.join('|')).line).toBe(parts.map((one) => redact(one).line).join('|'))
    }),
    { numRuns: 2000 },
  )
})

test('any bytes are examined, and what is not a secret stays, byte by byte', () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some))
  fc.assert(
    fc.property(bytes, (line) => {
      const redactor = new Redactor(all, compileRegex, { found: () => undefined, withheld: () => undefined })
      redactor.begin(line)
      const result = redactor.redact(line, 0, line.length)
      if (result === undefined) return
      expect(result.bytes.subarray(0, result.end).includes('[')).toBe(true)
    }),
    { numRuns: 1000 },
  )
})

test('own patterns, of which the longest of those that overlap names the replacement', () => {
  const custom = { orderId: 'order-\\d+', orderAndMore: 'order-\\d+-\\w+' }
  expect(redact('x order-12-ab order-7 ü', { custom, patterns: [] }).line).toBe('x [orderAndMore] [orderId] ü')
})

test('a line that is not UTF-8 keeps its other bytes', () => {
  const line = Buffer.concat([Buffer.from([0xff, 0xfe, 0x20]), Buffer.from('order-7 '), Buffer.from([0xc3])])
  const redactor = new Redactor({ ...all, custom: { id: 'order-\\d+' } }, compileRegex, {
    found: () => undefined,
    withheld: () => undefined,
  })
  const { bytes, end } = redactor.redact(line, 0, line.length)!
  expect(bytes.subarray(0, end)).toEqual(
    Buffer.concat([Buffer.from([0xff, 0xfe, 0x20]), Buffer.from('[id] '), Buffer.from([0xc3])]),
  )
})

test('what lies beyond the size that is examined is withheld, with the word that reaches over it', () => {
  const { line, withheld } = redact(`${'x'.repeat(990)} 4111 1111 1111 1111 and more words`, { maxLineBytes: 1024 })
  expect(line).toBe(`${'x'.repeat(990)} [creditCard] and more[withheld: not examined beyond 1024 bytes]`)
  expect(withheld).toBe(1)
  const cut = redact(`${'x'.repeat(1000)} "4111 1111 1111 11111234567890`, { maxLineBytes: 1024 })
  expect(cut.line).toBe(`${'x'.repeat(1000)} "[withheld: not examined beyond 1024 bytes]`)
  expect(redact('x'.repeat(1024), { maxLineBytes: 1024 }).withheld).toBe(0)
})

test('a line that takes an expression too long is withheld from where the time was over', () => {
  // Each a is a match of its own, for each of which all the rest is looked through: minutes, for 64 KiB.
  const began = process.threadCpuUsage()
  const line = `a@b.de ${'a'.repeat(60_000)} c@d.de`
  const result = redact(line, { custom: { one: '[a-c]+d|a' }, patterns: ['email'], maxLineTime: 5 })
  const { user, system } = process.threadCpuUsage(began)
  expect(result.line).toMatch(/^\[email\] (\[one\])+\[withheld: not examined within 5 ms\]$/)
  expect(result.withheld).toBe(1)
  expect((user + system) / 1000).toBeLessThan(5000)
})

test('many matches that take no time are all found', () => {
  const { line, withheld } = redact('order-7 '.repeat(8000), { custom: { id: 'order-\\d+' }, maxLineTime: 10_000 })
  expect(line).toBe('[id] '.repeat(8000))
  expect(withheld).toBe(0)
})

test.for(['AKIA', 'secretkey', 'eyJ', 'eyJ.', 'Bearer ', '@', 'a@', '4111 ', '4', '7 ', 'a.b@c'])(
  'a line of nothing but "%s" costs what it is long',
  (part) => {
    const cost = (bytes: number) => {
      const line = part.repeat(bytes / part.length)
      const began = process.threadCpuUsage()
      for (let i = 0; i < 8; i++) redact(line)
      const { user, system } = process.threadCpuUsage(began)
      return (user + system) / 1000
    }
    cost(4096)
    // Half a second for each MiB is a hundred times what it takes; what grows with the square takes far more.
    expect(cost(65_536)).toBeLessThan(250)
  },
)
