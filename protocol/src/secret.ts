/** Secrets of the configuration: said in it (from the environment, as a rule), or in a file that may be replaced while the process runs. */
import { inspect } from 'node:util'
import { z } from 'zod'
import { WatchedFile, type WatchedFileEvents } from './watched-file.ts'

/** Never shown by logs, JSON or the inspector: only `current` gives it away. */
export class Secret {
  readonly #value: string | WatchedFile
  #content: Buffer | undefined
  #text = ''

  private constructor(value: string | WatchedFile) {
    this.#value = value
  }

  static of(text: string): Secret {
    return new Secret(text)
  }

  /**
   * What a key, or the same key with `File` behind it, says; undefined where neither is set.
   *
   * @param key of the configuration, such as `forward.sharedKey`
   * @throws FileError where the file can't be read
   */
  static from(key: string, value?: string, file?: string, events?: WatchedFileEvents): Secret | undefined {
    if (value !== undefined) return new Secret(value)
    return file === undefined ? undefined : new Secret(new WatchedFile({ key: `${key}File`, path: file, events }))
  }

  /** What it is now. One line end behind it is not part of it: editors put it there. */
  get current(): string {
    if (typeof this.#value === 'string') return this.#value
    const { content } = this.#value
    if (content !== this.#content) {
      this.#content = content
      this.#text = content.toString('utf8').replace(/\r?\n$/, '')
    }
    return this.#text
  }

  toJSON(): string {
    return '[secret]'
  }

  toString(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}

/** The two keys by which a configuration names a secret. */
export const secretKey = (what: string) => z.string().min(1).optional().describe(what)
export const secretFileKey = (name: string) =>
  z
    .string()
    .min(1)
    .optional()
    .describe(`File that holds ${name}, instead of saying it here. Read again when it changes.`)

/** A check of an object with secrets: each said once, here or in a file. For {@link z.ZodObject.superRefine}. */
export function saidOnce(...names: readonly string[]) {
  return (value: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void => {
    for (const name of names) {
      if (value[name] === undefined || value[`${name}File`] === undefined) continue
      context.addIssue({ code: 'custom', path: [`${name}File`], message: `set ${name} or ${name}File, not both` })
    }
  }
}
