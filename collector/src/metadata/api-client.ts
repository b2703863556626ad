/**
 * GET requests to the Kubernetes API whose answers are read as they come. One connection each: between a list and the next there are
 * minutes, and a connection that is made anew can't be one that broke unnoticed.
 */
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { ApiAccess, ApiCredentials } from './api-access.ts'
import { ApiError, statusError } from './api-error.ts'

export interface ApiRequest {
  /** With its query. */
  readonly path: string
  readonly accept: string
  /** How long nothing may come, ms. */
  readonly silence: number
  readonly signal: AbortSignal
  /** The server said yes; what it has to say may take long to come. */
  opened(): void
}

/** How long a connection and the first word of the answer may take at most, ms. */
const openTimeout = 30_000

/** Of the body of an answer that is an error, bytes. */
const maxErrorBytes = 64 * 1024

/** The bytes of the answer, piece by piece. Throws {@link ApiError}. */
export async function* getPieces(access: ApiAccess, asked: ApiRequest): AsyncGenerator<Buffer> {
  const request = await send(access, asked)
  let silent = false
  const giveUp = () => {
    silent = true
    request.destroy()
  }
  const opening = setTimeout(giveUp, Math.min(asked.silence, openTimeout))
  try {
    const response = await responseOf(request)
    clearTimeout(opening)
    request.setTimeout(asked.silence, giveUp)
    if (response.statusCode !== 200) throw await errorOf(response)
    asked.opened()
    yield* response as AsyncIterable<Buffer>
  } catch (error) {
    if (silent) throw new ApiError('timeout', `nothing came from the API server for ${asked.silence / 1000} s`)
    if (error instanceof ApiError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw new ApiError('unreachable', `${access.server.origin}: ${message || code}`, { cause: error })
  } finally {
    clearTimeout(opening)
    request.destroy()
  }
}

async function send(access: ApiAccess, { path, accept, signal }: ApiRequest): Promise<ClientRequest> {
  const { headers, tls } = await credentialsOf(access, signal)
  // Each loaded only where it is used: TLS alone is 7 MiB. An import of node:http would load undici, too: see http.ts.
  const { request } = process.getBuiltinModule(access.server.protocol === 'http:' ? 'node:http' : 'node:https')
  const options: RequestOptions = {
    ...tls,
    agent: false,
    signal,
    headers: { accept, 'user-agent': 'tributary-collector', ...headers },
  }
  const base = access.server.href.replace(/\/$/, '')
  return request(new URL(base + path), options)
}

/** A plugin that gives them may take for ever. */
async function credentialsOf(access: ApiAccess, signal: AbortSignal): Promise<ApiCredentials> {
  const end = AbortSignal.any([signal, AbortSignal.timeout(openTimeout)])
  const ended = new Promise<never>((_, reject) => {
    end.addEventListener('abort', () => reject(end.reason), { once: true })
  })
  try {
    return await Promise.race([access.credentials(), ended])
  } catch (error) {
    if (error instanceof ApiError) throw error
    throw new ApiError('config', `no credentials for the API server: ${(error as Error).message}`, { cause: error })
  }
}

function responseOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    // Also behind the response: an error without a listener would end the process.
    request.on('error', reject)
    request.on('socket', (socket) => socket.setKeepAlive(true, 30_000))
    request.end()
  })
}

async function errorOf(response: IncomingMessage): Promise<ApiError> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece)
    if ((bytes += piece.length) > maxErrorBytes) break
  }
  return statusError(response.statusCode ?? 0, Buffer.concat(pieces).toString(), response.headers['retry-after'])
}
