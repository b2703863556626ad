/** The collector as a DaemonSet runs it: loading the sources takes memory of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleCollector } from '../../collector/bundle.ts'

/** @param work gets the file to start, which is removed afterwards */
export async function withBundledCollector<T>(work: (script: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-bundle-'))
  try {
    return await work(await bundleCollector(directory))
  } finally {
    rmSync(directory, { recursive: true })
  }
}
