/** Collector and aggregator as their images run them: loading the sources takes memory of its own, which V8 goes through each time it collects garbage. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleAggregator, nativePackages } from '../../aggregator/bundle.ts'
import { bundleCollector } from '../../collector/bundle.ts'

/** @param work gets the file to start, which is removed afterwards */
export function withBundledCollector<T>(work: (script: string) => Promise<T>): Promise<T> {
  return withDirectory(async (directory) => work(await bundleCollector(directory)))
}

/** @param work gets the file to start, which is removed afterwards */
export function withBundledAggregator<T>(work: (script: string) => Promise<T>): Promise<T> {
  return withDirectory(async (directory) => {
    mkdirSync(join(directory, 'node_modules'))
    for (const name of nativePackages) {
      const target = fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url))
      symlinkSync(target, join(directory, 'node_modules', name))
    }
    return work(join(await bundleAggregator(join(directory, 'dist')), 'aggregator.mjs'))
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
