/** What is said about one source: how far it is read and acknowledged, and what it waits for. Pure. */
import { formatSize } from '@tributary/protocol/units.ts'
import { explainRoute } from './explain-aggregators.ts'
import { ago, type Finding, fine, notice, problem } from './finding.ts'
import type { CollectorSnapshot, LogSnapshot, SourceSnapshot } from './snapshot.ts'

export interface Surroundings {
  readonly log: LogSnapshot
  /** An older generation of the same log is not done. */
  readonly older: boolean
  readonly collector: CollectorSnapshot | undefined
}

/** Bytes that wait this long for what should take no time stand still, ms. A process that is throttled to a tenth stays below. */
const stuckMs = 30_000

export function explainSource(source: SourceSnapshot, around: Surroundings): Finding[] {
  const route = source.state === 'done' ? [] : explainRoute(source.route)
  return [explainProgress(source), ...explainLastAck(source), ...route, ...explainWait(source, around)]
}

function explainProgress({
  state,
  path,
  size,
  read,
  acknowledged,
  sizeUnknown,
  unlinked,
  spooled,
}: SourceSnapshot): Finding {
  const of = sizeUnknown ? 'compressed file, whose size is known at its end' : `${size} bytes`
  if (state === 'unidentified') return notice('unidentified', `${path}: ${size} bytes, none of them read so far`)
  if (state === 'done')
    return fine('done', `${path}: all ${acknowledged} bytes are acknowledged, nothing more will come`)
  const where = spooled ? 'what was unread is in the spool' : 'it is held open'
  const deleted = unlinked ? `; the file is deleted, ${where}` : ''
  return fine('progress', `${path}: read to ${read} of ${of}, acknowledged to ${acknowledged}${deleted}`)
}

function explainLastAck({ lastAckAgo, chunksInFlight }: SourceSnapshot): Finding[] {
  const waiting = chunksInFlight === 0 ? '' : `${chunksInFlight} of its chunks wait for their acknowledgement`
  if (lastAckAgo === undefined) return waiting === '' ? [] : [fine('in_flight', `${waiting}; none came yet`)]
  return [fine('last_ack', `last acknowledgement ${ago(lastAckAgo)} ago${waiting === '' ? '' : `; ${waiting}`}`)]
}

/** The first reason that holds: the later ones only matter once it is gone. */
function explainWait(source: SourceSnapshot, around: Surroundings): Finding[] {
  const { log, collector } = around
  if (log.excludedBy !== undefined || source.state === 'done') return []
  if (collector === undefined) return explainLeftBehind(source)
  const aggregator = collector.aggregators.find(({ address }) => address === source.route?.address)
  const unread = source.size - source.read
  if (source.state === 'unidentified') return [fine('waiting_first_line', 'it waits for its first whole line')]
  if (source.state === 'new' || source.state === 'asking') return [waitsForLedger(source, aggregator)]
  if (unread === 0 && !source.sizeUnknown) return source.chunksInFlight === 0 ? [] : waitsForAck(source, aggregator)
  if (log.metadata === 'waiting') return [] // Said of the log already.
  if (around.older) return [notice('waiting_older', 'it waits until the older files of this log are read')]
  if (source.unfinishedFor !== undefined && !source.ended)
    return [waitsForLine(source.unfinishedFor, unread, collector.partialTimeout)]
  if (!source.open && collector.openFiles >= collector.openFilesLimit)
    return [problem('open_files', `it is not open: all ${collector.openFilesLimit} of limits.openFiles are in use`)]
  return waitsForRoom(source, unread, collector, aggregator)
}

type Aggregator = CollectorSnapshot['aggregators'][number] | undefined

/** Without a running collector it only matters what is left to do, and whether the file is still there to do it. */
function explainLeftBehind({ state, size, acknowledged, spooled }: SourceSnapshot): Finding[] {
  const left = size - acknowledged
  if (spooled)
    return [notice('spooled', `${formatSize(left)} of it are in the spool, to be sent when a collector runs`)]
  if (state === 'gone' && left > 0)
    return [
      problem(
        'gone',
        `its file is gone with ${formatSize(left)} not acknowledged by the last checkpoint: lost, unless a running collector holds it open`,
      ),
    ]
  return left > 0 ? [notice('behind', `${formatSize(left)} are not acknowledged by the last checkpoint`)] : []
}

function waitsForLedger({ unreadFor = 0 }: SourceSnapshot, aggregator: Aggregator): Finding {
  const why = aggregator?.connected === true ? '' : ', which is away'
  const text = `it waits for the aggregator${why}, whose ledger tells where reading goes on`
  return unreadFor >= stuckMs ? problem('waiting_ledger', text) : notice('waiting_ledger', text)
}

function waitsForAck({ lastAckAgo }: SourceSnapshot, aggregator: Aggregator): Finding[] {
  if (aggregator === undefined) return []
  const { address, connected, silentFor } = aggregator
  if (!connected)
    return [problem('aggregator_away', `all is read; what is sent waits until the aggregator ${address} is back`)]
  const silent = Math.min(silentFor, lastAckAgo ?? Number.POSITIVE_INFINITY)
  if (silent < stuckMs) return []
  return [
    problem(
      'aggregator_silent',
      `the aggregator ${address} is connected and has acknowledged nothing for ${ago(silentFor)}`,
    ),
  ]
}

function waitsForLine(since: number, unread: number, partialTimeout: number): Finding {
  const text = `its last ${unread} bytes are no whole record yet, for ${ago(since)}: the writer has not ended the line, or lines of a stack trace may follow`
  return since > partialTimeout
    ? notice(
        'waiting_line',
        `${text}; a line without its line feed is read when that is written, or when the file is rotated`,
      )
    : fine('waiting_line', text)
}

function waitsForRoom(
  source: SourceSnapshot,
  unread: number,
  collector: CollectorSnapshot,
  aggregator: Aggregator,
): Finding[] {
  const { unreadFor = 0 } = source
  const late = unreadFor >= stuckMs
  const behind = `${formatSize(unread)} are unread, the oldest for ${ago(unreadFor)}`
  if (aggregator !== undefined && !aggregator.connected)
    return [
      problem('aggregator_away', `${behind}: the aggregator ${aggregator.address} is away; the log file is the buffer`),
    ]
  if (aggregator !== undefined && aggregator.waiting >= aggregator.window)
    return [
      (late ? problem : notice)(
        'window',
        `${behind}: all ${aggregator.window} chunks of forward.window wait for ${aggregator.address}`,
      ),
    ]
  if (collector.inFlightBytes >= collector.inFlightLimit)
    return [
      (late ? problem : notice)(
        'budget',
        `${behind}: limits.inFlightBytes is used up by what is sent and not acknowledged`,
      ),
    ]
  if (unreadFor <= collector.flushInterval + 1000) return []
  const moving = (source.lastAckAgo ?? Number.POSITIVE_INFINITY) < stuckMs
  return [(late && !moving ? problem : notice)('behind', moving ? `${behind}; it is being read` : behind)]
}
