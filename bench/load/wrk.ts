// Runs wrk, a load generator of others, against what ours loads too: where both find the same, the generator is not the limit.
import { execFile, execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Asked } from './forwarding.ts'

export interface WrkRun {
  readonly perSecond: number
  readonly requests: number
  /** Answers that are neither 2xx nor 3xx, timeouts, and errors of connections. */
  readonly failures: number
}

/** Undefined: it is not installed, and is then listed as not measured. */
export function wrkVersion(): string | undefined {
  try {
    // It tells its version and ends with code 1.
    return /wrk (\S+)/.exec(execFileSync('sh', ['-c', 'wrk -v 2>&1 || true'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}

/** @param seconds a whole number: wrk takes no other */
export async function runWrk(system: Asked, connections: number, seconds: number, scriptFile: string): Promise<WrkRun> {
  writeFileSync(scriptFile, wrkScript(system.bodies, system.headers))
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', scriptFile, system.url]
  const { stdout } = await promisify(execFile)('wrk', args, { timeout: (seconds + 30) * 1000 })
  return readWrk(stdout)
}

const MARK = 'figures '

/** The same bodies in turn, made into requests before the run; at its end one line of figures. */
export function wrkScript(bodies: readonly string[], headers: readonly string[]): string {
  const pairs = headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1]!]] : []))
  return `local bodies = { ${bodies.map(quoted).join(', ')} }
local headers = { ${pairs.map(([name, value]) => `[${quoted(name!)}] = ${quoted(value!)}`).join(', ')} }
local requests = {}
local turn = 0
function init()
  for index, body in ipairs(bodies) do requests[index] = wrk.format('POST', nil, headers, body) end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('${MARK}%d %d %d', summary.requests, summary.duration, failures))
end
`
}

/** @throws when wrk printed no figures */
export function readWrk(output: string): WrkRun {
  const found = new RegExp(`^${MARK}(\\d+) (\\d+) (\\d+)$`, 'm').exec(output)
  if (found === null) throw new Error(`wrk printed no figures: ${output.slice(0, 200)}`)
  const [requests, microseconds, failures] = found.slice(1).map(Number) as [number, number, number]
  return { requests, failures, perSecond: ((requests - failures) / microseconds) * 1e6 }
}

/** A string of Lua. Bodies and headers here are ASCII, whose escapes are JSON's. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
