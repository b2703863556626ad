/** Makes the tables' deduplication logs agree with their parts, before the engine reads either. */
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Disk, isMissing, nodeDisk, replaceFile } from '@tributary/protocol/disk.ts'
import { type LogFile, repairOf } from './deduplication-log.ts'
import type { Tell } from './messages.ts'

const logDirectory = 'deduplication_logs'

/** Repairs every table under the engine's data directory. */
export async function repairTables(dataDirectory: string, tell: Tell): Promise<void> {
  for (const table of await tableDirectories(join(dataDirectory, 'store'))) await repairTable(nodeDisk, table, tell)
}

async function repairTable(disk: Disk, table: string, tell: Tell): Promise<void> {
  const files = await readLog(disk, join(table, logDirectory))
  if (files.length === 0) return
  const { files: replaced, forgotten, setAside } = repairOf(files, await disk.readdir(table))
  for (const { path, text } of replaced) await replaceFile(disk, path, Buffer.from(text))
  for (const name of setAside) {
    await disk.mkdir(join(table, 'detached'))
    await disk.rename(join(table, name), join(table, 'detached', `unacknowledged-${Date.now()}_${name}`))
  }
  if (setAside.length > 0) {
    await disk.syncDirectory(join(table, 'detached'))
    await disk.syncDirectory(table)
  }
  if (forgotten > 0 || setAside.length > 0) {
    tell('warn', 'inserts that were cut short are undone, to be repeated', {
      table: basename(table),
      forgotten,
      setAside,
    })
  }
}

/** The log's files, oldest first. */
async function readLog(disk: Disk, directory: string): Promise<LogFile[]> {
  const files: LogFile[] = []
  for (const name of await logNames(disk, directory)) {
    const path = join(directory, name)
    files.push({ path, text: (await disk.readFile(path)).toString('latin1') })
  }
  return files
}

/** Names of the log's files, oldest first; none where the table has no log. */
async function logNames(disk: Disk, directory: string): Promise<string[]> {
  const names = await disk.readdir(directory).catch((error) => {
    if (isMissing(error)) return []
    throw error
  })
  const numberOf = (name: string) => Number(/^deduplication_log_(\d+)\.txt$/.exec(name)?.[1])
  return names.filter((name) => numberOf(name) > 0).sort((a, b) => numberOf(a) - numberOf(b))
}

/** The engine keeps tables in `store/<three digits>/<uuid>`. */
async function tableDirectories(store: string): Promise<string[]> {
  const children = async (path: string) => (await readdir(path)).map((name) => join(path, name))
  const isDirectory = async (path: string) => (await stat(path)).isDirectory()
  const found: string[] = []
  const prefixes = await children(store).catch((error) => {
    if (isMissing(error)) return [] // a new store
    throw error
  })
  for (const prefix of prefixes) {
    if (!(await isDirectory(prefix))) continue
    for (const table of await children(prefix)) if (await isDirectory(table)) found.push(table)
  }
  return found
}

/** Projections whose files were synced, by table and part: what a part has never changes. */
const synced = new Map<string, Set<string>>()

/**
 * Makes an insert durable as a whole: the part's own files are synced by the engine; its name in the table's directory, its token, and
 * its projections, which the engine leaves out, are synced here, before the insert is acknowledged.
 */
export async function syncTable(table: string): Promise<void> {
  const directory = join(table, logDirectory)
  await syncProjections(nodeDisk, table)
  const newest = (await logNames(nodeDisk, directory)).at(-1)
  if (newest !== undefined) {
    await syncFile(nodeDisk, join(directory, newest))
    await nodeDisk.syncDirectory(directory)
  }
  await nodeDisk.syncDirectory(table)
}

/** Those of parts that were not there the last time: of an insert, or of merges since. */
async function syncProjections(disk: Disk, table: string): Promise<void> {
  const known = synced.get(table) ?? new Set()
  const parts = (await disk.readdir(table)).filter((name) => /^\w+_\d+_\d+_\d+(_\d+)?$/.test(name))
  synced.set(table, new Set(parts))
  // A merge may take a part away at any moment, and then nothing of it matters.
  const goneIsFine = (error: unknown) => {
    if (!isMissing(error)) throw error
  }
  for (const part of parts.filter((name) => !known.has(name))) {
    const inside = (await disk.readdir(join(table, part)).catch(goneIsFine)) ?? []
    for (const name of inside.filter((one) => one.endsWith('.proj')))
      await syncAll(disk, join(table, part, name)).catch(goneIsFine)
  }
}

async function syncAll(disk: Disk, directory: string): Promise<void> {
  await Promise.all((await disk.readdir(directory)).map((name) => syncFile(disk, join(directory, name))))
  await disk.syncDirectory(directory)
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, 'read')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
