/** Operations between two numbers. Pure. */
import type { ArithmeticOperator, ComparisonOperator } from './ast.ts'

export type NumberOperator = ArithmeticOperator | ComparisonOperator

/** Arithmetic as in Loki, where dividing by zero gives no infinity. */
export function calculate(op: NumberOperator, a: number, b: number): number | boolean {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return b === 0 ? Number.NaN : a / b
    case '%':
      return a % b
    case '^':
      // Go's Pow gives 1 for these two, JavaScript NaN.
      return a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b
    case '==':
      return a === b
    case '!=':
      return a !== b
    case '>':
      return a > b
    case '>=':
      return a >= b
    case '<':
      return a < b
    case '<=':
      return a <= b
  }
}
