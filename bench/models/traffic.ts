// Sends held-out rows drawn under a seed, as fast as asked, each followed by its truth. Knows nothing of verdicts.
import { Pool } from 'undici'
import { seededRandom } from '../../src/load/schedule.ts'
import type { Row } from './rows.ts'

export interface TrafficOptions {
  readonly url: string
  readonly route: string
  readonly rows: readonly Row[]
  readonly seed: number
}

const CONNECTIONS = 32
const TICK_MS = 5
const LABELS_EVERY_MS = 200
const MOST_LABELS = 5_000
const JSON_TYPE = { 'content-type': 'application/json' }

export class Traffic {
  readonly #options: TrafficOptions
  readonly #pool: Pool
  readonly #draw: () => number
  /** Requests sent a second, where the gateway and this machine take so many. */
  perSecond = 0
  readonly #unlabelled: { readonly id: string; readonly truth: number }[] = []
  readonly #answeredBy = new Map<string, number>()
  /** Wall clock, ms, of every thousandth answer's predecessor: how many were answered at a time is read from it. */
  readonly #answeredAt: number[] = []
  #failed = 0
  #sent = 0
  #underWay = 0
  #timers: NodeJS.Timeout[] = []
  #labelling: Promise<void> = Promise.resolve()

  constructor(options: TrafficOptions) {
    this.#options = options
    this.#pool = new Pool(options.url, { connections: CONNECTIONS, pipelining: 1 })
    this.#draw = seededRandom(options.seed)
  }

  get answered(): number {
    return this.#answeredAt.length
  }

  get failed(): number {
    return this.#failed
  }

  /** Answers by the version that gave them. */
  get answeredBy(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#answeredBy)
  }

  /** How many requests had been answered at a moment, ms since the Unix epoch. */
  answeredUntil(at: number): number {
    let [low, high] = [0, this.#answeredAt.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#answeredAt[middle]! <= at) low = middle + 1
      else high = middle
    }
    return low
  }

  start(): void {
    let last = performance.now()
    let due = 0
    const ticking = setInterval(() => {
      const now = performance.now()
      due = Math.min(due + ((now - last) * this.perSecond) / 1000, CONNECTIONS)
      last = now
      for (; due >= 1 && this.#underWay < CONNECTIONS; due--) void this.#one()
    }, TICK_MS)
    const labelling = setInterval(() => {
      this.#labelling = this.#labelling.then(() => this.#sendLabels())
    }, LABELS_EVERY_MS)
    this.#timers = [ticking, labelling]
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    while (this.#underWay > 0) await new Promise(resolve => setTimeout(resolve, 5))
    await this.#labelling
    await this.#pool.close()
  }

  async #one(): Promise<void> {
    const id = `row-${++this.#sent}`
    const { rows, route } = this.#options
    const row = rows[Math.floor(this.#draw() * rows.length)]!
    this.#underWay++
    try {
      const { statusCode, headers, body } = await this.#pool.request({
        method: 'POST',
        path: `/v2/models/${route}/infer`,
        headers: { ...JSON_TYPE, 'x-request-id': id, 'x-user-id': `user-${this.#sent}` },
        body: row.body,
      })
      await body.dump()
      this.#answeredAt.push(Date.now())
      if (statusCode !== 200) this.#failed++
      const version = String(headers['x-understudy-version'])
      this.#answeredBy.set(version, (this.#answeredBy.get(version) ?? 0) + 1)
      this.#unlabelled.push({ id, truth: row.truth })
    } catch {
      this.#failed++
    } finally {
      this.#underWay--
    }
  }

  async #sendLabels(): Promise<void> {
    const batch = this.#unlabelled.slice(0, MOST_LABELS)
    if (batch.length === 0) return
    const labels = batch.map(({ id, truth }) => ({ request_id: id, label: truth, route: this.#options.route }))
    const { statusCode, body } = await this.#pool.request({
      method: 'POST',
      path: '/v1/labels',
      headers: JSON_TYPE,
      body: JSON.stringify(labels),
    })
    await body.dump()
    // What was refused for its amount is sent again at the next turn; a label that came twice counts once.
    if (statusCode === 200) this.#unlabelled.splice(0, batch.length)
  }
}
