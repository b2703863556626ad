/**
 * What the collector shows to aggregators, and what it asks them for: asked anew for every connection, so that what is replaced in a
 * file is used from the next one on.
 */
import type { ConnectionOptions } from 'node:tls'
import { Secret } from '@tributary/protocol/secret.ts'
import { TlsFiles } from '@tributary/protocol/tls-files.ts'
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import type { CollectorConfig } from '../config.ts'
import type { Credentials } from './authenticate.ts'

export interface Identity {
  readonly credentials: () => Credentials
  /** Undefined without TLS. */
  readonly tls: (() => ConnectionOptions) | undefined
}

/** @throws FileError where a file can't be read, or certificate and key don't fit together */
export function identityOf(
  { aggregator, node }: Pick<CollectorConfig, 'aggregator' | 'node'>,
  events?: WatchedFileEvents,
): Identity {
  const { sharedKey, sharedKeyFile, username, password, passwordFile } = aggregator
  const key = Secret.from('aggregator.sharedKey', sharedKey, sharedKeyFile, events)
  const secret = Secret.from('aggregator.password', password, passwordFile, events)
  return {
    credentials: () => ({
      hostname: `${node}/collector`,
      sharedKey: key?.current,
      username,
      password: secret?.current,
    }),
    tls: tlsOf(aggregator.tls, events),
  }
}

function tlsOf(
  { enabled, serverName, insecureSkipVerify, ...paths }: CollectorConfig['aggregator']['tls'],
  events?: WatchedFileEvents,
): (() => ConnectionOptions) | undefined {
  if (!enabled) return undefined
  const files = new TlsFiles('aggregator.tls', paths, events)
  return () => ({
    ...files.material,
    ...(serverName ? { servername: serverName } : {}),
    rejectUnauthorized: !insecureSkipVerify,
  })
}
