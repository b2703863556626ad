/** Collector and aggregator as their images run them: loading the sources takes memory of its own, which V8 goes through each time it collects garbage. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleCollector } from '../../collector/bundle.ts'
import { writeBundle } from '../harness/bundled.ts'

/** @param work gets the file to start, which is removed afterwards */
export function withBundledCollector<T>(work: (script: string) => Promise<T>): Promise<T> {
  return withDirectory(async (directory) => work(await bundleCollector(directory)))
}

/** @param work gets the file to start, which is removed afterwards */
export function withBundledAggregator<T>(work: (script: string) => Promise<T>): Promise<T> {
  return withDirectory(async (directory) => {
    const script = await writeBundle(directory)
    return work(script('aggregator'))
  })
}

async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-bundle-'))
  try {
    return await work(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
