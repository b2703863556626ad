import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runBackup } from './backup.ts'

let directory: string
let server: Server | undefined
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-backup-'))
})
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
  rmSync(directory, { recursive: true, force: true })
})

/** An aggregator that answers like this. */
async function answering(answer: RequestListener): Promise<string> {
  server = createServer(answer)
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('the archive is in the file when all of it came', async () => {
  const addr = await answering((_, response) => response.end('archive'))
  const said: string[] = []
  const out = join(directory, 'b.tar')
  await runBackup({ addr, out }, (line) => said.push(line))
  expect(readFileSync(out, 'utf8')).toBe('archive')
  expect(said).toEqual([`${out}: 7 B`])
})

test.for([
  {
    when: 'breaks off',
    answer: ((_, response) => response.write('half', () => response.destroy())) as RequestListener,
    message: 'the backup broke off',
  },
  {
    when: 'is refused',
    answer: ((_, response) =>
      response.writeHead(409).end('a backup is being made: wait for its end\n')) as RequestListener,
    message: 'a backup is being made',
  },
])('an archive that $when leaves the file that was there before, and no other', async ({ answer, message }) => {
  const addr = await answering(answer)
  const out = join(directory, 'b.tar')
  writeFileSync(out, 'the one before')
  await expect(runBackup({ addr, out }, () => {})).rejects.toThrow(message)
  expect(readdirSync(directory)).toEqual(['b.tar'])
  expect(readFileSync(out, 'utf8')).toBe('the one before')
})

test('an --out that is a directory is told, and nothing is left beside it', async () => {
  const addr = await answering((_, response) => response.end('archive'))
  const out = join(directory, 'backups')
  mkdirSync(out)
  await expect(runBackup({ addr, out }, () => {})).rejects.toThrow(
    `the backup broke off, ${out} was not written: EISDIR`,
  )
  expect(readdirSync(directory)).toEqual(['backups'])
})
