import { realpathSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import type { FilterModule } from './module.ts'

/**
 * Loads the filter `name`, relative to the configuration `file`; anew when it has changed since it was loaded. Throws
 * {@link ConfigError}.
 *
 * @param path of the key that names it
 */
export async function loadModule(file: string, path: string, name: string): Promise<FilterModule> {
  const module = resolve(dirname(file), name)
  let loaded: { default?: unknown }
  try {
    // Node follows a path's links once and for all: a ConfigMap's lead to another directory with each version.
    const real = realpathSync(module)
    // A module is loaded once for each address.
    const changed = statSync(real).mtimeMs
    loaded = (await import(`${pathToFileURL(real).href}?changed=${changed}`)) as { default?: unknown }
  } catch (error) {
    throw new ConfigError(file, [`${path}: ${module} can not be loaded: ${(error as Error).message}`])
  }
  if (typeof loaded.default !== 'function')
    throw new ConfigError(file, [`${path}: ${module} has no function as its default export; see docs/filters.md`])
  return loaded.default as FilterModule
}
