/**
 * `npm run bundle`: the collector with all it needs from its packages in a few files, collector/dist. What a DaemonSet runs: it starts in a
 * third of the time that hundreds of small files take, and holds less of them in memory.
 */
import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type OutputAsset, type OutputChunk, type OutputOptions, rolldown } from 'rolldown'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export interface BundleOptions {
  /** Files that are started, by the name they get. */
  readonly entries: Readonly<Record<string, string>>
  /** Packages that stay what they are. */
  readonly external?: readonly string[]
  readonly banner?: OutputOptions['banner']
}

/** Writes a bundle to `directory`, and koffi, which is native code, beside it. What is loaded only when it is used stays a file of its own. */
export async function writeBundle(
  directory: string,
  { entries, external = [], banner = '' }: BundleOptions,
): Promise<void> {
  await using bundle = await rolldown({
    input: { ...entries },
    platform: 'node',
    treeshake: true,
    external: ['koffi', ...external],
    logLevel: 'warn',
  })
  await bundle.write({
    dir: directory,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: '[name]-[hash].mjs',
    banner,
    minify: 'dce-only',
    // Node keeps the text of all it runs in memory, and V8 takes two bytes for every character of a file that has one beyond Latin-1.
    comments: { legal: true, annotation: false, jsdoc: false },
    plugins: [{ name: 'text', generateBundle: (_, files) => Object.values(files).forEach(rewrite) }],
  })
  await copyKoffi(join(directory, 'node_modules'))
}

/** What of koffi runs on this machine, for the collector to call the C library with, which does without where npm found none for it. */
async function copyKoffi(directory: string): Promise<void> {
  const packages = path('../node_modules')
  const native = `@koromix/koffi-${process.platform}-${process.arch}`
  const files = ['package.json', 'LICENSE.txt', 'index.js', 'src/koffi/index.js', 'src/koffi/src/static.js']
  for (const name of [native, ...files.map((file) => `koffi/${file}`)]) {
    const from = join(packages, name)
    if (existsSync(from)) await cp(from, join(directory, name), { recursive: true })
  }
}

function rewrite(file: OutputAsset | OutputChunk): void {
  if (file.type === 'chunk') file.code = toAscii(withoutBuiltinImports(file.code))
}

/**
 * To import a module of Node's in the way of ES modules is to look at all it exports, and so to load what is behind it only for those who ask:
 * node:util alone makes a stream of stderr for the colours of a comparison. A twentieth of what it takes a collector to start.
 */
export function withoutBuiltinImports(code: string): string {
  return code.replace(
    /^import (?:([\w$]+),? )?(?:\* as ([\w$]+) |\{([^}]*)\} )?from "(node:[\w/]+)";$/gm,
    (_, byDefault?: string, all?: string, names?: string, module?: string) => {
      const taken = names === undefined ? [] : [`{${names.replaceAll(' as ', ': ')}}`]
      const targets = [byDefault, all, ...taken].filter((target) => target !== undefined)
      return targets.map((target) => `const ${target} = process.getBuiltinModule("${module}");`).join(' ')
    },
  )
}

/** Characters beyond ASCII stand in strings and regular expressions, where an escape means the same, unless it is itself escaped. */
function toAscii(code: string): string {
  return code.replace(/(?<!\\)[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Writes the collector's to `directory`, and returns the file to start. */
export async function bundleCollector(directory: string): Promise<string> {
  await writeBundle(directory, {
    entries: { main: path('src/main.ts'), 'filter-worker': path('src/filter/worker.ts') },
  })
  return `${directory}/main.mjs`
}

if (import.meta.main) console.log(await bundleCollector(path('dist')))
