/** Requests to an API server, as somebody with a token makes them. */
import { request } from 'node:https'

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: objects of any kind of Kubernetes
  readonly body: any
}

export interface ApiServer {
  /** `https://address:port` */
  readonly url: string
  /** Certificates, PEM, one of which signed the server's. */
  readonly authority: string
}

const patchType = 'application/merge-patch+json'

/** Somebody's way to an API server. */
export class ApiClient {
  readonly server: ApiServer
  readonly token: string

  constructor(server: ApiServer, token: string) {
    this.server = server
    this.token = token
  }

  /** Whatever the answer is. */
  ask(method: string, path: string, body?: object): Promise<Answer> {
    const { url, authority } = this.server
    const type = method === 'PATCH' ? patchType : 'application/json'
    const text = body === undefined ? '' : JSON.stringify(body)
    const headers = {
      authorization: `Bearer ${this.token}`,
      accept: 'application/json',
      'content-type': type,
      // Node leaves it out of a DELETE, and the body is taken for the next request.
      'content-length': Buffer.byteLength(text),
    }
    return new Promise((resolve, reject) => {
      const asked = request(new URL(path, url), { method, headers, ca: authority }, (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (more: string) => (answer += more))
        response.on('error', reject)
        response.on('end', () => {
          const json = response.headers['content-type']?.startsWith('application/json')
          resolve({ status: response.statusCode!, body: json ? JSON.parse(answer) : answer })
        })
      })
      asked.on('error', reject)
      asked.end(text)
    })
  }

  /** What it answers; throws where that is a refusal. */
  async call(method: string, path: string, body?: object): Promise<Answer['body']> {
    const answer = await this.ask(method, path, body)
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  get(path: string): Promise<Answer['body']> {
    return this.call('GET', path)
  }
}

/** A kubeconfig file's text. */
export function kubeconfig({ url, authority }: ApiServer, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [
      {
        name: 'test',
        cluster: { server: url, 'certificate-authority-data': Buffer.from(authority).toString('base64') },
      },
    ],
    users: [{ name: 'test', user: { token } }],
  })
}
