/** What one address of the configuration stands for. Pure. */
import { isIP } from 'node:net'

export type Target =
  /** An IP address: nothing to resolve. */
  | { readonly kind: 'literal'; readonly host: string; readonly port: number }
  /** A name with any number of addresses (A, AAAA). */
  | { readonly kind: 'name'; readonly host: string; readonly port: number }
  /** A named port: SRV records of `<service>.<host>` tell hosts and ports. */
  | { readonly kind: 'service'; readonly host: string; readonly service: string }

const hostName =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/
/** As RFC 6335 has it, which is also what Kubernetes takes for the name of a port. */
const portName = /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?$/
const service = /^(_[a-z0-9-]+\._tcp)\.(.+)$/i

/** `host:port`, `name:portname` or `_portname._tcp.name`; undefined when it is none of them. */
export function parseTarget(address: string): Target | undefined {
  const srv = service.exec(address)
  if (srv && !address.includes(':')) return serviceOf(srv[1]!, srv[2]!)
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, Math.max(0, colon))
  const port = address.slice(colon + 1)
  if (/^\[.*\]$/.test(host)) {
    const inner = host.slice(1, -1)
    return isIP(inner) === 6 && isPort(port) ? { kind: 'literal', host: inner, port: Number(port) } : undefined
  }
  if (isIP(host) === 4) return isPort(port) ? { kind: 'literal', host, port: Number(port) } : undefined
  if (!hostName.test(host)) return undefined
  if (isPort(port)) return { kind: 'name', host, port: Number(port) }
  return portName.test(port) ? serviceOf(`_${port}._tcp`, host) : undefined
}

function serviceOf(name: string, host: string): Target | undefined {
  return hostName.test(host) ? { kind: 'service', host, service: name } : undefined
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535
}
