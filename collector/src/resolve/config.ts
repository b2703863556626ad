/** Configuration of where the aggregators are. */
import { isIP } from 'node:net'
import { wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { parseTarget } from './target.ts'

const address = z
  .string()
  .refine(
    (text) => parseTarget(text) !== undefined,
    'write host:port, such as tributary-aggregator:24224; host:portname or _portname._tcp.host where SRV records tell the port',
  )

const entry = z.strictObject({
  address: address.describe('As above.'),
  weight: z
    .number()
    .positive()
    .max(1000)
    .default(1)
    .describe('Share of the sources that each of its aggregators gets, in proportion to the others.'),
  standby: z
    .boolean()
    .default(false)
    .describe('Gets sources only while others are away: as many as make up for their weight.'),
})

const one = z.union([address, entry], 'write host:port, or a map with address, weight and standby')

/** One address or a list; always a list of entries once parsed. */
export const addressesConfig = z
  .union([one, z.array(one).min(1)], 'write host:port, a map with address, weight and standby, or a list of them')
  .transform((value) => (Array.isArray(value) ? value : [value]).map(asEntry))
  .describe(
    'The aggregators: one `host:port` or a list. A name stands for all its addresses, each an aggregator of its own; with the name of a port instead of a number (`host:portname`, or `_portname._tcp.host`) SRV records tell host and port. An entry of a list may be a map: `address`, `weight` (1: its share of the sources, in proportion to the others), `standby` (false: gets sources only while others are away). Several aggregators must share a ledger (store.engine: clickhouse).',
  )

function asEntry(value: z.output<typeof one>): z.output<typeof entry> {
  return typeof value === 'string' ? { address: value, weight: 1, standby: false } : value
}

const server = z.string().refine(isServer, 'write an IP address, or one with a port, such as 10.96.0.10:53')

function isServer(text: string): boolean {
  const found = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([\d.]+)(?::(\d+))?$/.exec(text)
  const [host, port] = found === null ? [text] : [found[1]!, found[2]]
  return isIP(host) !== 0 && (port === undefined || (Number(port) >= 1 && Number(port) <= 65535))
}

export const dnsConfig = z
  .strictObject({
    servers: z
      .array(server)
      .default([])
      .describe(
        "DNS servers to ask for the aggregator's name, as address or address:port. Default: the machine's, and whatever else tells it names (/etc/hosts).",
      ),
    interval: wait
      .refine((ms) => ms >= 1000, 'must be 1s or more')
      .prefault('10s')
      .describe(
        "How often the aggregator's name is resolved at least. Sooner when its time to live is over, and within a second of a connection that fails.",
      ),
  })
  .prefault({})
