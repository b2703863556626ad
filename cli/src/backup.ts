/** `tributary backup`: the archive that a running aggregator makes of its data directory, written to a file whole or not at all. */
import { createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { formatSize } from '@tributary/protocol/units.ts'
import { ApiClient } from './api-client.ts'

export interface BackupOptions {
  readonly addr: string
  /** Default: standard output. */
  readonly out?: string
}

/** Throws when the archive did not come to its end; a file is then not there. */
export async function runBackup({ addr, out }: BackupOptions, tell: (line: string) => void): Promise<void> {
  if (out === undefined && process.stdout.isTTY)
    throw new Error('an archive is nothing for a terminal: name a file with --out, or send the output to a program')
  const archive = await new ApiClient(addr).bytes('/api/v1/backup')
  let bytes = 0
  const counted = Readable.from(
    (async function* () {
      for await (const piece of archive as AsyncIterable<Buffer>) {
        bytes += piece.length
        yield piece
      }
    })(),
  )
  if (out === undefined) await pipeline(counted, process.stdout)
  else await writeWhole(counted, out)
  tell(`${out ?? 'backup'}: ${formatSize(bytes)}`)
}

async function writeWhole(archive: Readable, out: string): Promise<void> {
  const unfinished = `${out}.unfinished`
  try {
    await pipeline(archive, createWriteStream(unfinished, { flags: 'w', mode: 0o600, flush: true }))
    await rename(unfinished, out)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw new Error(`the backup broke off, ${out} was not written: ${(error as Error).message}`, { cause: error })
  }
  const directory = await open(dirname(out))
  await directory.sync()
  await directory.close()
}
