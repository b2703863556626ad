import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiAccess, apiAccess } from './api-access.ts'
import { getPieces } from './api-client.ts'
import type { ApiError } from './api-error.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-kube-'))
const path = (name: string) => join(directory, name)
let server: Server
/** What the last request came with. */
let asked: { authorization: string | undefined; client: string | undefined; as: string | undefined }

beforeAll(async () => {
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=node-agent', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:kube'],
      ...['-keyout', path('key.pem'), '-out', path('ca.crt')],
    ],
    { stdio: 'ignore' },
  )
  const pem = { cert: readFileSync(path('ca.crt')), key: readFileSync(path('key.pem')) }
  server = createServer({ ...pem, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const { authorization, 'impersonate-user': as } = request.headers
    const client = (request.socket as TLSSocket).getPeerCertificate().subject?.CN
    asked = { authorization, client: client?.toString(), as: as?.toString() }
    response.end(`hello ${request.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterAll(() => {
  server.close()
  rmSync(directory, { recursive: true, force: true })
})

const port = () => (server.address() as AddressInfo).port

async function get(access: ApiAccess, signal = new AbortController().signal): Promise<string> {
  const pieces: Buffer[] = []
  const request = { path: '/x?y', accept: 'a', silence: 5000, signal, opened: () => {} }
  for await (const piece of getPieces(access, request)) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('no error'),
    (error: ApiError) => error,
  )

describe('in a pod', () => {
  const environment = () => ({ KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: `${port()}` })

  test('the service account says who we are, anew for every request', async () => {
    writeFileSync(path('token'), 'one\n')
    const access = await apiAccess(undefined, environment(), directory)
    expect(await get(access)).toBe('hello /x?y')
    expect(asked.authorization).toBe('Bearer one')
    writeFileSync(path('token'), 'two\n')
    await get(access)
    expect(asked.authorization).toBe('Bearer two')
  })

  test('a server with another certificate is not told the token', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'tributary-kube-'))
    writeFileSync(join(elsewhere, 'token'), 'secret')
    writeFileSync(join(elsewhere, 'ca.crt'), '')
    asked = { authorization: undefined, client: undefined, as: undefined }
    const error = await failure(get(await apiAccess(undefined, environment(), elsewhere)))
    expect(error.reason).toBe('unreachable')
    expect(asked.authorization).toBeUndefined()
    rmSync(elsewhere, { recursive: true })
  })

  test('what is missing is named, with the cure', async () => {
    const access = await apiAccess(undefined, environment(), '/nonexistent')
    expect((await failure(get(access))).message).toMatch(/\/nonexistent\/token.*automountServiceAccountToken/)
    const error = await failure(apiAccess(undefined, {}))
    expect(error.reason).toBe('config')
    expect(error.message).toContain('name a kubeconfig file in kubernetes.kubeconfig')
  })

  test('an address of version 6 is written in brackets', async () => {
    const access = await apiAccess(undefined, { KUBERNETES_SERVICE_HOST: 'fd00::1' }, directory)
    expect(access.server.href).toBe('https://[fd00::1]/')
  })
})

describe('with a kubeconfig file', () => {
  const config = (user: object, cluster: object = { 'certificate-authority': 'ca.crt' }) => {
    writeFileSync(
      path('config'),
      JSON.stringify({
        'current-context': 'here',
        contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
        clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port()}`, ...cluster } }],
        users: [{ name: 'u', user }],
      }),
    )
    return apiAccess(path('config'))
  }

  test.for([
    { what: 'a token', user: { token: 't1' }, authorization: 'Bearer t1' },
    { what: "a token's file beside it", user: { tokenFile: 'tok' }, authorization: 'Bearer t2' },
    { what: 'a user and a password', user: { username: 'u', password: 'p' }, authorization: 'Basic dTpw' },
    { what: 'a certificate', user: { 'client-certificate': 'ca.crt', 'client-key': 'key.pem' }, client: 'node-agent' },
    { what: 'another user', user: { token: 't1', as: 'someone' }, authorization: 'Bearer t1', as: 'someone' },
    {
      what: 'a plugin',
      user: {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: 'sh',
          args: ['-c', 'echo "{\\"status\\":{\\"token\\":\\"$TOKEN\\"}}"'],
          env: [{ name: 'TOKEN', value: 't3' }],
        },
      },
      authorization: 'Bearer t3',
    },
  ])('$what', async ({ user, authorization, client, as }) => {
    writeFileSync(path('tok'), 't2\n')
    expect(await get(await config(user))).toBe('hello /x?y')
    expect(asked).toEqual({ authorization, client, as })
  })

  test.for([{ 'certificate-authority': 'ca.crt', 'tls-server-name': 'kube' }, { 'insecure-skip-tls-verify': true }])(
    'a cluster with %o',
    async (cluster) => {
      expect(await get(await config({ token: 't' }, cluster))).toBe('hello /x?y')
    },
  )

  test('a certificate that is not trusted', async () => {
    expect((await failure(get(await config({ token: 't' }, {})))).reason).toBe('unreachable')
  })

  test.for([
    { what: 'no such file', text: undefined, says: 'ENOENT' },
    { what: 'nothing', text: '', says: 'no context' },
    { what: 'no YAML', text: '{', says: 'config' },
    {
      what: 'no such user',
      text: '{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"x"}}],"clusters":[{"name":"c","cluster":{"server":"https://a"}}]}',
      says: 'no user is named "x"',
    },
    {
      what: 'a server that is no URL',
      text: '{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"x"}}],"clusters":[{"name":"c","cluster":{"server":"a b"}}],"users":[{"name":"x","user":{}}]}',
      says: 'the server of cluster "c" is no URL',
    },
    {
      what: 'a legacy provider',
      text: '{"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"x"}}],"clusters":[{"name":"c","cluster":{"server":"https://a"}}],"users":[{"name":"x","user":{"auth-provider":{"name":"oidc"}}}]}',
      says: 'use exec, a token or a certificate',
    },
  ])('$what', async ({ text, says }) => {
    rmSync(path('config'), { force: true })
    if (text !== undefined) writeFileSync(path('config'), text)
    const error = await failure(apiAccess(path('config')))
    expect(error.reason).toBe('config')
    expect(error.message).toContain(`kubernetes.kubeconfig: ${path('config')}`)
    expect(error.message).toContain(says)
  })

  test('a plugin that does not end is not waited for at the end', async () => {
    const access = await config({ exec: { command: 'sleep', args: ['3'] } })
    const stop = new AbortController()
    const asking = failure(get(access, stop.signal))
    const started = performance.now()
    stop.abort()
    expect((await asking).reason).toBe('config')
    expect(performance.now() - started).toBeLessThan(2000)
  })

  test('a plugin that fails is an error of its own', async () => {
    const access = await config({ exec: { command: 'sh', args: ['-c', 'echo expired >&2; exit 1'] } })
    const error = await failure(get(access))
    expect(error.reason).toBe('config')
    expect(error.message).toContain('expired')
  })
})
