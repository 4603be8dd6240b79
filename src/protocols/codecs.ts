// Every protocol whose bodies can be read, by name.
import type { Codec } from './codec.ts'
import { mlflow } from './mlflow.ts'
import { v2 } from './openInference.ts'
import { v1 } from './tensorflow.ts'

export const CODECS: Readonly<Record<Codec['protocol'], Codec>> = { v2, v1, mlflow }

/** undefined: bodies of this protocol are passed through unread. */
export function codecOf(protocol: Codec['protocol'] | 'json'): Codec | undefined {
  return protocol === 'json' ? undefined : CODECS[protocol]
}
