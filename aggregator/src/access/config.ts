/** What the configuration says about who may do what: credentials of HTTP, tenants, and their limits. */
import { secretFileKey, secretKey } from '@tributary/protocol/secret.ts'
import { duration, size, wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { defaultTenant } from '../logql/tenant-scope.ts'
import { tenantProblem } from './tenant-id.ts'

export const roles = ['push', 'read', 'admin'] as const
export type Role = (typeof roles)[number]

export const tenantName = z.string().superRefine((name, context) => {
  const problem = name === '' ? 'a tenant needs a name' : tenantProblem(name)
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
})

const credential = z
  .strictObject({
    name: z.string().min(1).describe('How logs and messages call it.'),
    token: secretKey('Bearer token.'),
    tokenFile: secretFileKey('the bearer token'),
    username: z
      .string()
      .regex(/^[^:]+$/, 'has no colon')
      .optional()
      .describe('User of basic auth.'),
    password: secretKey('Password of that user.'),
    passwordFile: secretFileKey('the password'),
    roles: z
      .array(z.enum(roles))
      .min(1)
      .describe(
        '`push`: send logs. `read`: query. `admin`: all of it, and the audit and whatever changes stored data.',
      ),
    tenants: z
      .array(z.union([z.literal('*'), tenantName]))
      .min(1)
      .default([defaultTenant])
      .describe('Tenants it may speak for; `*` for whichever the request names in X-Scope-OrgID.'),
  })
  .superRefine(({ token, tokenFile, username, password, passwordFile }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    const said = [token, tokenFile, password, passwordFile].filter((value) => value !== undefined).length
    if (said !== 1) issue('token', 'set exactly one of token, tokenFile, password, passwordFile')
    else if ((token ?? tokenFile) === undefined && username === undefined)
      issue('username', 'a password needs a username')
    else if ((token ?? tokenFile) !== undefined && username !== undefined) issue('username', 'a token has no username')
  })

export type CredentialConfig = z.output<typeof credential>

/** The section `http.auth`. */
export const authConfig = z
  .strictObject({
    credentials: z
      .array(credential)
      .default([])
      .superRefine((all, context) => {
        const names = all.map(({ name }) => name)
        const twice = names.find((name, i) => names.indexOf(name) !== i)
        if (twice !== undefined) context.addIssue({ code: 'custom', message: `two credentials are named ${twice}` })
        const secrets = all.map(({ username, token, tokenFile, password, passwordFile }) =>
          JSON.stringify([username, token, tokenFile, password, passwordFile]),
        )
        const other = secrets.findIndex((secret, i) => secrets.indexOf(secret) !== i)
        if (other === -1) return
        const [first, second] = [names[secrets.indexOf(secrets[other]!)], names[other]]
        const message = `${first} and ${second} have the same token, or user and password: whose a request is could not be told`
        context.addIssue({ code: 'custom', message })
      })
      .describe(
        'Who may use HTTP: a list of entries with `name`, `token` or `tokenFile`, or `username` with `password` or `passwordFile`, `roles` (`push`, `read`, `admin`) and `tenants` (docs/security.md). Empty: whoever can connect may do everything.',
      ),
  })
  .prefault({})

const count = (what: string) => z.int().min(0).describe(`${what} 0: no limit.`)

const keys = {
  ingestionBytesPerSecond: size.describe(
    'Bytes a second that a tenant may send to this aggregator, HTTP and Forward together. Pushes beyond it are refused with 429, Forward connections are read later. 0: no limit.',
  ),
  ingestionBurstBytes: size
    .refine((bytes) => bytes > 0, 'must be more than 0')
    .describe('How much of it may come at once. A push that is larger is always refused while there is a limit.'),
  maxLineBytes: size
    .refine((bytes) => bytes >= 256, 'must be at least 256')
    .describe(
      'Longest line of senders other than our collectors, which have `logs.maxLineBytes`. A longer one is refused on push, unless `truncateLines`, and cut and flagged `truncated` on Forward.',
    ),
  truncateLines: z.boolean().describe('Cut lines that are too long on push too, flagged `truncated`.'),
  maxLabelNames: count('Stream labels of one stream.'),
  maxLabelNameBytes: count('Length of the name of a stream label.'),
  maxLabelValueBytes: count('Length of the value of a stream label.'),
  maxMetadataPairs: count('Structured metadata of one record, pairs.'),
  maxMetadataBytes: size.describe('Structured metadata of one record, bytes. 0: no limit.'),
  maxStreams: count('Streams of a tenant that had a record in the last hour.'),
  maxAge: duration.describe('How far back the time of a pushed record may lie. 0: any time.'),
  maxFuture: duration.describe('How far ahead the time of a pushed record may lie. 0: any time.'),
  queryTimeout: wait
    .refine((ms) => ms >= 1000, 'must be at least 1s')
    .describe('How long a query may take before it is answered with 504.'),
  maxQuerySeries: z.int().min(1).describe("Series in a query's answer."),
  maxQueryRows: count('Rows that one statement of a query may read from the store.'),
  maxQueryMemory: size.describe(
    'Memory that one statement of a query may take in the store. 0: what the store allows a query.',
  ),
} as const

/** The section `limits`: of each tenant for itself. */
export const limitsConfig = z
  .strictObject({
    ingestionBytesPerSecond: keys.ingestionBytesPerSecond.prefault(0),
    ingestionBurstBytes: keys.ingestionBurstBytes.prefault('16MiB'),
    maxLineBytes: keys.maxLineBytes.prefault('256KiB'),
    truncateLines: keys.truncateLines.default(false),
    maxLabelNames: keys.maxLabelNames.default(15),
    maxLabelNameBytes: keys.maxLabelNameBytes.default(1024),
    maxLabelValueBytes: keys.maxLabelValueBytes.default(2048),
    maxMetadataPairs: keys.maxMetadataPairs.default(128),
    maxMetadataBytes: keys.maxMetadataBytes.prefault('64KiB'),
    maxStreams: keys.maxStreams.default(100_000),
    maxAge: keys.maxAge.prefault('7d'),
    maxFuture: keys.maxFuture.prefault('10m'),
    queryTimeout: keys.queryTimeout.prefault('60s'),
    maxQuerySeries: keys.maxQuerySeries.default(500),
    maxQueryRows: keys.maxQueryRows.default(0),
    maxQueryMemory: keys.maxQueryMemory.prefault(0),
  })
  .prefault({})
export type Limits = z.output<typeof limitsConfig>

/** The section `tenants`. */
export const tenantsConfig = z
  .strictObject({
    enabled: z
      .boolean()
      .default(false)
      .describe(
        `Whether there is more than one tenant, told by the header X-Scope-OrgID, as with Loki's auth_enabled. false: all data is of the tenant \`${defaultTenant}\` and the header is ignored.`,
      ),
    overrides: z
      .record(tenantName, z.strictObject(keys).partial())
      .default({})
      .describe('Keys of `limits` that are otherwise for a tenant: a map by its name.'),
  })
  .prefault({})
export type TenantsConfig = z.output<typeof tenantsConfig>
