/** For tests: certificate authorities, and files mounted as the kubelet mounts a Secret. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Pair {
  readonly cert: Buffer
  readonly key: Buffer
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' })
}

/** A certificate authority of its own, in a directory that goes away with it. */
export class TestAuthority implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'tributary-ca-'))
  readonly cert: Buffer
  #issued = 0

  constructor() {
    openssl(
      'req',
      '-x509',
      ...curve,
      '-days',
      '2',
      '-subj',
      '/CN=authority',
      '-keyout',
      this.#path('ca.key'),
      '-out',
      this.#path('ca.pem'),
    )
    this.cert = readFileSync(this.#path('ca.pem'))
  }

  /** For either side of a connection to localhost or 127.0.0.1. */
  issue(name = 'localhost'): Pair {
    const [key, request, cert, extensions] = ['key', 'csr', 'pem', 'ext'].map((end) =>
      this.#path(`${this.#issued}.${end}`),
    )
    this.#issued++
    writeFileSync(extensions!, 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    openssl('req', '-new', ...curve, '-subj', `/CN=${name}`, '-keyout', key!, '-out', request!)
    const by = ['-CA', this.#path('ca.pem'), '-CAkey', this.#path('ca.key'), '-CAcreateserial']
    openssl('x509', '-req', '-days', '2', '-in', request!, ...by, '-extfile', extensions!, '-out', cert!)
    return { cert: readFileSync(cert!), key: readFileSync(key!) }
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Files in a directory of their own, reached over the link `..data`, which is swapped for another when they change. */
export class TestMount implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'tributary-mount-'))
  #versions = 0
  readonly #linked = new Set<string>()

  constructor(files: Readonly<Record<string, string | Buffer>>) {
    this.write(files)
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** All files at once: none is ever seen beside one of another version. */
  write(files: Readonly<Record<string, string | Buffer>>): void {
    const version = `..version_${this.#versions++}`
    mkdirSync(this.path(version))
    for (const [name, content] of Object.entries(files)) writeFileSync(join(this.path(version), name), content)
    symlinkSync(version, this.path('..data_tmp'))
    renameSync(this.path('..data_tmp'), this.path('..data'))
    for (const name of Object.keys(files)) {
      if (!this.#linked.has(name)) symlinkSync(join('..data', name), this.path(name))
      this.#linked.add(name)
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
