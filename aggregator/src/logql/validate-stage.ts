/** What stands in the strings of pipeline stages: regular expressions, patterns, templates, paths and addresses. */
import { BlockList, isIP } from 'node:net'
import type { Extraction, LabelAssignment, LabelChoice, LineOperator, Stage } from './ast.ts'
import { LogqlError } from './error.ts'
import { compileRegex } from './regex.ts'

const labelName = /^[A-Za-z_][A-Za-z0-9_]*$/

export function validateStage(stage: Exclude<Stage, { kind: 'label' }>): void {
  switch (stage.kind) {
    case 'line':
      for (const { value, ip } of stage.alternatives)
        ip ? validateLineIp(stage.op, value) : validateLine(stage.op, value)
      break
    case 'json':
      stage.extractions.forEach(validateJsonPath)
      break
    case 'logfmt':
      stage.extractions.forEach(validateLogfmtPath)
      break
    case 'regexp':
      validateRegexp(stage.pattern)
      break
    case 'pattern':
      validatePattern(stage.pattern)
      break
    case 'line_format':
      validateTemplate(stage.template)
      break
    case 'label_format':
      validateAssignments(stage.assignments)
      break
    case 'drop':
    case 'keep':
      stage.choices.forEach(validateChoice)
      break
    case 'unpack':
    case 'decolorize':
      break
  }
}

function validateLine(op: LineOperator, value: string): void {
  if (op === '|~' || op === '!~') compileRegex(value)
  if (op !== '|>' && op !== '!>') return
  const { captures, adjacent } = readPattern(value)
  if (captures.some((name) => name !== '_'))
    throw new LogqlError(`named captures are not allowed in a line filter: ${value}`)
  if (adjacent) throw new LogqlError(`consecutive captures need text between them: ${value}`)
}

function validateLineIp(op: LineOperator, value: string): void {
  if (op !== '|=' && op !== '!=') throw new LogqlError(`ip: only |= and != are allowed with ip(), not ${op}`)
  validateAddress(value)
}

/** An address, `first-last`, or a network in CIDR notation. */
function validateAddress(value: string): void {
  const [base = '', bits] = value.split('/')
  if (isIP(base) !== 0 && bits === undefined) return
  if (isIP(base) !== 0 && /^\d+$/.test(bits!) && Number(bits) <= (isIP(base) === 4 ? 32 : 128)) return
  const [first = '', last = ''] = value.split('-').map((part) => part.trim())
  const family = isIP(first)
  if (family !== 0 && family === isIP(last) && value.split('-').length === 2 && isRange(first, last, family)) return
  throw new LogqlError(`ip: "${value}" is neither an address, nor a range, nor a network`)
}

function isRange(first: string, last: string, family: number): boolean {
  try {
    new BlockList().addRange(first, last, family === 4 ? 'ipv4' : 'ipv6')
    return true
  } catch {
    // The end lies before the start; the caller words the error.
    return false
  }
}

function validateRegexp(pattern: string): void {
  const regex = compileRegex(pattern)
  const names = Object.keys(regex.namedGroups())
  if (names.length === 0) throw new LogqlError('at least one named capture must be supplied')
  for (const name of names) if (!labelName.test(name)) throw new LogqlError(`invalid extracted label name '${name}'`)
}

function validatePattern(pattern: string): void {
  const { captures, adjacent } = readPattern(pattern)
  const named = captures.filter((name) => name !== '_')
  if (named.length === 0) throw new LogqlError(`invalid pattern: at least one capture is required: ${pattern}`)
  if (new Set(named).size !== named.length) throw new LogqlError(`invalid pattern: duplicate capture name: ${pattern}`)
  if (adjacent) throw new LogqlError(`invalid pattern: consecutive captures need text between them: ${pattern}`)
}

function readPattern(pattern: string): { captures: string[]; adjacent: boolean } {
  const captures = [...pattern.matchAll(/<([A-Za-z_][A-Za-z0-9_]*)>/g)]
  const adjacent = captures.some(
    (match, i) => i > 0 && captures[i - 1]!.index + captures[i - 1]![0].length === match.index,
  )
  return { captures: captures.map((match) => match[1]!), adjacent }
}

const jsonStep = /(?:\[\d+\]|\["(?:[^"\\]|\\.)*"\]|\.?[A-Za-z_][A-Za-z0-9_-]*)/y

/** `a.b[0]["c d"]` */
function validateJsonPath({ name, path }: Extraction): void {
  let at = 0
  while (at < path.length) {
    jsonStep.lastIndex = at
    const step = jsonStep.exec(path)?.[0]
    const missesDot = at > 0 && step !== undefined && !/^[.[]/.test(step)
    if (step === undefined || missesDot || (at === 0 && step.startsWith('.'))) break
    at += step.length
  }
  if (path === '' || at < path.length) throw new LogqlError(`cannot parse expression [${path}] of label ${name}`)
}

function validateLogfmtPath({ name, path }: Extraction): void {
  if (path === '' || /[\s="]/.test(path)) throw new LogqlError(`cannot parse expression [${path}] of label ${name}`)
}

function validateAssignments(assignments: readonly LabelAssignment[]): void {
  const seen = new Set<string>()
  for (const assignment of assignments) {
    if (assignment.name === '__error__') throw new LogqlError('__error__ cannot be formatted')
    if (seen.has(assignment.name))
      throw new LogqlError(`multiple label name '${assignment.name}' not allowed in a single format operation`)
    seen.add(assignment.name)
    if ('template' in assignment) validateTemplate(assignment.template)
  }
}

function validateChoice({ matcher }: LabelChoice): void {
  if (matcher?.op === '=~' || matcher?.op === '!~') compileRegex(matcher.value)
}

const openers = new Set(['if', 'range', 'with', 'define', 'block'])
/** The end of the action whose `{{` ends at `at`, or -1: strings and comments are stepped over, as braces in them do not end it. */
function endOfAction(template: string, at: number): number {
  if (/^-?\s*\/\*/.test(template.slice(at, at + 8))) {
    const comment = template.indexOf('*/', at)
    return comment === -1 ? -1 : template.indexOf('}}', comment)
  }
  let mark = ''
  for (let p = at; p < template.length; p++) {
    const character = template[p]!
    if (mark === '') {
      if (character === '"' || character === '`' || character === "'") mark = character
      else if (template.startsWith('}}', p)) return p
    } else if (character === '\\' && mark !== '`') p++
    else if (character === mark) mark = ''
  }
  return -1
}

/** That a Go template's actions are closed, not empty, and its blocks end. */
function validateTemplate(template: string): void {
  let open = 0
  for (let at = template.indexOf('{{'); at !== -1; at = template.indexOf('{{', at)) {
    const end = endOfAction(template, at + 2)
    if (end === -1) throw new LogqlError(`invalid template: unclosed action: ${template}`)
    const inner = template
      .slice(at + 2, end)
      .replace(/^-|-$/g, '')
      .trim()
    const keyword = /^[a-z]*/.exec(inner)![0]
    if (inner === '') throw new LogqlError(`invalid template: missing value for command: ${template}`)
    if (openers.has(keyword)) open++
    if (keyword === 'end' && --open < 0) throw new LogqlError(`invalid template: unexpected {{end}}: ${template}`)
    at = end + 2
  }
  if (open > 0) throw new LogqlError(`invalid template: unexpected EOF: a block has no {{end}}: ${template}`)
}
