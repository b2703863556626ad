/**
 * Pure: what the engine's deduplication log must say after a crash. The engine writes a block's token into the log, then gives the
 * block's part its name. Killed in between, it would know the token of rows that it does not have, and drop them when they come
 * again. After a power cut it can also be the other way around: the part is there and its token is not, and the rows would come
 * twice. Neither was acknowledged, as an insert is only once both are synced, so the aggregator sends both again: the token
 * without a part is forgotten, and the part without a token is set aside.
 */

/** A part's directory is named `<partition>_<first block>_<last block>_<level>[_<mutation>]`. Block numbers rise over all partitions. */
export interface Part {
  readonly name: string
  readonly partition: string
  readonly first: number
  readonly last: number
  readonly level: number
}

export function parsePart(name: string): Part | undefined {
  const match = /^([^_]+)_(\d+)_(\d+)_(\d+)(?:_\d+)?$/.exec(name)
  if (match === null) return undefined
  return {
    name,
    partition: match[1]!,
    first: Number(match[2]),
    last: Number(match[3]),
    level: Number(match[4]),
  }
}

/** One file of the log, oldest first. */
export interface LogFile {
  readonly path: string
  readonly text: string
}

export interface Repair {
  /** Files to be replaced. */
  readonly files: readonly LogFile[]
  /** Tokens forgotten because their part is missing. */
  readonly forgotten: number
  /** Names of parts to be set aside because their token is missing. */
  readonly setAside: readonly string[]
}

interface LogRecord {
  readonly operation: string
  readonly part: Part
  readonly token: string
}

const added = '1'
const dropped = '2'

/** A line is `1` (added) or `2` (dropped), the part's name and the token's hash, with tabs between. */
function parseLine(line: string): LogRecord | undefined {
  const [operation, name, token, ...rest] = line.split('\t')
  const part = parsePart(name ?? '')
  const whole = part !== undefined && token !== undefined && token !== '' && rest.length === 0
  return whole && (operation === added || operation === dropped) ? { operation, part, token } : undefined
}

/** What to change so that log and parts of one table agree. */
export function repairOf(files: readonly LogFile[], partNames: readonly string[]): Repair {
  const parts = partNames.map(parsePart).filter((part) => part !== undefined)
  const present = presentTokens(files)
  const replaced: LogFile[] = []
  let forgotten = 0
  let newest = 0
  for (const { path, text } of files) {
    const kept: string[] = []
    for (const line of text.split('\n')) {
      const record = parseLine(line)
      // What does not parse is a line that the last write before a power cut left torn, or nothing behind the last one.
      if (record === undefined) continue
      newest = Math.max(newest, record.part.last)
      const missing = present.has(record.token) && !parts.some((part) => covers(part, record.part))
      if (missing) forgotten++
      else kept.push(line)
    }
    const repaired = kept.map((line) => `${line}\n`).join('')
    if (repaired !== text) replaced.push({ path, text: repaired })
  }
  return { files: replaced, forgotten, setAside: unrecorded(parts, newest) }
}

/** Tokens that were added and not dropped again with their partition. */
function presentTokens(files: readonly LogFile[]): Set<string> {
  const tokens = new Set<string>()
  for (const line of files.flatMap(({ text }) => text.split('\n'))) {
    const record = parseLine(line)
    if (record?.operation === added) tokens.add(record.token)
    else if (record !== undefined) tokens.delete(record.token)
  }
  return tokens
}

function covers(part: Part, other: Part): boolean {
  return part.partition === other.partition && part.first <= other.first && part.last >= other.last
}

/**
 * Parts younger than the newest token. Number and token are given under one lock, so only tokens at the log's end can be missing;
 * an older part without one is of a time that the log has forgotten. A part that was merged is not of the last moment.
 */
function unrecorded(parts: readonly Part[], newest: number): string[] {
  // A log without a single token is a new one, perhaps of an old table: it says nothing about the parts.
  if (newest === 0) return []
  return parts.filter(({ level, first }) => level === 0 && first > newest).map(({ name }) => name)
}
