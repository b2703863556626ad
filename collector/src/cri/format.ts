import { CriParser, type LineFormat } from './line.ts'

/**
 * The format of a file, from its first bytes (the head that also identifies it, up to 1 KiB). Where the kubelet's layout says that a
 * container runtime writes the file, a damaged first line does not make it plain text: its other lines are still CRI.
 */
export function detectFormat(head: Buffer, inKubeletLayout: boolean): LineFormat {
  const lf = head.indexOf(10)
  const first = head.subarray(0, lf === -1 ? head.length : lf)
  if (first[0] === 0x7b && first.includes('"log":')) return 'docker'
  const cri = new CriParser()
  cri.begin(first as Buffer)
  if (cri.parse(0, first.length)) return 'cri'
  return inKubeletLayout ? 'cri' : 'plain'
}
