/** Secrets that are found without a pattern of one's own. */
export const builtInPatterns = ['bearer', 'aws', 'jwt', 'creditCard', 'email'] as const
export type BuiltInPattern = (typeof builtInPatterns)[number]
