/** What the configuration says of who may send, in the terms of the receivers. */
import { hostname } from 'node:os'
import { userSecrets } from '@tributary/protocol/forward-users.ts'
import type { Security } from '@tributary/protocol/receive/connection.ts'
import { Secret } from '@tributary/protocol/secret.ts'
import { type TlsFilePaths, TlsFiles } from '@tributary/protocol/tls-files.ts'
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import type { AggregatorConfig } from './config.ts'
import { defaultTenant } from './logql/tenant-scope.ts'

/** Certificate and key under the named key of the configuration; undefined where there is none, so that nothing is encrypted. */
export function tlsFiles(key: string, paths: TlsFilePaths, events: WatchedFileEvents): TlsFiles | undefined {
  return paths.certFile === undefined ? undefined : new TlsFiles(key, paths, events)
}

/** Shared key and users of the Forward protocol, by the name of what `Receiver.open` takes; nothing where anybody may send. */
export function forwardSecurity(
  { sharedKey, sharedKeyFile, users }: AggregatorConfig['forward'],
  events: WatchedFileEvents,
): { readonly security?: Security } {
  const key = Secret.from('forward.sharedKey', sharedKey, sharedKeyFile, events)
  if (key === undefined) return {}
  // Differs from the host name under which a collector on this machine sends, see checkPong.
  const own = { hostname: `aggregator.${hostname()}`, sharedKey: key }
  return { security: users === undefined ? own : { ...own, users: userSecrets('forward.users', users, events) } }
}

/** Whose data a sender brings, by the user it has shown to be; undefined is the default tenant. */
export function tenantOf({
  users = {},
  tenant,
}: AggregatorConfig['forward']): (user: string | undefined) => string | undefined {
  const tenants = new Map(
    Object.entries(users).flatMap(([name, user]) =>
      typeof user === 'string' || user.tenant === undefined ? [] : [[name, user.tenant] as const],
    ),
  )
  const nameOf = (name: string) => (name === defaultTenant ? undefined : name)
  return (user) => nameOf((user === undefined ? undefined : tenants.get(user)) ?? tenant)
}
