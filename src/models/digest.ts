// How the bytes of a model are named. On its own, so that a thread that only checks bytes loads no reader of manifests.
import { createHash } from 'node:crypto'

/** Lower-case hexadecimal sha256. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
