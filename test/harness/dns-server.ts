/**
 * A small DNS server on loopback, over UDP and TCP, which tells what a test says: records with their time to live, no such name, failures,
 * answers that are cut, forged or nonsense, or nothing at all.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket as TcpSocket } from 'node:net'

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
  /** The name stands for another one, whose records are in the answer too. */
  readonly cname?: string
  /** Over UDP the answer is cut and has no records: it has to be asked for over TCP. */
  readonly tooLong?: boolean
  /** Another answer comes first, with these addresses and the number of another query. */
  readonly forged?: readonly string[]
  /** The answer is this, behind the query's number. */
  readonly nonsense?: Buffer
  /** A failure instead of records, for these types or for all. */
  readonly fails?: 'servfail' | 'refused' | 'silent'
  readonly failsFor?: readonly (keyof typeof types)[]
}

const cnameType = 5
const types = { a: 1, aaaa: 28, srv: 33 } as const
const codes = { servfail: 2, refused: 5 }

export class DnsServer {
  readonly #socket: Socket
  readonly #server: Server
  readonly #connections = new Set<TcpSocket>()
  readonly #names = new Map<string, DnsRecords>()
  /** What was asked over UDP, as `type name`. */
  readonly asked: string[] = []
  /** What was asked over TCP. */
  readonly askedAgain: string[] = []

  private constructor(socket: Socket, server: Server) {
    this.#socket = socket
    this.#server = server
    socket.on('message', (query, { port, address }) => {
      const { type, name, records } = this.#asked(query)
      this.asked.push(`${type} ${name}`)
      if (records?.nonsense !== undefined) {
        socket.send(Buffer.concat([query.subarray(0, 2), records.nonsense]), port, address)
        return
      }
      if (records?.forged !== undefined && type === 'a') {
        const forged = this.#answer(query, { a: records.forged })!
        forged.writeUInt16BE(query.readUInt16BE(0) ^ 1, 0)
        socket.send(forged, port, address)
      }
      const answer = this.#answer(query, records)
      if (answer !== undefined) socket.send(records?.tooLong ? cut(query, answer) : answer, port, address)
    })
    server.on('connection', (connection) => this.#serve(connection))
  }

  static async listen(): Promise<DnsServer> {
    for (let attempt = 0; ; attempt++) {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const socket = createSocket('udp4').bind((server.address() as AddressInfo).port, '127.0.0.1')
      try {
        await once(socket, 'listening')
        return new DnsServer(socket, server)
      } catch (error) {
        // The port is somebody else's for UDP.
        server.close()
        if (attempt === 9) throw error
      }
    }
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
    for (const connection of this.#connections) connection.destroy()
    this.#server.close()
    this.#socket.close()
    await Promise.all([once(this.#socket, 'close'), once(this.#server, 'close')])
  }

  /** Over TCP each message is behind its length. */
  #serve(connection: TcpSocket): void {
    this.#connections.add(connection)
    connection.on('close', () => this.#connections.delete(connection))
    connection.on('error', () => {}) // who asked has gone
    let received = Buffer.alloc(0)
    connection.on('data', (data) => {
      received = Buffer.concat([received, data])
      while (received.length > 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const query = received.subarray(2, 2 + received.readUInt16BE(0))
        received = received.subarray(2 + query.length)
        const { type, name, records } = this.#asked(query)
        this.askedAgain.push(`${type} ${name}`)
        const answer = this.#answer(query, records)
        if (answer === undefined) continue
        const length = Buffer.alloc(2)
        length.writeUInt16BE(answer.length)
        connection.write(Buffer.concat([length, answer]))
      }
    })
  }

  #asked(query: Buffer): Question & { readonly records: DnsRecords | undefined } {
    const question = questionOf(query)
    return { ...question, records: this.#names.get(question.name) }
  }

  #answer(query: Buffer, records: DnsRecords | undefined): Buffer | undefined {
    const { type, bytes } = questionOf(query)
    if (records === undefined || type === undefined) return reply(query, bytes, 3, [])
    const { fails, failsFor = Object.keys(types), ttl = 1, cname } = records
    if (fails !== undefined && failsFor.includes(type))
      return fails === 'silent' ? undefined : reply(query, bytes, codes[fails], [])
    const name = Buffer.of(0xc0, 12)
    if (cname === undefined) return reply(query, bytes, 0, recordsOf(name, type, records))
    const target = nameBytes(cname)
    const behind = recordsOf(target, type, this.#names.get(cname) ?? {})
    return reply(query, bytes, 0, [record(name, cnameType, ttl, target), ...behind])
  }
}

interface Question {
  readonly type: keyof typeof types | undefined
  readonly name: string
  readonly bytes: Buffer
}

function questionOf(query: Buffer): Question {
  let at = 12
  const labels: string[] = []
  for (let length = query[at++]!; length > 0; length = query[at++]!) {
    labels.push(query.toString('latin1', at, at + length))
    at += length
  }
  const type = (Object.keys(types) as (keyof typeof types)[]).find((one) => types[one] === query.readUInt16BE(at))
  return { type, name: labels.join('.').toLowerCase(), bytes: query.subarray(12, at + 4) }
}

function recordsOf(
  name: Buffer,
  type: keyof typeof types,
  { a = [], aaaa = [], srv = [], ttl = 1 }: DnsRecords,
): Buffer[] {
  const data = {
    a: a.map((address) => Buffer.from(address.split('.').map(Number))),
    aaaa: aaaa.map((address) => {
      const groups = address.split(':').map((group) => group.padStart(4, '0'))
      return Buffer.from(groups.join(''), 'hex')
    }),
    srv: srv.map(srvData),
  }[type]
  return data.map((bytes) => record(name, types[type], ttl, bytes))
}

/** The answer without its records, and a flag that says so. */
function cut(query: Buffer, answer: Buffer): Buffer {
  const short = reply(query, questionOf(query).bytes, 0, [])
  short.writeUInt16BE(answer.readUInt16BE(2) | 0x0200, 2)
  return short
}

function reply(query: Buffer, question: Buffer, code: number, answers: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8580 | code, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(answers.length, 6)
  return Buffer.concat([header, question, ...answers])
}

function record(name: Buffer, type: number, ttl: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(1, 2)
  head.writeUInt32BE(ttl, 4)
  head.writeUInt16BE(data.length, 8)
  return Buffer.concat([name, head, data])
}

function srvData({ name, port, priority = 0, weight = 1 }: NonNullable<DnsRecords['srv']>[number]): Buffer {
  const head = Buffer.alloc(6)
  head.writeUInt16BE(priority, 0)
  head.writeUInt16BE(weight, 2)
  head.writeUInt16BE(port, 4)
  return Buffer.concat([head, nameBytes(name)])
}

function nameBytes(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]))
  return Buffer.concat([...labels, Buffer.of(0)])
}
