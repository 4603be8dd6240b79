// Maps the names that a route's clients use to those of one version, and back. Knows no protocol.
import type { InferRequest, Signature } from './codec.ts'
import type { Tensor } from './tensor.ts'

/** The route's name → the version's name. What is not named keeps its name. */
export interface Rename {
  readonly inputs: Readonly<Record<string, string>>
  readonly outputs: Readonly<Record<string, string>>
}

/** A client's request in the version's names. */
export function toVersion(request: InferRequest, rename: Rename | undefined): InferRequest {
  if (rename === undefined) return request
  return {
    ...request,
    inputs: request.inputs.map(input => named(input, nameIn(rename.inputs, input.name))),
    outputs: request.outputs?.map(output => named(output, nameIn(rename.outputs, output.name))),
  }
}

/** A version's outputs in the clients' names. */
export function toClient(outputs: readonly Tensor[], rename: Rename | undefined): readonly Tensor[] {
  return rename === undefined ? outputs : outputs.map(output => named(output, nameOut(rename.outputs, output.name)))
}

/** A version's signature in the clients' names. */
export function signatureToClient(signature: Signature, rename: Rename | undefined): Signature {
  if (rename === undefined) return signature
  return {
    ...signature,
    inputs: signature.inputs.map(input => named(input, nameOut(rename.inputs, input.name))),
    outputs: signature.outputs.map(output => named(output, nameOut(rename.outputs, output.name))),
  }
}

function nameIn(names: Rename['inputs'], name: string): string {
  return Object.hasOwn(names, name) ? names[name]! : name
}

function nameOut(names: Rename['inputs'], name: string): string {
  for (const client in names) if (names[client] === name) return client
  return name
}

function named<T extends { readonly name: string }>(tensor: T, name: string): T {
  return name === tensor.name ? tensor : { ...tensor, name }
}
