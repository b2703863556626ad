/** What a template may call. */
import { builtins } from './builtins.ts'
import { functions } from './functions.ts'

const lazy = new Set(['and', 'or'])
/** Known from the entry that the template is executed for. */
export const entryFunctions: ReadonlySet<string> = new Set(['__line__', '__timestamp__'])

export const isFunction = (name: string): boolean =>
  lazy.has(name) || entryFunctions.has(name) || Object.hasOwn(builtins, name) || Object.hasOwn(functions, name)
