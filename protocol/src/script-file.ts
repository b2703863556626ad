/** Scripts of ours that are started as threads and processes of their own. */

/**
 * Where such a script is: the source, or in a bundle the file of the bundle's name for it, beside all others.
 *
 * @param caller the caller's `import.meta.url`
 * @param source path from there
 * @param bundled name in a bundle, without its ending
 */
export function scriptFile(caller: string, source: string, bundled: string): URL {
  return caller.endsWith('.ts') ? new URL(source, caller) : new URL(`./${bundled}.mjs`, caller)
}
