/** `index/volume` and `index/volume_range`: bytes by series or by label. */
import { compareLabels, type Labels, labelsKey } from '../logql/labels.ts'
import { readSelector } from './label-queries.ts'
import { ParameterError, type Parameters, parseCount, readStep, type TimeRange } from './params.ts'
import { type ApiRequest, rangeOf } from './request.ts'
import { formatSeconds, formatValue, labelsJson, successJson } from './shapes.ts'
import { statsJson } from './stats.ts'
import { readVolume, readVolumeSteps, type StreamVolume } from './volume-queries.ts'

interface VolumeRequest {
  readonly matchers: ReturnType<typeof readSelector>
  readonly range: TimeRange
  readonly limit: number
  readonly targets: readonly string[]
  readonly byLabel: boolean
}

const defaultLimit = 100

function readVolumeRequest(request: ApiRequest): VolumeRequest {
  const { parameters } = request
  const aggregateBy = parameters.get('aggregateBy') || 'series'
  if (aggregateBy !== 'series' && aggregateBy !== 'labels') throw new ParameterError('invalid aggregation option')
  return {
    matchers: readSelector(parameters.get('query')),
    range: rangeOf(request),
    limit: readVolumeLimit(parameters),
    targets: (parameters.get('targetLabels') ?? '').split(',').filter((name) => name !== ''),
    byLabel: aggregateBy === 'labels',
  }
}

/** Unlike elsewhere, 0 is the default. */
function readVolumeLimit(parameters: Parameters): number {
  const text = parameters.get('limit') || '0'
  const limit = parseCount(text)
  if (limit < 0) throw new ParameterError('limit must be a positive value')
  return limit === 0 ? defaultLimit : limit
}

export async function answerVolume(request: ApiRequest): Promise<string> {
  const asked = readVolumeRequest(request)
  const groups = groupVolumes(await readVolume(request.reader, asked.matchers, asked.range), asked)
  return answer(request, groups, () => asked.range.end, 'vector')
}

export async function answerVolumeRange(request: ApiRequest): Promise<string> {
  const asked = readVolumeRequest(request)
  const { range } = asked
  const step = readStep(request.parameters, range)
  // Stretches end at multiples of the step, the last one where the query does.
  const origin = range.start - (((range.start % step) + step) % step)
  const groups = groupVolumes(await readVolumeSteps(request.reader, asked.matchers, range, { origin, step }), asked)
  const endOf = (bucket: number): bigint => {
    const end = origin + BigInt(bucket + 1) * step
    return end < range.end ? end - splitGap : range.end
  }
  // Loki calls it a vector where no series has more than one sample.
  const type = groups.some(({ bytes }) => bytes.size > 1) ? 'matrix' : 'vector'
  return answer(request, groups, endOf, type)
}

/** A stretch that is not the last ends a millisecond before the next begins, as in Loki. */
const splitGap = 1_000_000n

interface Group {
  readonly labels: Labels
  readonly bytes: Map<number, number>
}

/**
 * By series: of each stream the target labels, else those that the selector names, else all. By labels: every stream counts for the name of
 * each of them. The largest first.
 */
export function groupVolumes(
  volumes: readonly StreamVolume[],
  { byLabel, limit, matchers, targets }: VolumeRequest,
): Group[] {
  const wanted = new Set(targets.length > 0 ? targets : matchers.map(({ name }) => name))
  const groups = new Map<string, Group>()
  const add = (labels: Labels, bytes: StreamVolume['bytes']) => {
    const key = labelsKey(labels)
    let group = groups.get(key)
    if (group === undefined) groups.set(key, (group = { labels, bytes: new Map() }))
    for (const [bucket, size] of bytes) group.bytes.set(bucket, (group.bytes.get(bucket) ?? 0) + size)
  }
  for (const { bytes, labels } of volumes) {
    if (!targets.every((name) => labels.has(name))) continue
    const chosen = [...labels].filter(
      ([name]) => (byLabel && targets.length === 0) || wanted.size === 0 || wanted.has(name),
    )
    if (!byLabel) add(new Map(chosen), bytes)
    else for (const [name] of chosen) add(new Map([[name, '']]), bytes)
  }
  const total = ({ bytes }: Group) => [...bytes.values()].reduce((sum, size) => sum + size, 0)
  return [...groups.values()]
    .map((group) => ({ group, size: total(group) }))
    .sort((a, b) => b.size - a.size || compareLabels(a.group.labels, b.group.labels))
    .slice(0, limit)
    .map(({ group }) => group)
}

function answer(
  request: ApiRequest,
  groups: readonly Group[],
  timeOf: (bucket: number) => bigint,
  type: 'vector' | 'matrix',
): string {
  const items = groups.map(({ bytes, labels }) => {
    const points = [...bytes]
      .sort(([a], [b]) => a - b)
      .map(([bucket, size]) => `[${formatSeconds(timeOf(bucket))},"${formatValue(size)}"]`)
    const values = type === 'vector' ? `"value":${points[0]}` : `"values":[${points.join(',')}]`
    return `{"metric":${labelsJson(labels)},${values}}`
  })
  const data = `"resultType":"${type}","result":[${items.join(',')}]`
  return successJson(data, statsJson(request.reader.totals, request.seconds(), groups.length))
}
