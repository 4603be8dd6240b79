// One queue for each webhook address: in order, one message at a time, tried again with growing waits. Nobody waits for it.
import { hash } from 'node:crypto'
import { backoffMs, isGivenUp } from './backoff.ts'
import type { Notice } from './notice.ts'
import type { Post } from './post.ts'

/** What became of a message: it arrived, is tried again, was given up after an hour, or fell out of a full queue. */
export type Outcome = 'delivered' | 'failed' | 'given_up' | 'dropped'

export interface OutboxParts {
  readonly post: Post
  /** ms since the Unix epoch. */
  readonly now: () => number
  /** Hears of every try; `why` never holds the address's path. */
  readonly told: (outcome: Outcome, notice: Notice, host: string, why: string | undefined) => void
  /** Something was added or taken off: `waiting()` is to be kept. */
  readonly changed: () => void
  /** The wait after so many failures in a row, ms; for tests. */
  readonly backoff?: (failures: number) => number
}

export interface HookState {
  /** Scheme, host and port: the rest of the address may hold a secret. */
  readonly host: string
  readonly waiting: number
  readonly lost: number
  /** Why the last try failed; undefined: it did not. */
  readonly failing: string | undefined
}

/** Messages that may wait for one address. When it is full the oldest that is not under way is dropped: what is new matters more. */
export const MOST_WAITING = 100

interface Hook {
  readonly url: string
  readonly host: string
  readonly queue: Notice[]
  /** The first of the queue is on its way. */
  underWay: boolean
  failures: number
  failing: string | undefined
  lost: number
  timer: NodeJS.Timeout | undefined
}

export class Outbox {
  readonly #parts: OutboxParts
  readonly #hooks = new Map<string, Hook>()
  readonly #stop = new AbortController()

  constructor(parts: OutboxParts) {
    this.#parts = parts
  }

  /** These addresses, by route, and no others: messages for one that has left are let go. */
  configure(urlsByRoute: ReadonlyMap<string, readonly string[]>): void {
    const wanted = new Set([...urlsByRoute.values()].flat())
    for (const [url, hook] of this.#hooks) {
      if (wanted.has(url)) continue
      clearTimeout(hook.timer)
      this.#hooks.delete(url)
      if (hook.queue.length > 0) this.#parts.changed()
    }
    for (const url of wanted) {
      if (this.#hooks.has(url)) continue
      const host = new URL(url).origin
      this.#hooks.set(url, {
        url,
        host,
        queue: [],
        underWay: false,
        failures: 0,
        failing: undefined,
        lost: 0,
        timer: undefined,
      })
    }
  }

  /** Queues a message. Returns at once. */
  send(url: string, notice: Notice): void {
    const hook = this.#hooks.get(url)
    if (hook === undefined || this.#stop.signal.aborted) return
    hook.queue.push(notice)
    if (hook.queue.length > MOST_WAITING) {
      const [dropped] = hook.queue.splice(hook.underWay ? 1 : 0, 1)
      hook.lost += 1
      this.#parts.told('dropped', dropped!, hook.host, `${MOST_WAITING} wait already`)
    }
    this.#parts.changed()
    if (hook.timer === undefined) this.#next(hook)
  }

  /** What has not arrived yet, by the sha256 of its address. */
  waiting(): Record<string, readonly Notice[]> {
    const waiting = [...this.#hooks.values()].filter(({ queue }) => queue.length > 0)
    return Object.fromEntries(waiting.map(({ url, queue }) => [nameOf(url), [...queue]]))
  }

  /** Takes up what an earlier process could not deliver, for addresses that are still configured. */
  resume(waiting: Readonly<Record<string, readonly Notice[]>>): void {
    for (const hook of this.#hooks.values()) {
      hook.queue.unshift(...(waiting[nameOf(hook.url)] ?? []).slice(-MOST_WAITING))
      this.#next(hook)
    }
  }

  state(url: string): HookState | undefined {
    const hook = this.#hooks.get(url)
    if (hook === undefined) return undefined
    const { host, queue, lost, failing } = hook
    return { host, waiting: queue.length, lost, failing }
  }

  /** Breaks off what is under way and tries nothing more. What waits stays in `waiting()`. */
  stop(): void {
    this.#stop.abort()
    for (const hook of this.#hooks.values()) clearTimeout(hook.timer)
  }

  #next(hook: Hook): void {
    const notice = hook.queue[0]
    if (notice === undefined || hook.underWay || this.#stop.signal.aborted) return
    hook.underWay = true
    // Waited for by nobody: the answer comes back here, and `post` never rejects.
    void this.#parts.post(hook.url, notice, this.#stop.signal).then(why => {
      hook.underWay = false
      const isGone = this.#stop.signal.aborted || this.#hooks.get(hook.url) !== hook
      // Broken off by our own stop: the next process tries it again. One that arrived is taken off all the same.
      if (isGone && why !== undefined) return
      this.#settle(hook, notice, why)
    })
  }

  #settle(hook: Hook, notice: Notice, why: string | undefined): void {
    const { told, changed, now, backoff } = this.#parts
    hook.failures = why === undefined ? 0 : hook.failures + 1
    hook.failing = why
    const isOver = why !== undefined && isGivenUp(now() - Date.parse(notice.at))
    if (why === undefined || isOver) {
      hook.queue.shift()
      if (isOver) hook.lost += 1
      changed()
    }
    told(why === undefined ? 'delivered' : isOver ? 'given_up' : 'failed', notice, hook.host, why)
    if (why === undefined) {
      this.#next(hook)
      return
    }
    const wait = backoff?.(hook.failures) ?? backoffMs(hook.failures, Math.random())
    hook.timer = setTimeout(() => {
      hook.timer = undefined
      this.#next(hook)
    }, wait)
    hook.timer.unref()
  }
}

/** Addresses may hold secrets, so the store names them by their hash. */
function nameOf(url: string): string {
  return hash('sha256', url)
}
