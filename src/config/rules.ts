// What must hold between keys of routes.yaml. Reads the raw value, so that one wrong key hides no other problem.
import { isIP } from 'node:net'
import type { Fault } from './problems.ts'
import { checkRollout } from './rolloutRules.ts'
import { checkTraced } from './traced.ts'

type Raw = Readonly<Record<string, unknown>>

/** Problems between the keys of a routes file. Values of a wrong type are left to the schema. */
export function rulesBroken(file: unknown): Fault[] {
  if (!isMap(file)) return []
  const faults: Fault[] = [...adminIsGuarded(file)]
  if (!isMap(file.routes)) return faults
  for (const [name, route] of Object.entries(file.routes)) {
    if (!isMap(route)) continue
    const at = (path: (string | number)[], what: Fault['what'], message: string) =>
      void faults.push({ path: ['routes', name, ...path], what, message })
    checkVersions(route, at)
    checkJson(route, at)
    checkSteps(route, at)
    checkLoss(route, at)
    checkSegments(route, at)
    checkNotify(route, at)
    checkRollout(route, at)
    checkTraced(route, at)
  }
  faults.push(...pathsAreApart(file.routes))
  return faults
}

type Report = (path: (string | number)[], what: Fault['what'], message: string) => void

function adminIsGuarded(file: Raw): Fault[] {
  const admin = file.admin
  if (!isMap(admin) || typeof admin.listen !== 'string' || admin.token !== undefined) return []
  const host = admin.listen.slice(0, admin.listen.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  if (isLoopback(host)) return []
  return [
    { path: ['admin', 'listen'], what: 'value', message: 'expected a loopback address, or an `admin.token` beside it' },
  ]
}

function checkVersions(route: Raw, at: Report): void {
  const versions = route.versions
  if (!isMap(versions)) return
  const names = Object.keys(versions)
  if (names.length === 0) at(['versions'], 'key', 'expected at least one version')
  if (names.length > MOST_VERSIONS)
    at(['versions'], 'key', `expected at most ${MOST_VERSIONS} versions, got ${names.length}`)
  if (typeof route.live === 'string' && !(route.live in versions))
    at(['live'], 'value', `expected one of the versions (${names.join(', ')}), got ${route.live}`)

  let sum: number | undefined = 0
  for (const [version, entry] of Object.entries(versions)) {
    if (!isMap(entry)) {
      sum = undefined
      continue
    }
    const weight = entry.weight ?? 0
    sum = sum !== undefined && typeof weight === 'number' && weight >= 0 && weight <= 100 ? sum + weight : undefined
    checkVersion(version, entry, at)
  }
  // Shares such as 33.3 + 33.3 + 33.4 do not add up to 100 exactly in binary.
  if (sum !== undefined && names.length > 0 && Math.abs(sum - 100) > 1e-6)
    at(['versions'], 'key', `expected weights that sum to 100, got ${Number(sum.toFixed(6))}`)
}

// A record names the candidates of a request by one bit each.
const MOST_VERSIONS = 32

const HTTP_ONLY = ['protocol', 'model', 'identity', 'connect', 'firstByte']

function checkVersion(version: string, entry: Raw, at: Report): void {
  const here = ['versions', version]
  const { onnx, url, traced } = entry
  if (onnx === undefined && url === undefined && traced === undefined)
    at(here, 'key', 'expected `onnx`, `url` or `traced`')
  if (onnx !== undefined && url !== undefined) at([...here, 'url'], 'key', 'expected either `onnx` or `url`, got both')
  if (traced !== undefined && (onnx !== undefined || url !== undefined))
    at([...here, 'traced'], 'key', `expected either \`traced\` or \`${onnx === undefined ? 'url' : 'onnx'}\`, got both`)

  if (typeof onnx === 'string') {
    if (/^[\\/]|^[A-Za-z]:/.test(onnx) || onnx.includes('\0') || onnx.split(/[\\/]/).includes('..'))
      at([...here, 'onnx'], 'value', 'expected a folder under `models`, without `..` and not absolute')
    if (url === undefined)
      for (const key of HTTP_ONLY)
        if (key in entry) at([...here, key], 'key', `\`${key}\` is for HTTP versions (url) only`)
  } else if ('answers' in entry) at([...here, 'answers'], 'key', '`answers` is for embedded versions (onnx) only')
  const urls = Array.isArray(url) ? url : [url]
  urls.forEach((address, index) => {
    const message = typeof address === 'string' ? addressRefused(address) : undefined
    if (message !== undefined) at(Array.isArray(url) ? [...here, 'url', index] : [...here, 'url'], 'value', message)
  })

  if (!isShadowed(entry.shadow)) return
  if (url !== undefined && entry.mirrorable !== true)
    at(
      [...here, 'shadow'],
      'value',
      'expected `mirrorable: true` beside it: an HTTP shadow must be said to have no side effects',
    )
  else if (entry.mirrorable === false)
    at([...here, 'shadow'], 'value', 'expected no shadow of a version that has `mirrorable: false`')
}

/** A path leads to one route. */
function pathsAreApart(routes: Raw): Fault[] {
  const owners = new Map<string, string>()
  const faults: Fault[] = []
  for (const [name, route] of Object.entries(routes)) {
    if (!isMap(route)) continue
    const isList = Array.isArray(route.path)
    for (const [index, path] of [route.path].flat().entries()) {
      if (typeof path !== 'string') continue
      const owner = owners.get(path)
      owners.set(path, owner ?? name)
      if (owner === undefined) continue
      const place = isList ? ['routes', name, 'path', index] : ['routes', name, 'path']
      faults.push({ path: place, what: 'value', message: `expected a path of its own: ${path} belongs to ${owner}` })
    }
  }
  return faults
}

/** What is passed through unread has no tensors to be renamed, and is compared by pointers into its JSON. */
function checkJson(route: Raw, at: Report): void {
  if (!isMap(route.versions)) return
  const entries = Object.entries(route.versions).filter((entry): entry is [string, Raw] => isMap(entry[1]))
  const passed = entries.filter(([, { protocol }]) => protocol === 'json')
  for (const [version, entry] of passed)
    if (entry.rename !== undefined)
      at(['versions', version, 'rename'], 'key', '`rename` is for protocols that name their tensors, not for json')
  if (passed.length === 0) return
  const odd = entries.find(([, { protocol }]) => protocol !== 'json')
  if (odd !== undefined)
    at(
      ['versions', odd[0]],
      'key',
      'expected protocol json as of the other versions: what is passed through unread cannot be translated',
    )
  if (route.path === undefined) at([], 'key', 'expected `path`, where predictions of protocol json are asked for')
}

function isShadowed(shadow: unknown): boolean {
  if (isMap(shadow)) return shadow.percent === undefined || (typeof shadow.percent === 'number' && shadow.percent > 0)
  return typeof shadow === 'number' && shadow > 0
}

// Cloud metadata services hand out credentials at link-local addresses.
function addressRefused(address: string): string | undefined {
  const url = URL.parse(address)
  if (url === null) return undefined
  if (url.username !== '' || url.password !== '') return 'expected an address without user name and password'
  // The URL parser has already rewritten 0xA9FE0001, 2852061185 and the like to dotted form.
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (isLinkLocal(host)) return `expected an address that is not link-local, got ${host}`
  return undefined
}

function isLinkLocal(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('169.254.')
  if (isIP(host) !== 6) return false
  // 169.254/16 inside an IPv6 address: mapped (::ffff:), compatible (::) and NAT64 (64:ff9b::).
  return /^fe[89ab][0-9a-f]:/.test(host) || /^(::(ffff:)?|64:ff9b::)a9fe:/.test(host) || host === 'fd00:ec2::254'
}

/** Whether only this machine can reach a listener at `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function checkSteps(route: Raw, at: Report): void {
  const steps = isMap(route.rollout) ? route.rollout.steps : undefined
  if (
    !Array.isArray(steps) ||
    steps.length === 0 ||
    !steps.every(step => typeof step === 'number' && step > 0 && step <= 100)
  )
    return
  steps.forEach((step, index) => {
    if (index > 0 && step <= steps[index - 1])
      at(['rollout', 'steps', index], 'value', `expected steps that grow, got ${step} after ${steps[index - 1]}`)
  })
  if (steps.at(-1) !== 100)
    at(['rollout', 'steps', steps.length - 1], 'value', `expected 100 as the last step, got ${steps.at(-1)}`)
}

const LOSSES_OF: Record<string, readonly string[]> = {
  number: ['brier', 'logloss', 'absolute', 'squared'],
  label: ['zero-one'],
  probabilities: ['zero-one', 'brier', 'logloss'],
  ranking: ['zero-one'],
}

/** A loss that the compared kind cannot have. Where the kind comes from the model's output it is not known here. */
function checkLoss(route: Raw, at: Report): void {
  const loss = isMap(route.labels) ? route.labels.loss : undefined
  if (!isMap(route.compare) || typeof loss !== 'string') return
  const outputs = route.compare.output
  const first = Array.isArray(outputs) && isMap(outputs[0]) ? outputs[0] : route.compare
  const kind = first.kind
  const fits = typeof kind === 'string' ? LOSSES_OF[kind] : undefined
  if (fits === undefined || fits.includes(loss)) return
  const hasThreshold = isMap(first.tolerance) && typeof first.tolerance.threshold === 'number'
  if (kind === 'number' && loss === 'zero-one' && hasThreshold) return
  const hint = kind === 'number' && loss === 'zero-one' ? ', or a `threshold` in the tolerance' : ''
  at(['labels', 'loss'], 'value', `expected ${fits.join(', ')} for compare kind ${kind}${hint}, got ${loss}`)
}

function checkSegments(route: Raw, at: Report): void {
  const segments = isMap(route.compare) ? route.compare.segments : undefined
  if (!Array.isArray(segments)) return
  const seen = new Set<string>()
  segments.forEach((segment, index) => {
    const field = isMap(segment) ? segment.bucket : segment
    if (typeof field !== 'string') return
    if (seen.has(field)) at(['compare', 'segments', index], 'value', `expected each field once, got ${field} again`)
    if (/[@=]/.test(field)) at(['compare', 'segments', index], 'value', 'expected a field name without @ and =')
    seen.add(field)
  })
}

function checkNotify({ notify }: Raw, at: Report): void {
  if (!Array.isArray(notify)) return
  notify.forEach((hook, index) => {
    const message = isMap(hook) && typeof hook.url === 'string' ? addressRefused(hook.url) : undefined
    if (message !== undefined) at(['notify', index, 'url'], 'value', message)
  })
}

function isMap(value: unknown): value is Raw {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
