/** `|=` `!=` `|~` `!~` `|>` `!>`, and `ip()` within the first two. `or` is within the operator. */
import type { LineAlternative, LineOperator } from '../ast.ts'
import { Regex } from '../regex-match.ts'
import { containsAddress, parseAddresses } from './ip.ts'
import { patternTest } from './pattern.ts'
import type { CompiledStage } from './stage.ts'

export function lineFilter(op: LineOperator, alternatives: readonly LineAlternative[]): CompiledStage {
  const tests = alternatives.map((alternative) => lineTest(op, alternative))
  const wanted = op.startsWith('|')
  if (tests.length === 1) {
    const test = tests[0]!
    return (entry) => test(entry.line) === wanted
  }
  return (entry) => tests.some((test) => test(entry.line)) === wanted
}

function lineTest(op: LineOperator, { value, ip }: LineAlternative): (line: string) => boolean {
  if (ip) {
    const addresses = parseAddresses(value)!
    return (line) => containsAddress(line, addresses)
  }
  if (op === '|>' || op === '!>') return patternTest(value)
  if (op === '|~' || op === '!~') {
    const regex = new Regex(value)
    return (line) => regex.test(line)
  }
  return (line) => line.includes(value)
}
