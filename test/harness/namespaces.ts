/** Network namespaces of Linux, each with one cable to this one, which can be pulled: packets vanish, and no end is told. Needs root. */
import { spawnSync } from 'node:child_process'
import { program } from './programs.ts'

/** Path of iproute2's ip; undefined where there is none. */
const ip = program('ip', 'IP', 'required')

function run(...args: string[]): void {
  const { status, stderr } = spawnSync(ip!, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`)
}

/** Why there can't be namespaces here; undefined when there can. */
export function namespacesMissing(): string | undefined {
  if (ip === undefined) return 'no ip command'
  const name = `trprobe${process.pid}`
  const { status, stderr } = spawnSync(ip, ['netns', 'add', name], { encoding: 'utf8' })
  if (status !== 0) return `no network namespace can be made: ${stderr.trim()}`
  run('netns', 'del', name)
  return undefined
}

let made = 0

export class NetworkNamespace implements Disposable {
  readonly #name: string
  readonly #cable: string
  /** Of this end, and of the namespace's. */
  readonly host: string
  readonly address: string

  constructor() {
    const number = made++
    // Names of interfaces have 15 characters at most; several test processes may run at a time.
    const own = `${(process.pid % 46656).toString(36)}${number.toString(36)}`
    this.#name = `tr${own}`
    this.#cable = `trv${own}`
    const network = `198.18.${process.pid % 256}.`
    this.host = `${network}${4 * number + 1}`
    this.address = `${network}${4 * number + 2}`
    run('netns', 'add', this.#name)
    run('link', 'add', this.#cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.#name)
    run('addr', 'add', `${this.host}/30`, 'dev', this.#cable)
    run('link', 'set', this.#cable, 'up')
    for (const args of [
      ['addr', 'add', `${this.address}/30`, 'dev', 'eth0'],
      ['link', 'set', 'eth0', 'up'],
      ['link', 'set', 'lo', 'up'],
    ])
      run('-n', this.#name, ...args)
  }

  /** What is put before a command to run it inside. */
  get prefix(): readonly string[] {
    return [ip!, 'netns', 'exec', this.#name]
  }

  /** Pulls the cable, or plugs it in again. */
  cut(cut: boolean): void {
    run('-n', this.#name, 'link', 'set', 'eth0', cut ? 'down' : 'up')
  }

  [Symbol.dispose](): void {
    run('netns', 'del', this.#name)
  }
}
