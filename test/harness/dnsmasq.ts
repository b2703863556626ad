/** A real DNS server, dnsmasq, by default on a free port of loopback. Its records change while it runs. Newcomers may lack it: CI installs it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { promises as dns } from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './processes.ts'
import { program } from './programs.ts'

/** Path of dnsmasq; undefined where it is not installed (Debian: dnsmasq-base), which is a failure in CI. */
export const dnsmasq = program('dnsmasq', 'DNSMASQ', 'required')

export interface Service {
  readonly name: string
  readonly host: string
  readonly port: number
}

export interface DnsmasqOptions {
  readonly address?: string
  readonly port?: number
  /** What all names that it knows end in. */
  readonly domain?: string
}

export class Dnsmasq {
  readonly #root = mkdtempSync(join(tmpdir(), 'tributary-dnsmasq-'))
  readonly #address: string
  readonly #port: number
  readonly #domain: string
  #process: ChildProcess | undefined
  #services: readonly Service[] = []

  private constructor(address: string, port: number, domain: string) {
    this.#address = address
    this.#port = port
    this.#domain = domain
    this.hosts({})
  }

  static async start({ address = '127.0.0.1', port, domain = 'test' }: DnsmasqOptions = {}): Promise<Dnsmasq> {
    for (let attempt = 1; ; attempt++) {
      const started = new Dnsmasq(address, port ?? (await freeUdpPort()), domain)
      try {
        await started.resume()
        return started
      } catch (error) {
        await started[Symbol.asyncDispose]()
        // Another test may have taken the port meanwhile, of UDP or of TCP.
        if (port !== undefined || attempt === 5) throw error
      }
    }
  }

  get address(): string {
    return `${this.#address}:${this.#port}`
  }

  /** Addresses of the names there are, from now on; they end in the domain. */
  hosts(names: Readonly<Record<string, readonly string[]>>): void {
    const lines = Object.entries(names).flatMap(([name, addresses]) => addresses.map((one) => `${one} ${name}\n`))
    writeFileSync(join(this.#root, 'hosts'), lines.join(''))
    this.#process?.kill('SIGHUP')
  }

  /** SRV records, from the next start on. */
  services(services: readonly Service[]): void {
    this.#services = services
  }

  /** Nobody answers until {@link resume}. */
  async pause(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  async resume(): Promise<void> {
    const options = [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--log-facility=-', '--no-resolv'],
      ...['--no-hosts', '--bind-interfaces', `--listen-address=${this.#address}`, `--port=${this.#port}`],
      ...[`--local=/${this.#domain}/`, '--local-ttl=1', `--addn-hosts=${join(this.#root, 'hosts')}`],
      ...(process.getuid?.() === 0 ? ['--user=root'] : []),
      ...this.#services.map(({ name, host, port }) => `--srv-host=${name},${host},${port}`),
    ]
    let output = ''
    const child = spawn(dnsmasq!, options, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
    this.#process = child
    const resolver = new dns.Resolver({ timeout: 300, tries: 1 })
    resolver.setServers([this.address])
    await until(
      () =>
        child.exitCode !== null ||
        resolver.resolve4(`nobody.${this.#domain}`).then(
          () => true,
          ({ code }) => code === 'ENOTFOUND',
        ),
      10_000,
      () => `dnsmasq does not answer: ${output}`,
    )
    if (child.exitCode !== null) throw new Error(`dnsmasq does not run: ${output}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause()
    rmSync(this.#root, { recursive: true, force: true })
  }
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address() as AddressInfo
  socket.close()
  await once(socket, 'close')
  return port
}
