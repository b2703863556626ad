/** Processes as their images run them: from a bundle, which starts with a third of the work that the sources take. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleAggregator, nativePackages } from '../../aggregator/bundle.ts'

export type BundledScript = 'aggregator' | 'collector' | 'store-stand-in'

/** Writes the bundle into `directory`, which is there and empty; gives the file to start by its name. */
export async function writeBundle(directory: string): Promise<(name: BundledScript) => string> {
  mkdirSync(join(directory, 'node_modules'))
  for (const name of nativePackages) {
    const target = fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url))
    symlinkSync(target, join(directory, 'node_modules', name))
  }
  const dist = await bundleAggregator(join(directory, 'dist'))
  return (name) => join(dist, `${name}.mjs`)
}
