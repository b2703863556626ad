/** A cluster without nodes: etcd, API server, controllers and scheduler, in a temporary directory and on free ports of loopback. */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Daemon } from '../harness/daemon.ts'
import { freePorts, until } from '../harness/processes.ts'
import { ApiClient, type ApiServer, kubeconfig } from './api.ts'
import type { ClusterTools, Program } from './tools.ts'

export class ControlPlane implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'tributary-cluster-'))
  /** May do everything. */
  readonly adminToken = randomUUID()
  readonly #tools: ClusterTools
  readonly #programs: Daemon[] = []
  #server: ApiServer | undefined

  readonly #address: string

  private constructor(tools: ClusterTools, address: string) {
    this.#tools = tools
    this.#address = address
  }

  /** @param address of the API server */
  static async start(tools: ClusterTools, address = '127.0.0.1'): Promise<ControlPlane> {
    const plane = new ControlPlane(tools, address)
    try {
      await plane.#start()
      return plane
    } catch (error) {
      await plane[Symbol.asyncDispose]()
      throw error
    }
  }

  get server(): ApiServer {
    return this.#server!
  }

  get admin(): ApiClient {
    return new ApiClient(this.server, this.adminToken)
  }

  /** A kubeconfig file, written anew. */
  kubeconfig(token: string): string {
    return this.#file(`kubeconfig-${token.slice(-12)}`, kubeconfig(this.server, token))
  }

  async #start(): Promise<void> {
    const [clients, peers, port] = await freePorts(3)
    const store = `http://127.0.0.1:${clients}`
    const peer = `http://127.0.0.1:${peers}`
    // What a cut of power does to etcd is not asked here.
    await this.#run('etcd', ['--data-dir', join(this.root, 'etcd'), '--unsafe-no-fsync', '--log-level', 'warn'], {
      'listen-client-urls': store,
      'advertise-client-urls': store,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `default=${peer}`,
    })
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    })
    const signing = this.#file('accounts.key', privateKey)
    const certificates = join(this.root, 'certificates')
    const url = `https://${this.#address}:${port}`
    const apiServer = await this.#run('kube-apiserver', [], {
      'etcd-servers': store,
      'bind-address': this.#address,
      'secure-port': String(port),
      'cert-dir': certificates,
      'service-cluster-ip-range': '10.96.0.0/16',
      // There is no pod to which its own Service could lead.
      'endpoint-reconciler-type': 'none',
      'service-account-issuer': 'https://kubernetes.default.svc',
      'service-account-signing-key-file': signing,
      'service-account-key-file': this.#file('accounts.pub', publicKey),
      'token-auth-file': this.#file('tokens.csv', `${this.adminToken},admin,admin,system:masters\n`),
      'authorization-mode': 'Node,RBAC',
    })
    const authority = join(certificates, 'apiserver.crt')
    await until(
      async () => {
        if (!apiServer.running) throw new Error(`the API server ended:\n${apiServer.output}`)
        if (!existsSync(authority)) return false
        this.#server = { url, authority: readFileSync(authority, 'utf8') }
        const answer = await this.admin.ask('GET', '/readyz').catch(() => undefined)
        return answer?.status === 200
      },
      120_000,
      () => `the API server is not ready:\n${apiServer.output}`,
      200,
    )
    const config = this.kubeconfig(this.adminToken)
    const common = { kubeconfig: config, 'leader-elect': 'false', 'secure-port': '0' }
    await this.#run('kube-controller-manager', [], {
      ...common,
      'service-account-private-key-file': signing,
      'root-ca-file': authority,
    })
    await this.#run('kube-scheduler', [], common)
    // Pods of a namespace can be made once it has this.
    await until(
      async () => (await this.admin.ask('GET', '/api/v1/namespaces/default/serviceaccounts/default')).status === 200,
      120_000,
      () => this.#programs.map(({ output }) => output.slice(-2000)).join('\n'),
      200,
    )
  }

  async #run(program: Program, args: readonly string[], flags: Readonly<Record<string, string>>): Promise<Daemon> {
    const more = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    const daemon = new Daemon(this.#tools[program], [...args, ...more])
    this.#programs.push(daemon)
    return daemon
  }

  #file(name: string, text: string): string {
    const path = join(this.root, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  /** Ends everything, what was started last first. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs.reverse()) await program[Symbol.asyncDispose]()
    if (process.env['KEEP_TEST_DATA']) console.log(`kept: ${this.root}`)
    else rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
  }
}
