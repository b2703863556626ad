import { forwardUsers } from '@tributary/protocol/forward-users.ts'
import { secretFileKey } from '@tributary/protocol/secret.ts'
import { size, wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { authConfig, limitsConfig, tenantName, tenantsConfig } from './access/config.ts'
import { defaultTenant } from './logql/tenant-scope.ts'
import { retentionConfig } from './retention/config.ts'
import { clickhouseConfig } from './store/config.ts'
import { syslogConfig } from './syslog/config.ts'

const listen = (what: string) =>
  z.string().min(1).default('0.0.0.0').describe(`Address ${what} binds to: 0.0.0.0 or 127.0.0.1.`)
const port = (standard: number, what: string) =>
  z.int().min(0).max(65535).default(standard).describe(`Port of ${what}; 0 picks a free one.`)

const forward = z.strictObject({
  listen: listen('the Forward receiver'),
  port: port(24224, 'the Forward receiver'),
  sharedKey: z
    .string()
    .min(1)
    .optional()
    .describe('Shared key that every sender must know. Default: none, whoever can connect can send.'),
  sharedKeyFile: secretFileKey('the shared key'),
  users: forwardUsers({
    tenant: tenantName.optional().describe('Whose data the user brings. Default: `forward.tenant`.'),
  })
    .optional()
    .describe(
      'Users that senders must be besides knowing the shared key: a map by name of a password, or of `password` or `passwordFile`, and `tenant`. Default: none.',
    ),
  tenant: tenantName
    .default(defaultTenant)
    .describe('Whose data senders bring that are no user of a tenant of its own.'),
  tls: z
    .strictObject({
      certFile: z.string().min(1).optional().describe('Certificate chain, PEM. With it the receiver speaks only TLS.'),
      keyFile: z.string().min(1).optional().describe('Private key of that certificate, PEM.'),
      caFile: z
        .string()
        .min(1)
        .optional()
        .describe('Certificates, PEM, one of which must have signed the certificate of each sender (mTLS).'),
    })
    .prefault({}),
  maxMessageBytes: size
    .refine((bytes) => bytes >= 1 << 16, 'must be at least 64KiB')
    .prefault('64MiB')
    .describe('Longest message. The connection that sends a longer one is closed.'),
  maxEntriesBytes: size
    .refine((bytes) => bytes >= 1 << 16, 'must be at least 64KiB')
    .prefault('128MiB')
    .describe('Most bytes that one message may decompress to. A message beyond it is set aside as corrupt.'),
  maxConnections: z.int().min(1).default(4096).describe('Connections at a time; further ones are closed at once.'),
  bufferBytes: size
    .prefault('128MiB')
    .describe('Received bytes that are not durable yet, over all connections. Beyond it no connection is read.'),
  messageTimeout: wait
    .prefault('60s')
    .describe('How long a message may take from its first byte to its last, and a handshake in all.'),
  idleTimeout: wait.prefault('1h').describe('How long a connection without a message is kept.'),
})

const http = z.strictObject({
  listen: listen('HTTP'),
  port: port(3100, 'the API, /metrics, /healthz and /ready'),
  tls: z
    .strictObject({
      certFile: z.string().min(1).optional().describe('Certificate chain, PEM. With it HTTP is HTTPS.'),
      keyFile: z.string().min(1).optional().describe('Private key of that certificate, PEM.'),
      caFile: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Certificates, PEM, one of which must have signed the certificate of each client (mTLS). /healthz, /ready and /metrics are answered without.',
        ),
    })
    .prefault({}),
  auth: authConfig,
  maxConnections: z.int().min(1).default(1024).describe('Connections at a time; further ones are closed at once.'),
  requestTimeout: wait
    .prefault('60s')
    .describe('How long a request may take from its first byte to the last of its body.'),
  answerTimeout: wait.prefault('60s').describe('How long a client may take nothing of its answer.'),
  idleTimeout: wait.prefault('75s').describe('How long a connection without a request is kept.'),
})

const push = z.strictObject({
  maxBodyBytes: size.prefault('16MiB').describe('Longest body of a push, as it comes.'),
  maxDecompressedBytes: size
    .prefault('64MiB')
    .describe('Most bytes that the body of a push may decompress to. Both are answered with 413 when exceeded.'),
  bufferBytes: size
    .prefault('256MiB')
    .describe(
      'Memory for pushes that are not durable yet, together. Beyond it they are answered with 503 and come again.',
    ),
  patience: wait
    .prefault('10s')
    .describe('How long a push waits for the write-ahead log before it is answered with 503.'),
})

const tail = z.strictObject({
  maxTails: z.int().min(1).default(10).describe('Clients of one tenant that may tail at a time.'),
  maxDuration: wait.prefault('1h').describe('How long one may. Clients connect again by themselves.'),
  queueEntries: z
    .int()
    .min(1)
    .default(10_000)
    .describe('Records that wait for one client. What goes beyond is dropped, and the client is told.'),
  queueBytes: size.prefault('16MiB').describe('Memory of these records.'),
})

const store = z.strictObject({
  engine: z
    .enum(['embedded', 'clickhouse'])
    .default('embedded')
    .describe('`embedded`: an engine of our own under dataDir. `clickhouse`: an existing server or cluster.'),
  ...retentionConfig,
  memory: size.prefault('700MiB').describe('Most memory the embedded engine takes for its work.'),
  clickhouse: clickhouseConfig.prefault({}),
})

/** The aggregator's configuration file. No key is required. */
export const aggregatorConfig = z
  .strictObject({
    dataDir: z
      .string()
      .min(1)
      .default('/var/lib/tributary/aggregator')
      .describe(
        'Where write-ahead log, ledger and embedded store are kept. Must outlive the process, and belongs to one.',
      ),
    forward: forward.prefault({}),
    http: http.prefault({}),
    tenants: tenantsConfig,
    limits: limitsConfig,
    push: push.prefault({}),
    syslog: syslogConfig.prefault({}),
    tail: tail.prefault({}),
    store: store.prefault({}),
    wal: z
      .strictObject({
        maxBytes: size
          .prefault('4GiB')
          .describe('Most disk the write-ahead log takes while the store is away or slow. Beyond it the senders wait.'),
        segmentBytes: size
          .refine((bytes) => bytes >= 1 << 16, 'must be at least 64KiB')
          .prefault('64MiB')
          .describe('Size of one segment, the unit in which disk is given back.'),
      })
      .prefault({}),
    ack: z
      .enum(['wal', 'stored'])
      .default('wal')
      .describe(
        'When a chunk is acknowledged. `wal`: when it is durable on this volume. `stored`: when its rows are in the store, which survives the loss of the volume and takes longer; needs store.engine clickhouse.',
      ),
    replicas: z
      .int()
      .min(1)
      .default(1)
      .describe('How many aggregators there are. More than one need store.engine clickhouse, which they share.'),
    takeover: z
      .strictObject({
        after: wait
          .refine((ms) => ms >= 1000, 'must be at least 1s')
          .prefault('30s')
          .describe(
            'With store.engine clickhouse: how long nothing must have come of an aggregator until the others find out what became of the blocks it had on their way.',
          ),
      })
      .prefault({}),
    load: z
      .strictObject({
        blockRows: z
          .int()
          .min(1)
          .default(50_000)
          .describe('Rows of one insert into the store, at least, while more follow; it grows to four times as many.'),
        blockBytes: size.prefault('64MiB').describe('Bytes of lines that end a block early.'),
        blockDelay: wait
          .prefault('1s')
          .describe('How long a row waits for its block to fill. A larger block costs the store less for each row.'),
      })
      .prefault({}),
    labels: z
      .strictObject({
        discoverServiceName: z
          .boolean()
          .default(true)
          .describe('Give streams without a label `service_name` one, from the label that fits best, as Loki does.'),
        detectTrace: z
          .boolean()
          .default(true)
          .describe('Look for the ids of trace and span in each line, kept as `trace_id` and `span_id`.'),
        detectLevel: z
          .boolean()
          .default(true)
          .describe('Look for a level in each line, kept as `detected_level`; `unknown` where there is none.'),
      })
      .prefault({}),
    shutdown: z
      .strictObject({
        drain: wait
          .prefault('10s')
          .describe(
            'How long to go on loading into the store when told to stop. The rest waits in the write-ahead log.',
          ),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe("The aggregator's own log."),
      })
      .prefault({}),
  })
  .superRefine(({ ack, forward, http, store, syslog, tenants, wal, replicas }, context) => {
    const problem = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
    for (const [name, tls] of [
      ['forward', forward.tls],
      ['http', http.tls],
      ['syslog', syslog.tls],
    ] as const) {
      if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
        problem([name, 'tls'], 'certFile and keyFile go together: set both or neither')
      }
      if (tls.caFile !== undefined && tls.certFile === undefined) {
        problem([name, 'tls', 'caFile'], 'needs certFile and keyFile: without them TLS is not spoken')
      }
    }
    if (forward.sharedKey !== undefined && forward.sharedKeyFile !== undefined) {
      problem(['forward', 'sharedKeyFile'], 'set sharedKey or sharedKeyFile, not both')
    }
    if (forward.users !== undefined && (forward.sharedKey ?? forward.sharedKeyFile) === undefined) {
      problem(['forward', 'users'], 'needs forward.sharedKey: without it there is no handshake to ask for users')
    }
    const others = http.auth.credentials.findIndex((credential) =>
      credential.tenants.some((name) => name !== defaultTenant),
    )
    if (!tenants.enabled && others !== -1) {
      problem(['http', 'auth', 'credentials', String(others), 'tenants'], 'needs tenants.enabled: true')
    }
    if (!tenants.enabled && forward.tenant !== defaultTenant)
      problem(['forward', 'tenant'], 'needs tenants.enabled: true')
    if (!tenants.enabled && syslog.tenant !== defaultTenant)
      problem(['syslog', 'tenant'], 'needs tenants.enabled: true')
    for (const name of Object.keys(tenants.overrides)) {
      if (!tenants.enabled && name !== defaultTenant)
        problem(['tenants', 'overrides', name], 'needs tenants.enabled: true')
    }
    for (const [name, user] of Object.entries(forward.users ?? {})) {
      if (!tenants.enabled && typeof user !== 'string' && (user.tenant ?? defaultTenant) !== defaultTenant)
        problem(['forward', 'users', name, 'tenant'], 'needs tenants.enabled: true')
    }
    if (store.engine === 'clickhouse' && store.clickhouse.url === undefined) {
      problem(['store', 'clickhouse', 'url'], 'is required with store.engine clickhouse')
    }
    if (store.engine === 'embedded' && replicas > 1) {
      problem(
        ['replicas'],
        `there can be 1 aggregator with store.engine embedded, not ${replicas}: the store and its ledger are on the volume of that one, and others could not ` +
          'know what it has accepted. To run several, set store.engine: clickhouse and store.clickhouse.url',
      )
    }
    if (store.engine === 'embedded' && ack === 'stored') {
      problem(
        ['ack'],
        'stored needs store.engine clickhouse: the embedded store is on the same volume as the write-ahead log, so that waiting for it would save nothing',
      )
    }
    if (wal.maxBytes < 2 * wal.segmentBytes) {
      problem(['wal', 'maxBytes'], 'must be at least twice wal.segmentBytes, or no segment can ever be given back')
    }
    if (wal.segmentBytes < forward.maxMessageBytes && wal.maxBytes < 2 * forward.maxMessageBytes) {
      problem(['wal', 'maxBytes'], 'must be at least twice forward.maxMessageBytes')
    }
  })

export type AggregatorConfig = z.output<typeof aggregatorConfig>
/** What a configuration file may hold: every key optional. */
export type AggregatorConfigInput = z.input<typeof aggregatorConfig>
