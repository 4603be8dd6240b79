// Whether a proxy answers the same status, header fields and bytes whatever its shadow does.
import { request } from 'node:http'

export interface Answer {
  readonly status: number
  /** Name and value in turn, as they came; of ids, times and lengths the name alone. */
  readonly headers: string
  readonly body: string
}

/** What the answers of one system were compared with: the versions' own bodies, and the header fields without a shadow. */
export interface Expected {
  /** By version, in the order of the requests. */
  readonly bodies: ReadonlyMap<string, readonly string[]>
  /** By version. */
  readonly headers: ReadonlyMap<string, string>
}

export interface SameBytes {
  readonly asked: number
  readonly same: number
  /** The others: the status, `headers`, `body`, or the error's code where there was no answer. */
  readonly differing: Readonly<Record<string, number>>
}

const ANSWER_MS = 5_000
const AT_ONCE = 4
/** One request in a hundred goes to the canary: all of so many miss it once in e¹⁰⁰ runs. */
const MOST_LOOKS = 10_000
/** Their values differ from request to request by themselves; a length that is not the body's is no answer. */
const OWN = new Set(['content-length', 'date', 'x-request-id', 'x-envoy-upstream-service-time'])

/** What the versions answer by themselves, and which header fields `url`, which has no shadow, adds for each. */
export async function expectedOf(
  origins: readonly string[],
  url: string,
  requests: readonly string[],
): Promise<Expected> {
  const bodies = new Map<string, string[]>()
  for (const origin of origins) {
    const own = (await askAll(`${origin}${new URL(url).pathname}`, requests)).map(answered)
    bodies.set(
      versionOf(own[0]!)!,
      own.map(({ body }) => body),
    )
  }
  const headers = new Map<string, string>()
  for (let look = 0; headers.size < bodies.size; look++) {
    if (look === MOST_LOOKS) throw new Error('a version never answered')
    const answer = answered(await ask(url, requests[0]!))
    headers.set(versionOf(answer)!, answer.headers)
  }
  return { bodies, headers }
}

/** Asks each request once, over a connection of its own: nginx keeps one for as long as its mirror takes. */
export async function sameBytes(url: string, requests: readonly string[], expected: Expected): Promise<SameBytes> {
  return compareAnswers(await askAll(url, requests), expected)
}

/** @param answers in the order of the requests; an error's code where there was none */
export function compareAnswers(answers: readonly (Answer | string)[], expected: Expected): SameBytes {
  const differing: Record<string, number> = {}
  for (const [index, answer] of answers.entries()) {
    const difference = typeof answer === 'string' ? answer : differenceOf(answer, index, expected)
    if (difference !== undefined) differing[difference] = (differing[difference] ?? 0) + 1
  }
  const different = Object.values(differing).reduce((total, count) => total + count, 0)
  return { asked: answers.length, same: answers.length - different, differing }
}

function differenceOf(answer: Answer, index: number, { bodies, headers }: Expected): string | undefined {
  const version = versionOf(answer)
  if (answer.status !== 200) return `status ${answer.status}`
  if (version === undefined || bodies.get(version)?.[index] !== answer.body) return 'body'
  return headers.get(version) === answer.headers ? undefined : 'headers'
}

function versionOf({ body }: Answer): string | undefined {
  return /"model_version":"([^"]+)"/.exec(body)?.[1]
}

function answered(answer: Answer | string): Answer {
  if (typeof answer === 'string') throw new Error(`no answer to compare with: ${answer}`)
  return answer
}

async function askAll(url: string, requests: readonly string[]): Promise<(Answer | string)[]> {
  const answers: (Answer | string)[] = []
  let next = 0
  const lane = async () => {
    for (let index = next++; index < requests.length; index = next++) answers[index] = await ask(url, requests[index]!)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return answers
}

function ask(url: string, body: string): Promise<Answer | string> {
  return new Promise(resolve => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const call = request(url, { method: 'POST', agent: false, headers }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', error => resolve(codeOf(error)))
      response.on('end', () => {
        const whole = Buffer.concat(chunks).toString('latin1')
        resolve({ status: response.statusCode!, headers: comparable(response.rawHeaders), body: whole })
      })
    })
    call.setTimeout(ANSWER_MS, () => call.destroy(Object.assign(new Error('too late'), { code: 'timeout' })))
    call.on('error', error => resolve(codeOf(error)))
    call.end(body)
  })
}

function comparable(rawHeaders: readonly string[]): string {
  const lines: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    lines.push(OWN.has(name.toLowerCase()) ? name : `${name}: ${rawHeaders[index + 1]}`)
  }
  return lines.join('\n')
}

function codeOf(error: Error): string {
  return (error as { code?: string }).code ?? error.name
}
