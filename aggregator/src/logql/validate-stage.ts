/** What stands in the strings of pipeline stages: regular expressions, patterns, templates, paths and addresses. */
import type { Extraction, LabelAssignment, LabelFilter, LineAlternative, LineOperator, Stage } from './ast.ts'
import { LogqlError } from './error.ts'
import { stageText } from './loki-print.ts'
import { parseAddresses } from './pipeline/ip.ts'
import { parseJsonPath } from './pipeline/json-path.ts'
import { labelName } from './pipeline/label-names.ts'
import { type PatternPart, parsePattern } from './pipeline/pattern.ts'
import { compileRegex } from './regex.ts'
import { TemplateError } from './template/error.ts'
import { parseTemplate } from './template/parser.ts'

const clean = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Why a stage is refused; Loki names the stage before it. */
class StageProblem extends Error {}

export function validateStage(stage: Exclude<Stage, { kind: 'label' }>): void {
  named(
    () => stageText(stage),
    () => checkStage(stage),
  )
}

export function validateAddressFilter(filter: Extract<LabelFilter, { kind: 'ip' }>): void {
  named(
    () => stageText({ kind: 'label', filter, at: filter.at }),
    () => checkAddress(filter.value),
  )
}

function named(name: () => string, check: () => void): void {
  try {
    check()
  } catch (error) {
    throw error instanceof StageProblem ? new LogqlError(`stage '${name()}' : ${error.message}`) : error
  }
}

function checkStage(stage: Exclude<Stage, { kind: 'label' }>): void {
  switch (stage.kind) {
    case 'line':
      for (const alternative of stage.alternatives) checkLine(stage.op, alternative)
      break
    case 'json':
      stage.extractions.forEach(checkJsonPath)
      break
    case 'logfmt':
      stage.extractions.forEach(checkLogfmtPath)
      break
    case 'regexp':
      checkRegexp(stage.pattern)
      break
    case 'pattern':
      checkPattern(stage.pattern)
      break
    case 'line_format':
      checkTemplate(stage.template, 'line', 'invalid line template')
      break
    case 'label_format':
      checkAssignments(stage.assignments)
      break
    case 'drop':
    case 'keep':
      for (const { matcher } of stage.choices)
        if (matcher?.op === '=~' || matcher?.op === '!~') compileRegex(matcher.value)
      break
    case 'unpack':
    case 'decolorize':
      break
  }
}

/** The text of a {@link LogqlError}, as the problem of a stage. */
function problemOf(error: unknown): never {
  if (error instanceof LogqlError) throw new StageProblem(error.message.replace(/^parse error : /, ''))
  throw error
}

function checkLine(op: LineOperator, { value, ip }: LineAlternative): void {
  if (ip) {
    if (op !== '|=' && op !== '!=') throw new StageProblem('ip: invalid operation')
    checkAddress(value)
  } else if (op === '|~' || op === '!~') {
    try {
      compileRegex(value)
    } catch (error) {
      problemOf(error)
    }
  } else if (op === '|>' || op === '!>') {
    const parts = parsePattern(value)
    const problem = consecutive(parts)
    if (problem !== undefined) throw new StageProblem(problem)
    const capture = parts.find((part) => 'capture' in part && part.capture !== '_') as { capture: string } | undefined
    if (capture) throw new StageProblem(`named captures are not allowed: found '<${capture.capture}>'`)
  }
}

function checkAddress(value: string): void {
  if (parseAddresses(value) === undefined) throw new StageProblem(`ip: invalid pattern: ${JSON.stringify(value)}`)
}

function consecutive(parts: readonly PatternPart[]): string | undefined {
  for (const [i, part] of parts.entries()) {
    const next = parts[i + 1]
    if ('capture' in part && next && 'capture' in next)
      return `found consecutive capture '<${part.capture}><${next.capture}>': invalid expression`
  }
  return undefined
}

/** Of the parsers `regexp` and `pattern` Loki speaks without naming the stage. */
function checkRegexp(pattern: string): void {
  try {
    const regex = compileRegex(pattern)
    const names = Object.keys(regex.namedGroups())
    if (names.length === 0) throw new LogqlError('at least one named capture must be supplied')
    for (const name of names)
      if (!clean.test(labelName(name))) throw new LogqlError(`invalid extracted label name '${name}'`)
  } catch (error) {
    if (!(error instanceof LogqlError)) throw error
    const twice = /duplicate capture group name: `(.*)`$/.exec(error.message)?.[1]
    const why =
      twice === undefined ? error.message.replace(/^parse error : /, '') : `duplicate extracted label name '${twice}'`
    throw new LogqlError(`invalid regexp parser: ${why}`)
  }
}

function checkPattern(pattern: string): void {
  if (pattern === '')
    throw new LogqlError(
      'invalid pattern parser: parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL',
    )
  const parts = parsePattern(pattern)
  const names = parts.flatMap((part) => ('capture' in part && part.capture !== '_' ? [part.capture] : []))
  if (names.length === 0) throw new LogqlError('invalid pattern parser: at least one capture is required')
  const problem = consecutive(parts)
  if (problem !== undefined) throw new LogqlError(`invalid pattern parser: ${problem}`)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new LogqlError(`invalid pattern parser: duplicate capture name (${twice}): invalid expression`)
}

function checkJsonPath({ path }: Extraction): void {
  if (parseJsonPath(path) === undefined) throw new StageProblem(`cannot parse expression [${path}]: syntax error`)
}

function checkLogfmtPath({ path }: Extraction): void {
  if (path === '' || /[\s="]/.test(path)) throw new StageProblem(`cannot parse expression [${path}]: syntax error`)
}

function checkAssignments(assignments: readonly LabelAssignment[]): void {
  const seen = new Set<string>()
  for (const assignment of assignments) {
    const { name } = assignment
    if (name === '__error__') throw new StageProblem('__error__ cannot be formatted')
    if (seen.has(name)) throw new StageProblem(`multiple label name '${name}' not allowed in a single format operation`)
    seen.add(name)
    if ('template' in assignment) checkTemplate(assignment.template, 'label', `invalid template for label '${name}'`)
  }
}

function checkTemplate(template: string, name: string, problem: string): void {
  try {
    parseTemplate(template)
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    throw new StageProblem(`${problem}: template: ${name}:${error.message}`)
  }
}
