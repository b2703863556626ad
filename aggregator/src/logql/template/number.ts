/** Numbers in templates: whole ones are bigints, others numbers. */

export function parseTemplateNumber(text: string): bigint | number | undefined {
  const sign = text.startsWith('-') ? -1n : 1n
  const digits = text.replace(/^[+-]/, '').replaceAll('_', '')
  if (/^(?:0[xXbBoO][\da-fA-F]+|[1-9]\d*|0)$/.test(digits)) return sign * BigInt(digits)
  if (/^0[0-7]+$/.test(digits)) return sign * BigInt(`0o${digits.slice(1)}`)
  const value = Number(digits)
  return digits === '' || Number.isNaN(value) ? undefined : Number(sign) * value
}
