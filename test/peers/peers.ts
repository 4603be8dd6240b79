// The peers that are installed here, for the tests; says once a file when there are none.
import { basename } from 'node:path'
import { expect } from 'vitest'
import { installed } from './place.ts'

/** Undefined where nothing is installed: what needs it is skipped. */
export const PEERS = installed()

if (PEERS === undefined) {
  const file = basename(expect.getState().testPath ?? '')
  console.warn(`NOT TESTED: ${file}: the real peers are not installed. \`npm run peers\` does it, with Python 3.11.`)
}
