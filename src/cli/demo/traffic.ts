// Plays the users: sends flights drawn under a seed at a steady rate, keeps every answer, and sends the truth after it.
import { drawer } from './figures.ts'
import { type HttpClient, httpClient } from './http.ts'
import { type Flight, probabilities, requestBody } from './rows.ts'

export interface Answered {
  /** The n-th request of the run, from 1. */
  readonly number: number
  readonly row: number
  readonly status: number
  /** The version that answered, as the answer says; '' where it does not. */
  readonly version: string
  /** Probability of being late; undefined where the answer was no 200. */
  readonly p: number | undefined
  readonly ms: number
  /** Wall clock, ms. */
  readonly at: number
}

export interface TrafficOptions {
  readonly url: string
  readonly route: string
  readonly flights: readonly Flight[]
  readonly seed: number
  readonly connections: number
}

const JSON_HEADERS = { 'content-type': 'application/json' }
const TICK_MS = 4
const LABELS_EVERY_MS = 200
const MOST_LABELS = 2_000

export class Traffic {
  readonly answers: Answered[] = []
  readonly #options: TrafficOptions
  readonly #client: HttpClient
  readonly #labelClient: HttpClient
  readonly #draw: () => number
  readonly #bodies: (string | undefined)[] = []
  /** Draws whose number is taken; the row of request n is fixed by the seed whatever the timing. */
  #sent = 0
  #asked = 0
  #underWay = 0
  #labelled = 0
  #labelling: Promise<void> | undefined
  #ticking: NodeJS.Timeout | undefined
  #labelTicking: NodeJS.Timeout | undefined
  #lastError: string | undefined

  constructor(options: TrafficOptions) {
    this.#options = options
    this.#client = httpClient(options.url, options.connections)
    this.#labelClient = httpClient(options.url, 1)
    this.#draw = drawer(options.flights.length, options.seed)
  }

  get sent(): number {
    return this.#sent
  }

  /** Requests sent by `ask`. */
  get asked(): number {
    return this.#asked
  }

  /** What the last request without an answer failed with. */
  get lastError(): string | undefined {
    return this.#lastError
  }

  /** Sends `perSecond` requests until `pause`; fewer when the gateway, or this machine, takes no more. */
  start(perSecond: number): void {
    clearInterval(this.#ticking)
    let last = performance.now()
    let due = 0
    this.#ticking = setInterval(() => {
      const now = performance.now()
      // What a busy machine did not send is not made up for: a burst would be another kind of traffic.
      due = Math.min(due + ((now - last) * perSecond) / 1000, this.#options.connections)
      last = now
      for (; due >= 1 && this.#underWay < this.#options.connections; due--) void this.#one()
    }, TICK_MS)
    this.#labelTicking ??= setInterval(() => {
      this.#labelling ??= this.#sendLabels().finally(() => (this.#labelling = undefined))
    }, LABELS_EVERY_MS)
  }

  /** Stops sending and waits for what is under way. */
  async pause(): Promise<void> {
    clearInterval(this.#ticking)
    while (this.#underWay > 0) await new Promise(resolve => setTimeout(resolve, 5))
  }

  async close(): Promise<void> {
    clearInterval(this.#ticking)
    clearInterval(this.#labelTicking)
    this.#client.close()
    this.#labelClient.close()
    await this.#labelling
  }

  /** What `version` makes of these rows, asked for by header, 256 rows a request. Such requests are never evidence. */
  async ask(version: string, header: string, rows: readonly number[]): Promise<number[]> {
    const answers: number[] = []
    const { route, flights } = this.#options
    for (let at = 0; at < rows.length; at += 256) {
      const body = requestBody(rows.slice(at, at + 256).map(row => flights[row]!))
      const path = `/v2/models/${route}/infer`
      this.#asked++
      const answer = await this.#labelClient.send('POST', path, { ...JSON_HEADERS, [header]: version }, body)
      const by = answer.headers['x-understudy-version']
      if (answer.status !== 200 || by !== version)
        throw new Error(`${version} was asked by header and ${by ?? 'nobody'} answered with ${answer.status}`)
      answers.push(...probabilities(answer.text))
    }
    return answers
  }

  async #one(): Promise<void> {
    const number = ++this.#sent
    const row = this.#draw()
    this.#underWay++
    try {
      const body = this.#bodies[row] ?? requestBody([this.#options.flights[row]!])
      this.#bodies[row] = body
      const headers = { ...JSON_HEADERS, 'x-request-id': requestId(number) }
      const answer = await this.#client.send('POST', `/v2/models/${this.#options.route}/infer`, headers, body)
      const version = answer.headers['x-understudy-version']
      this.answers.push({
        number,
        row,
        status: answer.status,
        version: typeof version === 'string' ? version : '',
        p: answer.status === 200 ? probabilities(answer.text)[0] : undefined,
        ms: answer.elapsedMs,
        at: Date.now(),
      })
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error)
      this.answers.push({ number, row, status: 0, version: '', p: undefined, ms: 0, at: Date.now() })
    } finally {
      this.#underWay--
    }
  }

  async #sendLabels(): Promise<void> {
    const batch = this.answers.slice(this.#labelled, this.#labelled + MOST_LABELS)
    if (batch.length === 0) return
    const labels = batch.map(({ number, row }) => ({
      request_id: requestId(number),
      label: this.#options.flights[row]!.late,
      route: this.#options.route,
    }))
    try {
      const { status } = await this.#labelClient.send('POST', '/v1/labels', JSON_HEADERS, JSON.stringify(labels))
      if (status === 200) this.#labelled += batch.length
      else this.#lastError = `labels were answered with ${status}`
    } catch (error) {
      // Sent again at the next turn; a label that came twice counts once.
      this.#lastError = error instanceof Error ? error.message : String(error)
    }
  }
}

function requestId(number: number): string {
  return `flight-${number}`
}
