import type { Parser, TakeField } from './parser.ts'

/**
 * The combined format of nginx and Apache: `addr - user [time] "request" status bytes "referer" "agent"`. The common format, without
 * the last two, too. What is `-` is not there.
 */
export const nginxParser: Parser = {
  name: 'nginx',
  parse(bytes, start, end, take) {
    const match = combined.exec(bytes.toString('utf8', start, end))
    if (match === null) return false
    const [, address, user, time, request, status, sent, referer, agent] = match
    takeText(take, 'remote_addr', address)
    takeText(take, 'remote_user', user)
    takeText(take, 'time_local', time)
    // A client that speaks no HTTP leaves anything here.
    const [, method, path, protocol] = /^([A-Z]+) (\S+) (\S+)$/.exec(request!) ?? []
    if (method === undefined) takeText(take, 'request', request)
    takeText(take, 'method', method)
    takeText(take, 'path', path)
    takeText(take, 'protocol', protocol)
    takeText(take, 'status', status)
    takeText(take, 'body_bytes_sent', sent)
    takeText(take, 'http_referer', referer)
    takeText(take, 'http_user_agent', agent)
    return true
  },
}

// Every part ends where the next begins, at a character it can't have: there is nothing to try twice.
const combined =
  /^(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(?: .*)?$/s

function takeText(take: TakeField, name: string, value: string | undefined): void {
  if (value !== undefined && value !== '-') take(name, value)
}
