/** The section `store.clickhouse`: how to reach a server or cluster of one's own. */
import { Secret, secretKey } from '@tributary/protocol/secret.ts'
import { duration, wait } from '@tributary/protocol/units.ts'
import { WatchedFile } from '@tributary/protocol/watched-file.ts'
import { z } from 'zod'
import type { StoreConnection, StoreTls } from './connection.ts'

/** The server's address and nothing more: what else a URL can say has keys of its own, and would be seen in logs. */
const address = z
  .url({ protocol: /^https?$/, error: 'write an address such as https://clickhouse:8443', abort: true })
  .refine((url) => {
    const { username, password, pathname, search, hash } = new URL(url)
    return [username, password, search, hash].every((part) => part === '') && pathname === '/'
  }, 'must be scheme, host and port only; user, password and database have keys of their own')

/** Names that become part of SQL statements and of paths in Keeper. They are quoted there; this keeps them readable. */
const identifier = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/, 'must be letters, digits, _, - and ., at most 63 of them')

const file = (what: string) => z.string().min(1).optional().describe(what)

export const clickhouseConfig = z
  .strictObject({
    url: z
      .union([address, z.array(address).min(1)])
      .optional()
      .describe(
        "The server's HTTP address, such as https://clickhouse:8443, or a list of addresses that lead to the same store, such as a cluster's replicas. One that fails is left for another.",
      ),
    username: z
      .string()
      .min(1)
      .default('default')
      .describe('User at that server (docs/clickhouse.md lists its grants).'),
    password: secretKey('Password of that user. Default: none.'),
    passwordFile: z.string().min(1).optional().describe('File that holds the password, instead of saying it here.'),
    tls: z
      .strictObject({
        caFile: file(
          "Certificates, PEM, one of which must have signed the server's. Default: those the system trusts.",
        ),
        certFile: file(
          'Certificate to show to the server, PEM. Without a password it is what authenticates the user; with one it is shown besides.',
        ),
        keyFile: file('Private key of that certificate, PEM.'),
      })
      .prefault({}),
    database: identifier
      .default('tributary')
      .describe('Database that holds the tables. Made at the start if it is missing.'),
    cluster: identifier
      .optional()
      .describe(
        "Name of a cluster in the server's `remote_servers`: tables are then replicated, and spread over its shards. Default: tables on the one server.",
      ),
    insertTimeout: wait
      .refine((ms) => ms >= 1000, 'must be at least 1s')
      .prefault('2m')
      .describe(
        'How long the answer to an insert is waited for until the insert is repeated, under the same token. Doubled where that keeps happening.',
      ),
    insertQuorum: z
      .union([z.literal('auto'), z.int().min(0)], 'write auto, or a number of replicas, 0 or more')
      .default(0)
      .describe(
        'How many replicas must have a block until it counts as stored; `auto`: more than half. 0: one, the others follow.',
      ),
    storagePolicy: identifier
      .optional()
      .describe("Storage policy of the server for the tables with the rows. Default: the server's default."),
    moveAfter: duration
      .refine((ms) => ms >= 60_000, 'must be at least 1m')
      .optional()
      .describe('Age at which rows are moved to the volume `moveTo` of the storage policy. Default: never.'),
    moveTo: identifier
      .default('cold')
      .describe('Volume of the storage policy, such as one on S3, for rows older than `moveAfter`.'),
  })
  .superRefine(({ url, password, passwordFile, tls, moveAfter, storagePolicy }, context) => {
    const problem = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message })
    if (password !== undefined && passwordFile !== undefined)
      problem('passwordFile', 'set password or passwordFile, not both')
    if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
      problem('tls', 'certFile and keyFile go together: set both or neither')
    }
    if ((tls.caFile ?? tls.certFile) !== undefined && urlsOf(url).some((one) => !one.startsWith('https:'))) {
      problem('url', 'must begin with https: where store.clickhouse.tls is set')
    }
    if (new Set(urlsOf(url)).size < urlsOf(url).length) problem('url', 'names an address twice')
    if (moveAfter !== undefined && storagePolicy === undefined) {
      problem('moveAfter', 'needs storagePolicy, which has the volume to move to')
    }
  })

export type ClickhouseConfig = z.output<typeof clickhouseConfig>

function urlsOf(url: string | readonly string[] | undefined): readonly string[] {
  return url === undefined ? [] : typeof url === 'string' ? [url] : url
}

/** Reads the files it names. Throws FileError where one can't be read. */
export function clickhouseConnection(config: ClickhouseConfig): StoreConnection {
  const { url, username, database, cluster, storagePolicy, insertTimeout, insertQuorum } = config
  const password = Secret.from('store.clickhouse.password', config.password, config.passwordFile)?.current ?? ''
  const tls = tlsOf(config.tls)
  return {
    engine: 'clickhouse',
    urls: urlsOf(url),
    username,
    password,
    database,
    cluster,
    storagePolicy,
    insertTimeout,
    insertQuorum,
    ...(tls === undefined ? {} : { tls }),
  }
}

function tlsOf({ caFile, certFile, keyFile }: ClickhouseConfig['tls']): StoreTls | undefined {
  if (caFile === undefined && certFile === undefined) return undefined
  const pem = (key: string, path: string | undefined) =>
    path === undefined ? undefined : new WatchedFile({ key: `store.clickhouse.tls.${key}`, path }).content.toString()
  return { ca: pem('caFile', caFile), cert: pem('certFile', certFile), key: pem('keyFile', keyFile) }
}
