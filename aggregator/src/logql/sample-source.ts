/** Range aggregations whose stages are done here: rows are streamed from the store, in any order, and only what windows need is kept. */
import type { LabelFilter, Stage } from './ast.ts'
import { tooManyCounts } from './counts.ts'
import { mergedLabels } from './entry-labels.ts'
import { PipelineError } from './error.ts'
import { GoParseError, parseGoDurationStrictly, parseGoFloat, parseHumanBytes } from './go-parse.ts'
import { type Labels, labelsKey } from './labels.ts'
import { compileStages } from './pipeline/compile.ts'
import { lineBytes } from './pipeline/lines.ts'
import { errorLabel, preserveErrorLabel, type WorkingEntry } from './pipeline/working-entry.ts'
import { pipelineSql } from './pipeline.ts'
import type { SamplePlan } from './plan.ts'
import {
  addSample,
  addTimed,
  type Cell,
  cellValue,
  counterRate,
  emptyCell,
  isBefore,
  needsSamples,
  needsTimes,
  quantile,
  type TimedValue,
} from './range-functions.ts'
import { type DecodedRow, RowDecoder } from './row-decoder.ts'
import { RowPipeline } from './row-pipeline.ts'
import type { Reader, Statement } from './rows.ts'
import type { Series } from './series.ts'
import { type Split, split } from './split.ts'
import { all, Parameters, timeConditions } from './sql.ts'
import { rowConditions, type StreamSet } from './streams.ts'
import { mergeWindows } from './window-merge.ts'
import { BucketSteps, bucketSql, max, min, type Windows } from './windows.ts'

/** Cells and samples in memory at most, over all series. */
const maxCells = 2_000_000

export function samplesStatement(plan: SamplePlan, parts: Split, windows: Windows, streams: StreamSet): Statement {
  const parameters = new Parameters()
  const from = max(windows.origin, streams.first)
  const to = min(windows.last, streams.last)
  const { bucket, conditions } = bucketSql(parameters, windows)
  const where = [
    ...rowConditions(parameters, streams.scope, streams, from, to),
    ...timeConditions(parameters, from, to),
    ...conditions,
    ...pipelineSql(parameters, parts, streams).conditions,
  ]
  const place = needsTimes(plan.op) ? ['source', 'offset'] : []
  const columns = [
    streams.scope.streamId,
    'toUnixTimestamp64Nano(ts)',
    `toFloat64(${bucket})`,
    ...place,
    'line',
    'level',
    'meta',
  ]
  return parameters.statement(`SELECT ${columns.join(', ')}`, `FROM logs WHERE ${all(where)}`)
}

export async function readSamples(
  reader: Reader,
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
): Promise<Series[]> {
  const parts = split(plan.log.stages)
  const pipeline = new RowPipeline(streams, parts.rest, plan.hints)
  const collector = new Collector(plan, windows, pipeline)
  const decoder = new RowDecoder({ bucket: true, place: needsTimes(plan.op), metadata: true })
  let rows = 0
  const visit = (row: DecodedRow): boolean => {
    rows++
    const entry = pipeline.run(row)
    if (entry !== undefined) collector.add(row, entry)
    return true
  }
  for await (const piece of reader.stream(samplesStatement(plan, parts, windows, streams))) {
    reader.totals.bytes += piece.length
    decoder.decode(piece, visit)
    await reader.pause()
  }
  reader.totals.rows += rows
  reader.totals.lines += collector.samples
  return collector.series()
}

/** What is kept of one series. */
interface Collected {
  readonly labels: Labels
  readonly cells: Map<number, Cell>
  readonly samples: (TimedValue & { readonly bucket: number })[]
  lastBucket: number
  lastCell: Cell | undefined
}

class Collector {
  /** Entries that became samples. */
  samples = 0
  readonly #plan: SamplePlan
  readonly #windows: Windows
  readonly #pipeline: RowPipeline
  readonly #keys: SeriesKeys
  readonly #value: (row: DecodedRow, entry: WorkingEntry) => number | undefined
  readonly #whole: boolean
  readonly #timed: boolean
  #cells = 0

  constructor(plan: SamplePlan, windows: Windows, pipeline: RowPipeline) {
    this.#plan = plan
    this.#windows = windows
    this.#pipeline = pipeline
    this.#keys = new SeriesKeys(plan)
    this.#value = sampleValue(plan)
    this.#whole = needsSamples(plan.op)
    this.#timed = needsTimes(plan.op)
  }

  add(row: DecodedRow, entry: WorkingEntry): void {
    const value = this.#value(row, entry)
    if (value === undefined) return
    if (entry.error !== '' && !entry.parsed.has(preserveErrorLabel))
      throw new PipelineError(mergedLabels(this.#pipeline.labels()))
    this.samples++
    const series = this.#keys.of(entry, this.#pipeline)
    if (this.#whole) {
      series.samples.push({ time: row.time, place: this.#timed ? row.place : '', value, bucket: row.bucket })
      this.#count()
      return
    }
    let cell = row.bucket === series.lastBucket ? series.lastCell : series.cells.get(row.bucket)
    if (cell === undefined) {
      cell = emptyCell()
      series.cells.set(row.bucket, cell)
      this.#count()
    }
    series.lastBucket = row.bucket
    series.lastCell = cell
    if (this.#timed) addTimed(cell, { time: row.time, place: row.place, value })
    else addSample(cell, value)
  }

  #count(): void {
    if (++this.#cells > maxCells) throw tooManyCounts()
  }

  series(): Series[] {
    return this.#keys.all().map((collected) => ({
      labels: collected.labels,
      values: this.#whole ? this.#ofSamples(collected) : this.#ofCells(collected),
    }))
  }

  #ofCells({ cells }: Collected): (number | undefined)[] {
    const { op, range } = this.#plan
    const seconds = Number(range) / 1e9
    const merged = mergeWindows(cells, new BucketSteps(this.#windows), this.#windows.points)
    return merged.map((cell) => (cell === undefined ? undefined : cellValue(op, cell, seconds)))
  }

  #ofSamples({ samples }: Collected): (number | undefined)[] {
    const { op, range, parameter } = this.#plan
    const steps = new BucketSteps(this.#windows)
    const sorted = samples.sort((a, b) => a.bucket - b.bucket || (isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0))
    let from = 0
    let to = 0
    return Array.from({ length: this.#windows.points }, (_, step) => {
      while (to < sorted.length && steps.first(sorted[to]!.bucket) <= step) to++
      while (from < to && steps.last(sorted[from]!.bucket) < step) from++
      if (from === to) return undefined
      const window = sorted.slice(from, to)
      if (op === 'quantile_over_time')
        return quantile(
          parameter!,
          Float64Array.from(window, ({ value }) => value),
        )
      const end = this.#windows.origin + range - 1n + BigInt(step) * this.#windows.step
      return counterRate(window, range, end)
    })
  }
}

/** What one entry counts. Undefined when it has no value; one that cannot be read is an error and counts 0. */
function sampleValue({ op, unwrap }: SamplePlan): (row: DecodedRow, entry: WorkingEntry) => number | undefined {
  if (!unwrap) {
    if (op !== 'bytes_over_time' && op !== 'bytes_rate') return () => 1
    return (_, entry) => lineBytes(entry.line)
  }
  const convert = conversions[unwrap.conversion ?? 'number']
  const filter = compileFilters(unwrap.filters)
  return (_, entry) => {
    const text = entry.get(unwrap.label)
    if (text === undefined || text === '') return undefined
    let value = 0
    try {
      value = convert(text)
    } catch (error) {
      if (!(error instanceof GoParseError)) throw error
      entry.fail('SampleExtractionErr', error.message)
    }
    return filter(entry) ? value : undefined
  }
}

const seconds = (text: string): number => Number(parseGoDurationStrictly(text)) / 1e9
const conversions = { number: parseGoFloat, bytes: parseHumanBytes, duration: seconds, duration_seconds: seconds }

function compileFilters(filters: readonly LabelFilter[]): (entry: WorkingEntry) => boolean {
  return compileStages(filters.map((filter): Stage => ({ kind: 'label', filter, at: filter.at })))
}

/** Finds the series of an entry. */
class SeriesKeys {
  readonly #plan: SamplePlan
  readonly #byKey = new Map<string, Collected>()
  readonly #byMetadata = new Map<Labels, Map<Labels, Collected>>()
  /** Where there is one label. */
  readonly #byValue = new Map<string | undefined, Collected>()

  constructor(plan: SamplePlan) {
    this.#plan = plan
  }

  all(): Collected[] {
    return [...this.#byKey.values()]
  }

  of(entry: WorkingEntry, pipeline: RowPipeline): Collected {
    const { grouping } = this.#plan
    if (entry.error !== '') return this.#withLabels(mergedLabels(pipeline.labels()))
    if (grouping && !grouping.without) return this.#grouped(entry, grouping.labels)
    const dropped = grouping?.labels ?? []
    if (entry.parsed.size > 0 || entry.removed.size > 0)
      return this.#withLabels(this.#without(mergedLabels(pipeline.labels()), dropped))
    // Most entries of a stream have the same metadata.
    let ofStream = this.#byMetadata.get(entry.metadata)
    if (!ofStream) this.#byMetadata.set(entry.metadata, (ofStream = new Map()))
    let found = ofStream.get(entry.stream)
    if (!found) {
      found = this.#withLabels(this.#without(mergedLabels(pipeline.labels()), dropped))
      ofStream.set(entry.stream, found)
    }
    return found
  }

  #grouped(entry: WorkingEntry, names: readonly string[]): Collected {
    if (names.length === 1) {
      const value = entry.get(names[0]!)
      let found = this.#byValue.get(value)
      if (!found) this.#byValue.set(value, (found = this.#groupedByAll(entry, names)))
      return found
    }
    return this.#groupedByAll(entry, names)
  }

  #groupedByAll(entry: WorkingEntry, names: readonly string[]): Collected {
    let key = ''
    for (const name of names) {
      const value = entry.get(name)
      key += value === undefined ? '\u0001' : `\u0000${value}`
    }
    const known = this.#byKey.get(key)
    if (known) return known
    const labels = new Map<string, string>()
    for (const name of names.toSorted()) {
      const value = entry.get(name)
      if (value !== undefined) labels.set(name, value)
    }
    return this.#add(key, labels)
  }

  #without(labels: Labels, dropped: readonly string[]): Labels {
    const { unwrap } = this.#plan
    const gone = new Set(unwrap ? [...dropped, unwrap.label] : dropped)
    return gone.size === 0 ? labels : new Map([...labels].filter(([name]) => !gone.has(name)))
  }

  #withLabels(labels: Labels): Collected {
    const key = labelsKey(labels)
    return this.#byKey.get(key) ?? this.#add(key, labels)
  }

  #add(key: string, labels: Labels): Collected {
    // A line can have a key of that name: to a metric query it is an error like any other.
    if (labels.get(errorLabel) && !labels.has(preserveErrorLabel)) throw new PipelineError(labels)
    const collected = { labels, cells: new Map(), samples: [], lastBucket: -1, lastCell: undefined }
    this.#byKey.set(key, collected)
    return collected
  }
}
