import { hostname } from 'node:os'
import { saidOnce, secretFileKey, secretKey } from '@tributary/protocol/secret.ts'
import { duration, size, wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { selectionConfig } from './discover/selection.ts'
import { filtersConfig, parsersConfig } from './filter/config.ts'
import { inputConfig } from './input/config.ts'
import { kubernetesConfig } from './metadata/config.ts'
import { multilineConfig } from './multiline/config.ts'
import { addressesConfig, dnsConfig } from './resolve/config.ts'

const listen = (what: string) =>
  z.string().default('0.0.0.0').describe(`Address ${what} binds to: 0.0.0.0 or 127.0.0.1.`)

/** It is the one section without which there is nothing to do. */
const missingAggregator = {
  error: ({ input }: { readonly input?: unknown }) =>
    input === undefined ? 'is missing; set aggregator.address to the host:port of an aggregator' : undefined,
}

/** The collector's configuration file. The only required key is `aggregator.address`. */
export const collectorConfig = z.strictObject({
  node: z
    .string()
    .min(1)
    .default(hostname())
    .describe("Name of this node, the label `node`. Default: the machine's host name."),
  cluster: z.string().min(1).default('default').describe('Name of the cluster, the label `cluster`.'),
  stateDir: z
    .string()
    .min(1)
    .default('/var/lib/tributary/collector')
    .describe('Where checkpoints are kept. Must outlive the process, and belongs to one collector.'),
  logs: z
    .strictObject({
      path: z
        .string()
        .min(1)
        .default('/var/log/containers')
        .describe('Directory whose *.log files, or links to such files, are read.'),
      ...selectionConfig,
      startAt: z
        .union([z.enum(['beginning', 'end']), duration], 'write beginning, end, or how far back, such as 1h')
        .prefault('beginning')
        .describe(
          'Where files that exist at the very first start are read from: `beginning`, `end`, or how far back as a duration, such as `1h`. What is left out is in the audit as filtered(start_at).',
        ),
      maxLineBytes: size
        .refine((bytes) => bytes >= 1024 && bytes <= 16 * 1024 * 1024, 'must lie between 1KiB and 16MiB')
        .prefault('256KiB')
        .describe('Longest line of one record. A longer one becomes several records, each flagged `truncated`.'),
      scanInterval: wait
        .prefault('1s')
        .describe('How often files without recent writes are looked at. Busy files are looked at more often.'),
      flushInterval: wait
        .prefault('250ms')
        .describe('How long a written line waits for more lines to share its chunk.'),
      partialTimeout: wait
        .prefault('10s')
        .describe(
          'How long the beginning of a record waits for its end before it is sent as it is, flagged `truncated`.',
        ),
    })
    .prefault({}),
  multiline: multilineConfig,
  parsers: parsersConfig,
  filters: filtersConfig,
  aggregator: z
    .strictObject(
      {
        address: addressesConfig,
        dns: dnsConfig,
        takeoverAfter: wait
          .refine((ms) => ms >= 1000, 'must be 1s or more')
          .prefault('10s')
          .describe(
            'How long an aggregator must have given no sign of life before what it was sent and has not acknowledged is sent to another.',
          ),
        sharedKey: z.string().min(1).optional().describe('Shared key of the Forward handshake. Default: no handshake.'),
        sharedKeyFile: secretFileKey('the shared key'),
        username: z
          .string()
          .min(1)
          .optional()
          .describe('User of the Forward handshake, where the aggregator asks for one.'),
        password: z.string().min(1).optional().describe('Password of that user.'),
        passwordFile: secretFileKey('the password'),
        tls: z
          .strictObject({
            enabled: z.boolean().default(false).describe('Connect with TLS.'),
            caFile: z.string().optional().describe("Certificates to trust, PEM. Default: the system's."),
            certFile: z
              .string()
              .optional()
              .describe("The collector's own certificate, PEM, where the aggregator asks for one."),
            keyFile: z.string().optional().describe('Private key of that certificate, PEM.'),
            serverName: z
              .string()
              .optional()
              .describe("Name the aggregator's certificate must carry. Default: the host in the address."),
            insecureSkipVerify: z.boolean().default(false).describe('Accept any certificate. For tests only.'),
          })
          .prefault({}),
        ackTimeout: wait
          .prefault('60s')
          .describe('How long to wait for an acknowledgement before connecting anew and sending again.'),
      },
      missingAggregator,
    )
    .superRefine(saidOnce('sharedKey', 'password'))
    .superRefine(({ tls }, context) => {
      if ((tls.certFile === undefined) !== (tls.keyFile === undefined))
        context.addIssue({
          code: 'custom',
          path: ['tls'],
          message: 'certFile and keyFile go together: set both or neither',
        })
    }),
  forward: z
    .strictObject({
      format: z
        .enum(['tributary', 'fluentd'])
        .default('tributary')
        .describe(
          '`tributary`: for our aggregator. `fluentd`: records with log, stream, time, a kubernetes map and, where parsers or modules found some, an attributes map, for Fluentd and Fluent Bit.',
        ),
      compression: z.enum(['zstd', 'gzip', 'none']).default('zstd').describe('Compression of chunks.'),
      window: z.int().min(1).max(1024).default(32).describe('How many chunks may be unacknowledged at a time.'),
    })
    .prefault({}),
  input: inputConfig,
  limits: z
    .strictObject({
      inFlightBytes: size
        .refine((bytes) => bytes > 0, 'must be more than 0: nothing would be read')
        .prefault('8MiB')
        .describe('Bytes read but not acknowledged. No further byte is read beyond it: the log files are the buffer.'),
      unlinkedBytes: size
        .prefault('1GiB')
        .describe(
          'Unread bytes of deleted files that are kept readable by holding them open. Beyond it the oldest of the noisiest pod goes to the spool.',
        ),
      unlinkedBytesPerPod: size.prefault('256MiB').describe('The same for the files of one pod.'),
      spoolBytes: size
        .prefault('1GiB')
        .describe(
          'Disk that `stateDir/spool` may take for unread bytes of deleted files; 0 for no spool. What does not fit, or would leave less than 5 % of the file system free, is lost, counted.',
        ),
      openFiles: z.int().min(16).default(8192).describe('Files held open at a time.'),
    })
    .prefault({}),
  checkpoints: z
    .strictObject({
      interval: wait.prefault('1s').describe('How often acknowledged offsets are made durable.'),
    })
    .prefault({}),
  kubernetes: kubernetesConfig,
  http: z
    .strictObject({
      listen: listen('HTTP'),
      port: z
        .int()
        .min(0)
        .max(65535)
        .default(2020)
        .describe('Port of /metrics, /healthz and /readyz; 0 picks a free one.'),
      token: secretKey('Bearer token that /why and /tap ask for. Default: none, whoever can connect may ask.'),
      tokenFile: secretFileKey('the token'),
    })
    .superRefine(saidOnce('token'))
    .prefault({}),
  shutdown: z
    .strictObject({
      drain: wait.prefault('10s').describe('How long to wait for acknowledgements when told to stop.'),
      spool: wait
        .prefault('15s')
        .describe('How long saving unread bytes of deleted files to the spool may take after that.'),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe("The collector's own log."),
    })
    .prefault({}),
})

export type CollectorConfig = z.output<typeof collectorConfig>
