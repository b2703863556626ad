/** Why connections fail, as a label value from a closed list, whatever the operating system reports. Pure. */
const reasons = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'CLOSED',
  'ACK_TIMEOUT',
  'CONNECT_TIMEOUT',
  'HANDSHAKE',
]

export function boundedReason(code: string | undefined): string {
  return code !== undefined && reasons.includes(code) ? code.toLowerCase() : 'other'
}
