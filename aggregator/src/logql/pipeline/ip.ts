/** `ip("…")`: an address, a range `first-last`, or a network. A text matches when an address in it does. */
import { BlockList, isIP } from 'node:net'

type Family = 'ipv4' | 'ipv6'

/** Addresses of one family: an IPv6 network has no IPv4 address, nor the other way round, not even a mapped one. */
export interface Addresses {
  readonly family: Family
  readonly list: BlockList
}

/** What `ip()` was given; undefined when it is none of the three. */
export function parseAddresses(value: string): Addresses | undefined {
  const list = new BlockList()
  const family = familyOf(value)
  if (family !== undefined) {
    list.addAddress(value, family)
    return { family, list }
  }
  const [base = '', bits] = value.split('/')
  const baseFamily = familyOf(base)
  if (baseFamily !== undefined && bits !== undefined && /^\d{1,3}$/.test(bits)) {
    if (Number(bits) > (baseFamily === 'ipv4' ? 32 : 128)) return undefined
    list.addSubnet(base, Number(bits), baseFamily)
    return { family: baseFamily, list }
  }
  const [first = '', last = '', ...more] = value.split('-').map((part) => part.trim())
  const rangeFamily = familyOf(first)
  if (more.length > 0 || rangeFamily === undefined || rangeFamily !== familyOf(last)) return undefined
  try {
    list.addRange(first, last, rangeFamily)
    return { family: rangeFamily, list }
  } catch {
    // The end lies before the start; the caller words the error.
    return undefined
  }
}

function familyOf(text: string): Family | undefined {
  const version = isIP(text)
  return version === 4 ? 'ipv4' : version === 6 ? 'ipv6' : undefined
}

const digit = '[0-9]'
const hex = '[0-9a-fA-F]'
/** Where an address can begin. */
const hint = new RegExp(`${digit}(?:\\.|.\\.|..\\.)|::${hex}|${hex}{1,4}:`, 'sg')
const ipv4Characters = /[0-9.]*/y
const ipv6Characters = /[0-9a-fA-F:.]*/y

/** Whether one of the addresses in the text is one of those. */
export function containsAddress(text: string, { family, list }: Addresses): boolean {
  for (let at = nextHint(text, 0); at !== -1; ) {
    const v4 = isDigit(text.charCodeAt(at)) && /^.{1,3}\./s.test(text.slice(at, at + 4))
    const characters = v4 ? ipv4Characters : ipv6Characters
    characters.lastIndex = at
    const candidate = characters.exec(text)![0]
    if (familyOf(candidate) === family && list.check(candidate, family)) return true
    at = nextHint(text, at + candidate.length + 1)
  }
  return false
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

function nextHint(text: string, from: number): number {
  hint.lastIndex = from
  return hint.exec(text)?.index ?? -1
}
