// What may stand in a request to the admin API, and what is said when something else stands there. No decision.
import { z } from 'zod'
import { faultsOf } from '../config/problems.ts'
import { percent } from '../config/units.ts'
import { UnderstudyError } from '../errors.ts'

const change = {
  who: z.string().min(1).max(200).default('admin API').describe('who stands in the history'),
  reason: z.string().max(1000).default('').describe('why, for the history'),
  dryRun: z.boolean().default(false).describe('say what would be done and do nothing'),
}
const reason = z.string().min(1).max(1000).describe('why, for the history')
const version = z.string().min(1).max(256)

export const PromoteBody = z.strictObject({ ...change, candidate: version.optional() })
export const RollbackBody = z.strictObject({ ...change })
export const VersionBody = z.strictObject({ ...change, version, reason })
export const PauseBody = z.strictObject({ ...change, reason })
export const ResumeBody = z.strictObject({ ...change })
export const WeightBody = z.strictObject({ ...change, version, weight: percent })
export const MirrorBody = z.strictObject({ ...change, on: z.boolean(), route: z.string().min(1).max(128).optional() })

/** How many entries of the history, newest last. */
export const LAST = { byDefault: 100, most: 10_000 } as const

/**
 * A JSON body by its schema; an empty one is `{}`.
 * @throws BAD_JSON, or BAD_REQUEST that names every wrong field
 */
export function readBody<T extends z.ZodType>(schema: T, text: string): z.infer<T> {
  let json: unknown
  try {
    json = text.trim() === '' ? {} : JSON.parse(text)
  } catch (cause) {
    throw new UnderstudyError('BAD_JSON', 'the body is not valid JSON', { cause })
  }
  const faults = faultsOf(schema, json)
  if (faults.length > 0)
    throw new UnderstudyError(
      'BAD_REQUEST',
      faults.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message)).join('; '),
    )
  return schema.parse(json)
}

/** The `last` of a query. @throws BAD_REQUEST */
export function readLast(text: string | undefined): number {
  if (text === undefined) return LAST.byDefault
  const last = Number(text)
  if (!/^\d+$/.test(text) || last < 1 || last > LAST.most)
    throw new UnderstudyError('BAD_REQUEST', `last: expected a whole number from 1 to ${LAST.most}`)
  return last
}
