/** Certificates of an authority of one's own, for the time of a test. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

export interface Certificates {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** An authority, and a certificate for localhost and 127.0.0.1 that it signed; PEM files in the directory. */
export function makeCertificates(directory: string): Certificates {
  const [ca, caKey, cert, key] = ['ca.pem', 'ca.key', 'server.pem', 'server.key'].map((name) => join(directory, name))
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  openssl('req', '-x509', ...newKey, '-subj', '/CN=test authority', '-keyout', caKey!, '-out', ca!)
  const names = ['subjectAltName=DNS:localhost,IP:127.0.0.1', 'basicConstraints=critical,CA:FALSE'].flatMap((one) => [
    '-addext',
    one,
  ])
  const signed = ['-CA', ca!, '-CAkey', caKey!]
  openssl('req', '-x509', ...newKey, ...signed, '-subj', '/CN=localhost', ...names, '-keyout', key!, '-out', cert!)
  return { ca: ca!, cert: cert!, key: key! }
}
