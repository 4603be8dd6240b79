// How durations, sizes, rates, shares, addresses and version names are written in routes.yaml, and what they parse to.
import semver from 'semver'
import { z } from 'zod'

const DURATION_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZE_BYTES: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** `250ms`, `10m`, `24h`, `7d` → milliseconds. */
export const durationMs = z
  .string({ error: 'expected a duration such as 250ms, 10s, 5m, 24h or 7d' })
  .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, 'expected a duration such as 250ms, 10s, 5m, 24h or 7d')
  .transform(text => scale(text, DURATION_MS))

/** `64KiB`, `8MiB` → bytes. */
export const bytes = z
  .string({ error: 'expected a size such as 64KiB or 8MiB' })
  .regex(/^\d+(\.\d+)?(B|KiB|MiB|GiB)$/, 'expected a size such as 64KiB or 8MiB')
  .transform(text => Math.floor(scale(text, SIZE_BYTES)))

/** `50/s`, `3000/m` → requests a second. */
export const ratePerSecond = z
  .string({ error: 'expected a rate such as 50/s' })
  .regex(/^(?!0+(\.0+)?\/)\d+(\.\d+)?\/(s|m|h)$/, 'expected a rate above 0, such as 50/s')
  .transform(text => {
    const [amount, unit] = text.split('/') as [string, string]
    return (Number(amount) * 1000) / DURATION_MS[unit]!
  })

/** A share of traffic, 0 to 100. */
export const percent = z
  .number({ error: issue => notPercent(issue.input) })
  .min(0, { error: issue => notPercent(issue.input) })
  .max(100, { error: issue => notPercent(issue.input) })

/** A semantic version with pre-release and build metadata, always a string. */
export const semverString = z
  .string({ error: 'expected a version string such as 1.4.0-rc.1 (quote it)' })
  .refine(isSemver, { error: issue => `expected a semantic version such as 1.4.0-rc.1, got ${String(issue.input)}` })

/** A served model's name: it stands in URLs and metric labels. */
export const regexName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'expected a name of letters, digits, dots, dashes and underscores')

/** `127.0.0.1:8080`, `[::1]:0` or `:8080` → host and port. */
export const listenAddress = z
  .string({ error: 'expected host:port' })
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:[\]]*):\d{1,5}$/, 'expected host:port')
  .transform((text, context) => {
    const at = text.lastIndexOf(':')
    const port = Number(text.slice(at + 1))
    if (port > 65_535) context.addIssue({ code: 'custom', message: `expected a port up to 65535, got ${port}` })
    return { host: text.slice(0, at).replace(/^\[|\]$/g, '') || '0.0.0.0', port }
  })

/** A value as a person would recognise it, short. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  // Maps of a document have no prototype, so String() would throw on them.
  if (typeof value === 'object') return 'a map'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

function notPercent(input: unknown): string {
  return `expected a percentage between 0 and 100, got ${show(input)}`
}

// semver.parse also accepts `v1.0.0` and ` 1.0.0`, which would be two spellings of one version.
function isSemver(text: string): boolean {
  const parsed = semver.parse(text)
  return (
    parsed !== null && [parsed.version, ...(parsed.build.length > 0 ? [parsed.build.join('.')] : [])].join('+') === text
  )
}

function scale(text: string, units: Record<string, number>): number {
  const [, amount, unit] = /^([\d.]+)(\D+)$/.exec(text) as unknown as [string, string, string]
  return Number(amount) * units[unit]!
}
