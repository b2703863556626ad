/** Where the Kubernetes API is and who we are to it: from the pod's service account, or from a kubeconfig file. */
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import { ApiError } from './api-error.ts'

/** What one request is made with. */
export interface ApiCredentials {
  readonly headers: Readonly<Record<string, string>>
  readonly tls: SecureContextOptions & { readonly rejectUnauthorized?: boolean; readonly servername?: string }
}

export interface ApiAccess {
  readonly server: URL
  /** Anew for every request: tokens and certificates are replaced while we run. */
  credentials(): Promise<ApiCredentials>
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Throws {@link ApiError} (config) with what is missing and what to do. */
export async function apiAccess(
  kubeconfig: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
  directory = serviceAccount,
): Promise<ApiAccess> {
  // Loaded only where it is used: most collectors run in a pod.
  if (kubeconfig !== undefined) return (await import('./kubeconfig.ts')).kubeconfigAccess(kubeconfig)
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = environment
  if (host === undefined)
    throw new ApiError(
      'config',
      'kubernetes.enabled is true, but KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster; name a kubeconfig file in kubernetes.kubeconfig',
    )
  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    async credentials() {
      const token = await secret(join(directory, 'token'))
      const ca = await secret(join(directory, 'ca.crt'))
      return { headers: bearer(token), tls: { ca } }
    },
  }
}

async function secret(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ApiError(
      'config',
      `${path}: ${(error as Error).message}; give the pod a service account (automountServiceAccountToken)`,
    )
  }
}

/** A token in a file ends in a line feed, which no header may have. */
export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token.trim()}` }
}
