/** Selectors and pipelines. */
import type {
  Extraction,
  LabelAssignment,
  LabelChoice,
  LineAlternative,
  LineOperator,
  LogExpression,
  Matcher,
  Stage,
} from './ast.ts'
import { parseIp, parseLabelFilter, parseMatch, parseMatcher } from './parse-filter.ts'
import type { Tokens } from './tokens.ts'

const lineOperators: readonly LineOperator[] = ['|=', '!=', '|~', '!~', '|>', '!>']

/** A selector and its stages. Stops before `| unwrap`, which belongs to a range. */
export function parseLog(tokens: Tokens): LogExpression {
  const at = tokens.position
  return { kind: 'log', matchers: parseSelector(tokens), stages: parseStages(tokens), at }
}

export function parseSelector(tokens: Tokens): Matcher[] {
  tokens.expect('{')
  if (tokens.accept('}')) return []
  if (!tokens.is('identifier')) tokens.unexpected('identifier', '}')
  const matchers = [parseMatcher(tokens)]
  while (tokens.accept(',')) matchers.push(parseMatcher(tokens))
  tokens.expect('}', ',')
  return matchers
}

export function parseStages(tokens: Tokens): Stage[] {
  const stages: Stage[] = []
  for (;;) {
    if (tokens.is(...lineOperators)) stages.push(parseLineFilter(tokens))
    else if (tokens.is('|') && !isUnwrap(tokens)) stages.push(parsePiped(tokens))
    else return stages
  }
}

/** Whether `| unwrap` follows. */
export const isUnwrap = (tokens: Tokens): boolean => tokens.is('|') && tokens.after === 'unwrap'

function parseLineFilter(tokens: Tokens): Stage {
  const at = tokens.position
  const op = tokens.take().type as LineOperator
  const alternatives = [parseAlternative(tokens)]
  while (tokens.accept('or')) alternatives.push(parseAlternative(tokens))
  return { kind: 'line', op, alternatives, at }
}

function parseAlternative(tokens: Tokens): LineAlternative {
  if (tokens.is('ip')) return { value: parseIp(tokens), ip: true }
  const string = tokens.accept('string') ?? tokens.unexpected('string', 'ip')
  return { value: string.string, ip: false }
}

const stageKeywords: ReadonlySet<string> = new Set([
  ...['json', 'logfmt', 'regexp', 'pattern', 'unpack', 'decolorize', 'line_format', 'label_format', 'drop', 'keep'],
])

function parsePiped(tokens: Tokens): Stage {
  const at = tokens.position
  tokens.expect('|')
  const keyword = tokens.current.type
  if (keyword === 'identifier' || keyword === '(') return { kind: 'label', filter: parseLabelFilter(tokens), at }
  if (!stageKeywords.has(keyword)) tokens.unexpected()
  tokens.take()
  switch (keyword) {
    case 'json':
      return { kind: 'json', extractions: parseExtractions(tokens), at }
    case 'logfmt':
      return parseLogfmt(tokens, at)
    case 'regexp':
    case 'pattern':
      return { kind: keyword, pattern: tokens.expect('string').string, at }
    case 'unpack':
    case 'decolorize':
      return { kind: keyword, at }
    case 'line_format':
      return { kind: 'line_format', template: tokens.expect('string').string, at }
    case 'label_format':
      return { kind: 'label_format', assignments: parseList(tokens, parseAssignment), at }
    default:
      return { kind: keyword as 'drop' | 'keep', choices: parseList(tokens, parseChoice), at }
  }
}

function parseLogfmt(tokens: Tokens, at: Stage['at']): Stage {
  const flags = new Set<string>()
  while (tokens.is('flag')) flags.add(tokens.take().text)
  const extractions = parseExtractions(tokens)
  return { kind: 'logfmt', strict: flags.has('--strict'), keepEmpty: flags.has('--keep-empty'), extractions, at }
}

function parseExtractions(tokens: Tokens): Extraction[] {
  return tokens.is('identifier') ? parseList(tokens, parseExtraction) : []
}

function parseExtraction(tokens: Tokens): Extraction {
  const name = tokens.expect('identifier').text
  return { name, path: tokens.accept('=') ? tokens.expect('string').string : name }
}

function parseAssignment(tokens: Tokens): LabelAssignment {
  const name = tokens.expect('identifier').text
  tokens.expect('=')
  const value = tokens.expect('identifier', 'string')
  return value.type === 'string' ? { name, template: value.string } : { name, from: value.text }
}

function parseChoice(tokens: Tokens): LabelChoice {
  const name = tokens.expect('identifier').text
  return tokens.is('=', '!=', '=~', '!~') ? { name, matcher: { name, ...parseMatch(tokens) } } : { name }
}

function parseList<T>(tokens: Tokens, parseItem: (tokens: Tokens) => T): T[] {
  const items = [parseItem(tokens)]
  while (tokens.accept(',')) items.push(parseItem(tokens))
  return items
}
