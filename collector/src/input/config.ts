import { forwardUsers } from '@tributary/protocol/forward-users.ts'
import { secretFileKey } from '@tributary/protocol/secret.ts'
import { size, wait } from '@tributary/protocol/units.ts'
import { z } from 'zod'

const file = (what: string) => z.string().min(1).optional().describe(what)

/** The section `input`: what applications on the node may send to the collector. */
export const inputConfig = z
  .strictObject({
    forward: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe(
            'Take logs over the Forward protocol from applications of this node (docs/forward-input.md). Off unless asked for: it opens a port, and the aggregator uses the same one.',
          ),
        listen: z
          .string()
          .min(1)
          .default('127.0.0.1')
          .describe('Address the Forward input binds to, TCP and UDP. 0.0.0.0 in a pod that has a hostPort.'),
        port: z
          .int()
          .min(0)
          .max(65535)
          .default(24224)
          .describe('Port of the Forward input: TCP for messages, UDP for heartbeats; 0 picks a free one.'),
        sharedKey: z
          .string()
          .min(1)
          .optional()
          .describe('Shared key that every application must know. Default: none, whoever can connect can send.'),
        sharedKeyFile: secretFileKey('the shared key'),
        users: forwardUsers({})
          .optional()
          .describe(
            'Users that applications must be besides knowing the shared key: a map by name of a password, or of `password` or `passwordFile`. Default: none.',
          ),
        tls: z
          .strictObject({
            certFile: file('Certificate chain, PEM. With it the input speaks only TLS.'),
            keyFile: file('Private key of that certificate, PEM.'),
            clientCaFile: file(
              'Certificates, PEM, one of which must have signed the certificate of each application (mTLS).',
            ),
          })
          .prefault({}),
        maxMessageBytes: size
          .refine((bytes) => bytes >= 1 << 16, 'must be at least 64KiB')
          .prefault('16MiB')
          .describe(
            "Longest message. The connection that sends a longer one is closed. Must lie below the aggregator's forward.maxMessageBytes.",
          ),
        maxConnections: z
          .int()
          .min(1)
          .default(256)
          .describe('Connections at a time; further ones are closed at once. Each may hold 64 KiB beyond the budget.'),
        messageTimeout: wait
          .prefault('60s')
          .describe('How long a message may take from its first byte to its last, and a handshake in all.'),
      })
      .superRefine((forward, context) => {
        const { certFile, keyFile, clientCaFile } = forward.tls
        const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
        if (certFile !== undefined && keyFile === undefined)
          issue(['tls', 'keyFile'], 'missing: certFile needs its key')
        if (certFile === undefined && (keyFile ?? clientCaFile) !== undefined)
          issue(['tls', 'certFile'], 'missing: without a certificate there is no TLS')
        if (forward.sharedKey !== undefined && forward.sharedKeyFile !== undefined)
          issue(['sharedKeyFile'], 'set sharedKey or sharedKeyFile, not both')
        if (forward.users !== undefined && (forward.sharedKey ?? forward.sharedKeyFile) === undefined)
          issue(['sharedKey'], 'missing: users are asked for in the handshake, which needs a shared key')
      })
      .prefault({}),
  })
  .prefault({})

export type ForwardInputConfig = z.output<typeof inputConfig>['forward']
