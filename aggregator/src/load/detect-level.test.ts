import fc from 'fast-check'
import { expect, test } from 'vitest'
import { detectLevel, levelNamed, levels } from './detect-level.ts'

const detect = (line: string) => levels[detectLevel(Buffer.from(line), 0, Buffer.byteLength(line))]

test.for([
  ['level=info msg="no error here"', 'info'],
  ['ts=1 lvl=warn msg=x', 'warn'],
  ['{"level":"error","msg":"x"}', 'error'],
  ['{"level": "WARNING"}', 'warn'],
  ['{"level":30,"time":1,"msg":"an error"}', 'info'],
  ['{"level":60}', 'fatal'],
  ['{"level":300}', 'unknown'],
  ['{"msg":"an error","severity":"Critical"}', 'critical'],
  ['"{\\"level\\":\\"debug\\"}"', 'debug'],
  ['2026-01-01 12:00:00 [INFO] started', 'info'],
  ['2026-01-01 ERROR something', 'error'],
  ['2026-01-01 main WARN: low disk, an error may follow', 'warn'],
  ['FATAL', 'fatal'],
  ['panic: runtime error', 'fatal'],
  ['request failed with an error', 'error'],
  ['Error: x', 'error'],
  ['errors=0 terror warned informal', 'unknown'],
  ['GET /info 200', 'unknown'],
  ['some information about level crossings', 'unknown'],
  ['\x1b[1;32mINFO\x1b[0m started', 'info'],
  ['level=', 'unknown'],
  ['level', 'unknown'],
  ['', 'unknown'],
  ['TRC x', 'trace'],
  ['E0102 15:04:05.000000       1 reflector.go:138] watch closed', 'error'],
  ['I1231 23:59:59.000000 1 x.go:1] an error', 'info'],
  ['W12 x', 'unknown'],
  ['F1a02 x', 'unknown'],
  ['2026/01/01 12:00:00 [notice] 1#1: start worker processes', 'info'],
  ['info: Microsoft.Hosting.Lifetime[14]', 'info'],
  ['fail: Microsoft.AspNetCore.Server.Kestrel[13]', 'error'],
  ['dbug: x', 'debug'],
  ['more info: see the page', 'unknown'],
  ['info', 'unknown'],
  ['it may fail', 'unknown'],
  ['severity_text=WARN x', 'warn'],
  ['{"log":{"level":"error"}}', 'error'],
  ['log.level=warn', 'warn'],
  ['Starting up\nERROR of another line', 'unknown'],
  ['Exception in thread "main"\n\tat a.Error(B.java:1)', 'unknown'],
  ['user_level=fatal2 error_count=1', 'unknown'],
  [`${'x '.repeat(120)}ERROR`, 'unknown'],
])('%s → %s', ([line, level]) => expect(detect(line!)).toBe(level))

test.for([
  ['Information', 'info'],
  ['WARN', 'warn'],
  ['', 'unknown'],
  ['level', 'unknown'],
  ['errorx', 'unknown'],
  ['9', 'unknown'],
])('the word %s names %s', ([word, level]) => expect(levels[levelNamed(word!)]).toBe(level))

test('any bytes give a level, and bytes outside the line never matter', () => {
  let found = 0
  const piece = fc.constantFrom('level', '=', '"', ':', ' ', 'error', 'WARN', 'x', '30', '_', 'é')
  fc.assert(
    fc.property(fc.array(piece), fc.string(), (pieces, around) => {
      const line = Buffer.from(pieces.join(''))
      const [before, after] = [Buffer.from(`${around} `), Buffer.from('=error level=error')]
      const inside = detectLevel(Buffer.concat([before, line, after]), before.length, before.length + line.length)
      expect(inside).toBe(detectLevel(line, 0, line.length))
      if (inside > 0) found++
    }),
    { numRuns: 2000 },
  )
  expect(found).toBeGreaterThan(100)
})
