/** What answers say they are, as Loki says it. */
export const jsonType = 'application/json; charset=UTF-8'
export const textType = 'text/plain; charset=utf-8'
