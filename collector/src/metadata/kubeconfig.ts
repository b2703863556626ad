/**
 * A kubeconfig file as access to the API. The client library reads the file's parts and runs exec plugins; its own KubeConfig would
 * load all of it, 40 MiB and more (docs/decisions/0004).
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import {
  type Cluster,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js'
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js'
import { parse } from 'yaml'
import { type ApiAccess, type ApiCredentials, bearer } from './api-access.ts'
import { ApiError } from './api-error.ts'

/** Throws {@link ApiError} (config) that names the file. */
export async function kubeconfigAccess(file: string): Promise<ApiAccess> {
  try {
    const { cluster, user, tokenFile } = readParts(await readFile(file, 'utf8'))
    const path = (name: string) => resolve(dirname(file), name)
    // It remembers what the plugin said until that expires, or for ever: as long as this access is used.
    const exec = new ExecAuth()
    return { server: new URL(cluster.server), credentials: () => credentialsOf(cluster, user, tokenFile, exec, path) }
  } catch (error) {
    throw new ApiError('config', `kubernetes.kubeconfig: ${file}: ${(error as Error).message}`, { cause: error })
  }
}

interface Parts {
  readonly cluster: Cluster
  readonly user: User
  readonly tokenFile: string | undefined
}

interface RawUser {
  readonly name: string
  readonly user?: { readonly tokenFile?: string }
}

function readParts(text: string): Parts {
  const raw = (parse(text) ?? {}) as Record<string, unknown>
  const named = <T extends { readonly name: string }>(what: string, list: readonly T[], name: string): T => {
    const found = list.find((one) => one.name === name)
    if (found === undefined) throw new Error(`no ${what} is named ${JSON.stringify(name)}`)
    return found
  }
  const context = named('context', newContexts(raw['contexts']), String(raw['current-context'] ?? ''))
  const cluster = named('cluster', newClusters(raw['clusters']), context.cluster)
  const user = named('user', newUsers(raw['users']), context.user)
  if (!URL.canParse(cluster.server)) throw new Error(`the server of cluster ${JSON.stringify(cluster.name)} is no URL`)
  if (cluster.proxyUrl) throw new Error('proxy-url is not supported')
  if (user.authProvider) throw new Error('auth-provider is not supported: use exec, a token or a certificate')
  const { user: own } = named('user', (raw['users'] ?? []) as RawUser[], context.user)
  return { cluster, user, tokenFile: own?.tokenFile }
}

async function credentialsOf(
  cluster: Cluster,
  user: User,
  tokenFile: string | undefined,
  exec: ExecAuth,
  path: (name: string) => string,
): Promise<ApiCredentials> {
  const content = async (file: string | undefined, data: string | undefined) =>
    file ? await readFile(path(file), 'utf8') : data ? Buffer.from(data, 'base64').toString() : undefined
  const [ca, cert, key] = await Promise.all([
    content(cluster.caFile, cluster.caData),
    content(user.certFile, user.certData),
    content(user.keyFile, user.keyData),
  ])
  const plugged: { headers?: Record<string, string>; cert?: string; key?: string } = {}
  if (exec.isAuthProvider(user)) await exec.applyAuthentication(user, plugged)
  const token = user.token ?? (tokenFile === undefined ? undefined : await readFile(path(tokenFile), 'utf8'))
  const basic = user.username ? Buffer.from(`${user.username}:${user.password}`).toString('base64') : undefined
  return {
    headers: {
      ...plugged.headers,
      ...(basic === undefined ? {} : { authorization: `Basic ${basic}` }),
      ...(token === undefined || token === null ? {} : bearer(token)),
      ...(user.impersonateUser ? { 'impersonate-user': user.impersonateUser } : {}),
    },
    tls: {
      ...(ca ? { ca } : {}),
      ...((plugged.cert ?? cert) ? { cert: plugged.cert ?? cert! } : {}),
      ...((plugged.key ?? key) ? { key: plugged.key ?? key! } : {}),
      ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
      ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
    },
  }
}
