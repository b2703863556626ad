/** The labels that a template reads. */
import type { Node, Operand, Pipe, Template } from './nodes.ts'

export function templateFields({ body, named }: Template): string[] {
  return [...new Set([...body.flatMap(ofNode), ...[...named.values()].flat().flatMap(ofNode)])]
}

function ofNode(node: Node): string[] {
  switch (node.kind) {
    case 'action':
      return ofPipe(node.pipe)
    case 'template':
      return node.pipe ? ofPipe(node.pipe) : []
    case 'if':
    case 'with':
    case 'range':
      return [...ofPipe(node.pipe), ...node.body.flatMap(ofNode), ...node.otherwise.flatMap(ofNode)]
    default:
      return []
  }
}

const ofPipe = (pipe: Pipe): string[] => pipe.commands.flatMap(({ operands }) => operands.flatMap(ofOperand))

function ofOperand(operand: Operand): string[] {
  if (operand.kind === 'field' || (operand.kind === 'variable' && operand.name === '')) return [...operand.names]
  return operand.kind === 'pipe' ? [...ofPipe(operand.pipe), ...operand.names] : []
}
