export type Purpose = 'insert' | 'query' | 'control'

/** Sessions of each purpose. Together they are the threads the engine's statements need. */
export const sessionCounts: Readonly<Record<Purpose, number>> = { insert: 2, query: 4, control: 1 }
