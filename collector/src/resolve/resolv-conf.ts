/** What resolv.conf says about names without all their dots, and which names to ask for because of it: see resolv.conf(5). Pure. */
export interface SearchRules {
  readonly search: readonly string[]
  /** A name with fewer dots is looked for in the search domains first. */
  readonly ndots: number
}

/** As glibc caps it. */
const maxNdots = 15

export function parseResolvConf(text: string): SearchRules {
  let search: readonly string[] = []
  let ndots = 1
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/)
    // The last one of either counts.
    if (keyword === 'search') search = values
    else if (keyword === 'domain') search = values.slice(0, 1)
    else if (keyword === 'options') ndots = ndotsOf(values) ?? ndots
  }
  return { search: search.map((domain) => domain.replace(/\.$/, '')).filter((domain) => domain !== ''), ndots }
}

function ndotsOf(options: readonly string[]): number | undefined {
  const found = options.map((option) => /^ndots:(\d+)$/.exec(option)?.[1]).findLast((value) => value !== undefined)
  return found === undefined ? undefined : Math.min(Number(found), maxNdots)
}

/** The full names that a name may stand for, in the order in which they are asked for. A dot at the end makes it a full one. */
export function fullNames(name: string, { search, ndots }: SearchRules): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const within = search.map((domain) => `${name}.${domain}`)
  const dots = name.split('.').length - 1
  return dots >= ndots ? [name, ...within] : [...within, name]
}
