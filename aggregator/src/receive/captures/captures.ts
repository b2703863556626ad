/** Reads the captured connections for tests. */
import { readdirSync, readFileSync } from 'node:fs'
import { MsgpackError, ValueSplitter } from '@tributary/protocol/msgpack.ts'

export interface CapturedConnection {
  readonly scenario: string
  /** Whole messages in each direction; what a capture cut off is left out. */
  readonly client: readonly Buffer[]
  readonly server: readonly Buffer[]
}

export function readCaptures(): CapturedConnection[] {
  const directory = new URL('.', import.meta.url)
  return readdirSync(directory)
    .filter((name) => name.endsWith('.hex'))
    .flatMap((name) => connections(name.slice(0, -4), readFileSync(new URL(name, directory), 'utf8')))
}

function connections(scenario: string, text: string): CapturedConnection[] {
  const byNumber = new Map<string, { client: Buffer[]; server: Buffer[] }>()
  for (const line of text.split('\n')) {
    const [, number, direction, hex] = line.split(' ')
    if (hex === undefined) continue
    const bytes = byNumber.get(number!) ?? { client: [], server: [] }
    byNumber.set(number!, bytes)
    bytes[direction === 'C>S' ? 'client' : 'server'].push(Buffer.from(hex, 'hex'))
  }
  return [...byNumber.values()].map(({ client, server }) => ({
    scenario,
    client: messages(Buffer.concat(client)),
    server: messages(Buffer.concat(server)),
  }))
}

function messages(bytes: Buffer): Buffer[] {
  try {
    return new ValueSplitter(1 << 20).push(bytes)
  } catch (error) {
    // Some clients were captured talking to something that is no Forward server.
    if (error instanceof MsgpackError) return []
    throw error
  }
}
