/** Parsers that need no configuration. */
export const builtInParsers = ['json', 'logfmt', 'nginx'] as const
export type BuiltInParser = (typeof builtInParsers)[number]
