/** A small DNS server on loopback, which tells what a test says: records with their time to live, no such name, failures, or nothing at all. */

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export interface DnsRecords {
  /** Seconds. */
  readonly ttl?: number
  readonly a?: readonly string[]
  /** Written out, eight groups. */
  readonly aaaa?: readonly string[]
  readonly srv?: readonly {
    readonly name: string
    readonly port: number
    readonly priority?: number
    readonly weight?: number
  }[]
  /** A failure instead of records, for these types or for all. */
  readonly fails?: 'servfail' | 'refused' | 'silent'
  readonly failsFor?: readonly (keyof typeof types)[]
}

const types = { a: 1, aaaa: 28, srv: 33 } as const
const codes = { servfail: 2, refused: 5 }

export class DnsServer {
  readonly #socket: Socket
  readonly #names = new Map<string, DnsRecords>()
  /** What was asked, as `type name`. */
  readonly asked: string[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (query, { port, address }) => {
      const answer = this.#answer(query)
      if (answer) socket.send(answer, port, address)
    })
  }

  static async listen(): Promise<DnsServer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new DnsServer(socket)
  }

  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`
  }

  /** Other names there are not. */
  set(name: string, records: DnsRecords): void {
    this.#names.set(name, records)
  }

  delete(name: string): void {
    this.#names.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close()
    await once(this.#socket, 'close')
  }

  #answer(query: Buffer): Buffer | undefined {
    let at = 12
    const labels: string[] = []
    for (let length = query[at++]!; length > 0; length = query[at++]!) {
      labels.push(query.toString('latin1', at, at + length))
      at += length
    }
    const question = query.subarray(12, at + 4)
    const type = (Object.keys(types) as (keyof typeof types)[]).find((one) => types[one] === query.readUInt16BE(at))
    const name = labels.join('.').toLowerCase()
    this.asked.push(`${type} ${name}`)
    const records = this.#names.get(name)
    if (records === undefined || type === undefined) return reply(query, question, 3, [])
    const { fails, failsFor = Object.keys(types), ttl = 1 } = records
    if (fails !== undefined && failsFor.includes(type))
      return fails === 'silent' ? undefined : reply(query, question, codes[fails], [])
    const data = {
      a: (records.a ?? []).map((address) => Buffer.from(address.split('.').map(Number))),
      aaaa: (records.aaaa ?? []).map((address) =>
        Buffer.from(
          address
            .split(':')
            .map((group) => group.padStart(4, '0'))
            .join(''),
          'hex',
        ),
      ),
      srv: (records.srv ?? []).map(srvData),
    }[type]
    return reply(
      query,
      question,
      0,
      data.map((bytes) => record(types[type], ttl, bytes)),
    )
  }
}

function reply(query: Buffer, question: Buffer, code: number, answers: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8580 | code, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(answers.length, 6)
  return Buffer.concat([header, question, ...answers])
}

/** Of the name that was asked for. */
function record(type: number, ttl: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(ttl, 6)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function srvData({ name, port, priority = 0, weight = 1 }: NonNullable<DnsRecords['srv']>[number]): Buffer {
  const head = Buffer.alloc(6)
  head.writeUInt16BE(priority, 0)
  head.writeUInt16BE(weight, 2)
  head.writeUInt16BE(port, 4)
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]))
  return Buffer.concat([head, ...labels, Buffer.of(0)])
}
