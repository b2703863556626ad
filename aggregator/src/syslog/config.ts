/** What the configuration says about receiving syslog. */
import { size, wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'
import { tenantName } from '../access/config.ts'
import { defaultTenant } from '../logql/tenant-scope.ts'

const file = (what: string) => z.string().min(1).optional().describe(what)

export const syslogConfig = z.strictObject({
  enabled: z.boolean().default(false).describe('Receive syslog (RFC 5424, RFC 3164) over TCP.'),
  listen: z.string().min(1).default('0.0.0.0').describe('Address syslog binds to: 0.0.0.0 or 127.0.0.1.'),
  port: z.int().min(0).max(65535).default(1514).describe('Port of syslog; 0 picks a free one.'),
  udp: z
    .boolean()
    .default(false)
    .describe('Receive UDP on the same port as well. What comes while nothing more fits is lost, and counted.'),
  tls: z
    .strictObject({
      certFile: file('Certificate chain, PEM. With it TCP is only spoken with TLS (RFC 5425).'),
      keyFile: file('Private key of that certificate, PEM.'),
      caFile: file('Certificates, PEM, one of which must have signed the certificate of each sender (mTLS).'),
    })
    .prefault({}),
  tenant: tenantName.default(defaultTenant).describe('Whose data it is.'),
  maxMessageBytes: size
    .refine((bytes) => bytes >= 480 && bytes <= 1 << 20, 'must be 480 bytes to 1MiB')
    .prefault('64KiB')
    .describe('What is kept of one message; the rest of it is left out, and it says `truncated`.'),
  maxConnections: z.int().min(1).default(1024).describe('Connections at a time; further ones are closed at once.'),
  bufferBytes: size
    .prefault('32MiB')
    .describe('Received bytes that are not durable yet, of syslog and Forward together. Beyond it syslog is not read.'),
  idleTimeout: wait.prefault('1h').describe('How long a connection without a message is kept.'),
})
export type SyslogConfig = z.output<typeof syslogConfig>
