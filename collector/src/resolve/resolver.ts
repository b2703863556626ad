/**
 * Asks the DNS for the addresses of an aggregator, with their time to live. `node:dns` applies neither resolv.conf's search domains nor
 * /etc/hosts: the domains are applied here, and what the DNS does not know is asked of getaddrinfo, which knows the rest (localhost, names
 * of a hosts file, mDNS), without a time to live.
 */
import { promises as dns } from 'node:dns'
import { readFileSync } from 'node:fs'
import { isIP, isIPv4 } from 'node:net'
import { fullNames, parseResolvConf, type SearchRules } from './resolv-conf.ts'
import type { Target } from './target.ts'

/** One aggregator as the DNS tells it. */
export interface Found {
  /** What it is known by: address and port; of SRV records host and port, which outlive a change of address. */
  readonly key: string
  readonly host: string
  readonly port: number
  /** Of SRV records; else 1. */
  readonly weight: number
  /** Of SRV records: it has not the first priority. */
  readonly standby: boolean
}

export interface Resolution {
  readonly found: readonly Found[]
  /** Milliseconds for which that holds; undefined when nobody told. */
  readonly ttl: number | undefined
  /** Whether one that was known before may be there still, because the part of the answer that would tell could not be had. */
  readonly mayBe: (known: Found) => boolean
}

export const resolveProblems = ['not_found', 'timeout', 'server', 'unreachable', 'other'] as const
export type ResolveProblem = (typeof resolveProblems)[number]

export class ResolveError extends Error {
  readonly reason: ResolveProblem
  constructor(name: string, error: Error) {
    super(`${name} can't be resolved: ${error.message}`, { cause: error })
    this.name = 'ResolveError'
    this.reason = problemOf((error as NodeJS.ErrnoException).code)
  }
}

/** An attempt's patience, ms, and how often each server is asked. */
const patience = { timeout: 2000, tries: 2 }

export class NameResolver {
  readonly #servers: readonly string[]
  readonly #resolvConf: string
  #dns: dns.Resolver
  #conf = ''

  /**
   * @param servers `address` or `address:port` of the DNS servers to ask; none for those of the machine
   * @param resolvConf the file that has the search domains
   */
  constructor(servers: readonly string[], resolvConf = '/etc/resolv.conf') {
    this.#servers = servers
    this.#resolvConf = resolvConf
    this.#dns = this.#open()
  }

  #open(): dns.Resolver {
    const opened = new dns.Resolver(patience)
    if (this.#servers.length > 0) opened.setServers(this.#servers)
    return opened
  }

  /** Throws {@link ResolveError}. */
  async resolve(target: Exclude<Target, { kind: 'literal' }>): Promise<Resolution> {
    const rules = this.#rules()
    if (target.kind === 'service') return this.#service(`${target.service}.${target.host}`, rules)
    const { host, port } = target
    const { addresses, ttl, unanswered } = await this.#anyAddresses(host, rules)
    const found = addresses.map((address) => ({
      ...{ key: hostPort(address, port), host: address, port, weight: 1, standby: false },
    }))
    return { found, ttl, mayBe: (known) => isIP(known.host) === unanswered }
  }

  /** Of the machine, as they are now: who moves to another network gets another resolv.conf. */
  #rules(): SearchRules {
    let text = ''
    try {
      text = readFileSync(this.#resolvConf, 'utf8')
    } catch {
      // Without one there are no search domains, and c-ares asks a server on this machine.
    }
    if (text !== this.#conf && this.#servers.length === 0) this.#dns = this.#open()
    this.#conf = text
    return parseResolvConf(text)
  }

  async #anyAddresses(host: string, rules: SearchRules): Promise<Addresses> {
    if (host === 'localhost') return lookup(host)
    try {
      return await first(host, rules, (name) => this.#addresses(name))
    } catch (error) {
      if (this.#servers.length > 0) throw new ResolveError(host, error as Error)
      return lookup(host).catch(() => {
        throw new ResolveError(host, error as Error)
      })
    }
  }

  /** A and AAAA records of a full name. Throws what `node:dns` throws, for a name without either too. */
  async #addresses(name: string): Promise<Addresses> {
    const answers = await Promise.allSettled([
      this.#dns.resolve4(name, { ttl: true }),
      this.#dns.resolve6(name, { ttl: true }),
    ])
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    const failed = answers.map((answer) => (answer.status === 'rejected' ? (answer.reason as Error) : undefined))
    const serious = failed.find((error) => error !== undefined && !isAbsent(error))
    // An alias of a name that is not there is answered without addresses, and is no error to `node:dns`.
    if (records.length === 0) throw serious ?? failed.find((error) => error !== undefined) ?? noAddresses(name)
    return {
      addresses: records.map(({ address }) => address).sort(),
      ttl: 1000 * Math.min(...records.map(({ ttl }) => ttl)),
      unanswered: serious === undefined ? undefined : serious === failed[0] ? 4 : 6,
    }
  }

  /** SRV records, and the addresses of the hosts they name. Node does not tell the records' own time to live: that of the addresses counts. */
  async #service(service: string, rules: SearchRules): Promise<Resolution> {
    const records = await first(service, rules, (name) => this.#dns.resolveSrv(name)).catch((error: Error) => {
      throw new ResolveError(service, error)
    })
    const most = Math.min(...records.map(({ priority }) => priority))
    const answers = await Promise.allSettled(records.map(({ name }) => this.#addresses(name)))
    const found: Found[] = []
    let ttl: number | undefined
    const unanswered = new Set<string>()
    for (const [i, answer] of answers.entries()) {
      const { name, port, weight, priority } = records[i]!
      if (answer.status === 'rejected') {
        if (!isAbsent(answer.reason as Error)) unanswered.add(`${name}:${port}`)
        continue
      }
      ttl = Math.min(ttl ?? Number.POSITIVE_INFINITY, answer.value.ttl ?? Number.POSITIVE_INFINITY)
      // RFC 2782: weight 0 is for those that hardly ever are to be chosen, unless all have it.
      const common = { port, weight: Math.max(weight, 0.1), standby: priority > most }
      // Both addresses of a host of two families are one aggregator's.
      const ofOneFamily = answer.value.addresses.filter(isIPv4)
      for (const [j, host] of (ofOneFamily.length > 0 ? ofOneFamily : answer.value.addresses).entries())
        found.push({ key: j === 0 ? `${name}:${port}` : hostPort(host, port), host, ...common })
    }
    if (found.length === 0) {
      const failed = answers.find((answer) => answer.status === 'rejected')
      throw new ResolveError(service, (failed?.reason as Error | undefined) ?? new Error('no host'))
    }
    return { found, ttl, mayBe: ({ key }) => unanswered.has(key) }
  }
}

interface Addresses {
  readonly addresses: readonly string[]
  readonly ttl: number | undefined
  /** The family of addresses that could not be had. */
  readonly unanswered: 4 | 6 | undefined
}

async function lookup(host: string): Promise<Addresses> {
  const found = await dns.lookup(host, { all: true }).catch((error: Error) => {
    throw new ResolveError(host, error)
  })
  return { addresses: [...new Set(found.map(({ address }) => address))].sort(), ttl: undefined, unanswered: undefined }
}

/**
 * What is found under the first of a name's full names that is there. A server that fails ends the search: behind the name it did not answer for,
 * another may stand for something else.
 */
async function first<T>(name: string, rules: SearchRules, ask: (name: string) => Promise<T>): Promise<T> {
  let absent: unknown
  for (const full of fullNames(name, rules)) {
    try {
      return await ask(full)
    } catch (error) {
      if (!isAbsent(error as Error)) throw error
      absent ??= error
    }
  }
  throw absent
}

function noAddresses(name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${name} has no addresses`), { code: 'ENODATA' })
}

/** The name is not there, or has no such record. */
function isAbsent(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ENOTFOUND' || error.code === 'ENODATA'
}

function problemOf(code: string | undefined): ResolveProblem {
  if (code === 'ENOTFOUND' || code === 'ENODATA') return 'not_found'
  if (code === 'ETIMEOUT' || code === 'ECANCELLED' || code === 'EAI_AGAIN') return 'timeout'
  if (code === 'ECONNREFUSED') return 'unreachable'
  return code !== undefined && ['ESERVFAIL', 'EREFUSED', 'ENOTIMP', 'EFORMERR', 'EBADRESP'].includes(code)
    ? 'server'
    : 'other'
}

export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
