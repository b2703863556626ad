/**
 * The aggregator and the `tributary` command with all they need from their packages in a few files, aggregator/dist: what the image runs. It
 * starts faster than hundreds of small files that first lose their types, and is smaller. What is native code stays a package.
 */
import { fileURLToPath } from 'node:url'
import { writeBundle } from '../collector/bundle.ts'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Packages with native code: they must be where the bundle is, or above. */
export const nativePackages = ['chdb', 'snappy'] as const

/** What is started by its name; what only others start is called as they call it. */
const entries = {
  aggregator: path('src/main.ts'),
  tributary: path('../cli/src/main.ts'),
  collector: path('../collector/src/main.ts'),
  'store-stand-in': path('src/store/engine/standalone.ts'),
  'loader-worker': path('src/load/worker.ts'),
  'store-engine': path('src/store/engine/main.ts'),
  'filter-worker': path('../collector/src/filter/worker.ts'),
}

/** Writes it to `directory`, and returns that. */
export async function bundleAggregator(directory: string): Promise<string> {
  await writeBundle(directory, {
    entries,
    external: nativePackages,
    banner: ({ name, isEntry }) => (isEntry && name === 'tributary' ? '#!/usr/bin/env node' : ''),
  })
  return directory
}

if (import.meta.main) console.log(await bundleAggregator(path('dist')))
