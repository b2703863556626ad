/**
 * The Forward input: applications on the node send to the collector as they would to Fluentd, and are acknowledged when an aggregator
 * has what they sent. Messages share the byte budget of the log files: when it is used up, sockets are not read.
 */
import { hostname } from 'node:os'
import { userSecrets } from '@tributary/protocol/forward-users.ts'
import type { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import { Receiver, type ReceiverEvents, type ReceiverOptions } from '@tributary/protocol/receive/receiver.ts'
import { RepeatFilter } from '@tributary/protocol/repeat-filter.ts'
import { Secret } from '@tributary/protocol/secret.ts'
import { TlsFiles } from '@tributary/protocol/tls-files.ts'
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import type { Logger } from 'pino'
import type { CollectorConfig } from '../config.ts'
import { fileEvents } from '../file-events.ts'
import type { Courier } from '../forward/courier.ts'
import { describeBy } from '../metadata/describe.ts'
import type { PodDirectory } from '../metadata/pod-facts.ts'
import type { CollectorMetrics } from '../metrics.ts'
import type { ForwardInputConfig } from './config.ts'
import { Heartbeat } from './heartbeat.ts'
import { Intake } from './intake.ts'
import { Peers } from './peers.ts'

export interface InputParts {
  readonly courier: Courier
  /** Undefined where nobody is asked for pods: messages then carry cluster and node. */
  readonly directory: Pick<PodDirectory, 'findByAddress'> | undefined
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

export interface RunningInput {
  readonly port: number
  /** Takes nothing more; ends when what was taken is acknowledged, or at the deadline. */
  close(deadline: AbortSignal): Promise<void>
}

/** Opens the port. One that is taken, or a certificate that can't be read, is an error that names its key. */
export async function startInput(config: CollectorConfig, parts: InputParts): Promise<RunningInput> {
  const { courier, directory, log, metrics } = parts
  const { forward } = config.input
  const problems = new Problems(parts)
  const intake = new Intake({
    courier,
    peers: new Peers({ ...config, describe: describeBy(config), directory }),
    format: config.forward.format,
    metrics,
    onUnsupported: (signal) => problems.unsupported(signal),
    onLeftOut: (entries) => problems.leftOut(entries),
  })
  const options = receiverOptions(forward, config.limits.inFlightBytes, fileEvents(log, metrics))
  const { receiver, heartbeat } = await openPorts(options, intake, {
    onError: (error, peer) => problems.refused(error, peer),
    onConnection: () => metrics.inputConnections.inc(),
    onBeat: () => metrics.inputHeartbeats.inc(),
  })
  courier.onRelayRoom = () => receiver.proceed()
  log.info({ listen: forward.listen, port: receiver.port }, 'applications can send logs')
  return {
    port: receiver.port,
    async close(deadline) {
      await Promise.all([receiver.close(deadline), heartbeat.close()])
    },
  }
}

function receiverOptions(
  forward: ForwardInputConfig,
  inFlightBytes: number,
  events: WatchedFileEvents,
): ReceiverOptions {
  const { certFile, keyFile, clientCaFile: caFile } = forward.tls
  const key = 'input.forward'
  const sharedKey = Secret.from(`${key}.sharedKey`, forward.sharedKey, forward.sharedKeyFile, events)
  const users = forward.users && { users: userSecrets(`${key}.users`, forward.users, events) }
  const tls = certFile === undefined ? undefined : new TlsFiles(`${key}.tls`, { certFile, keyFile, caFile }, events)
  return {
    ...forward,
    tls,
    // Differs from the host name under which an application of this machine greets.
    ...(sharedKey === undefined ? {} : { security: { hostname: `collector.${hostname()}`, sharedKey, ...users } }),
    // Half of the budget: applications and log files must not starve each other.
    bufferBytes: inFlightBytes / 2,
    // A logger may say nothing for days, and what it says first on a closed connection would be lost.
    idleTimeout: Number.POSITIVE_INFINITY,
  }
}

interface PortEvents extends ReceiverEvents {
  onBeat(): void
}

interface Ports {
  readonly receiver: Receiver
  readonly heartbeat: Heartbeat
}

async function openPorts(options: ReceiverOptions, sink: Intake, events: PortEvents): Promise<Ports> {
  const { listen, port } = options
  // A port that is free for TCP may be taken for UDP: where any will do, another is tried.
  for (let left = port === 0 ? 5 : 1; ; left--) {
    try {
      return await openBoth(options, sink, events)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const taken = code === 'EADDRINUSE'
      if (taken && left > 1) continue
      const cure = taken ? `${listen}:${port} is in use; set another port, or 0 for a free one` : message
      throw new Error(`input.forward: ${cure}`, { cause: error })
    }
  }
}

/** TCP and UDP on one port; both or none. */
async function openBoth(options: ReceiverOptions, sink: Intake, events: PortEvents): Promise<Ports> {
  const receiver = await Receiver.open(options, sink, events)
  try {
    return { receiver, heartbeat: await Heartbeat.open(options.listen, receiver.port, events.onBeat) }
  } catch (error) {
    await receiver.close(AbortSignal.abort())
    throw error
  }
}

/** What applications send and can't be taken: counted, and told now and then. */
class Problems {
  readonly #log: Logger
  readonly #metrics: CollectorMetrics
  readonly #repeats = new RepeatFilter()

  constructor({ log, metrics }: InputParts) {
    this.#log = log
    this.#metrics = metrics
  }

  refused({ problem, message, cause }: ReceiveError, peer: string): void {
    this.#metrics.inputErrors.inc(1, problem)
    this.#repeats.pass(problem, (repeatedSinceLast) => {
      const fields = { reason: problem, peer, detail: message, repeatedSinceLast }
      if (problem === 'internal') this.#log.error({ ...fields, err: cause }, 'a message brought out a fault')
      else
        this.#log.warn(
          fields,
          problem === 'silent' ? 'an application sends nothing' : 'refused what an application sent',
        )
    })
  }

  leftOut(entries: number): void {
    this.#metrics.inputErrors.inc(entries, 'too_deep')
    this.#repeats.pass('too_deep', (repeatedSinceLast) => {
      const fields = { entries, repeatedSinceLast }
      this.#log.warn(fields, 'left out entries that nest too deep; what an application sent beside them goes on')
    })
  }

  unsupported(signal: string): void {
    this.#metrics.inputErrors.inc(1, 'unsupported_signal')
    this.#repeats.pass('unsupported_signal', (repeatedSinceLast) => {
      this.#log.warn({ signal, repeatedSinceLast }, 'dropped what an application sent: only logs are kept')
    })
  }
}
