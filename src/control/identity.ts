// Asks HTTP versions which build they run, in the background, so that a new build under an old name is noticed.
import { createHash } from 'node:crypto'
import type { Version } from '../config/schema.ts'
import { codecOf } from '../protocols/codecs.ts'
import type { UpstreamTarget } from '../rollout/snapshot.ts'
import { Upstream } from '../scoring/upstream.ts'
import type { StateStore } from '../state/store.ts'

type Asked = Exclude<NonNullable<Version['identity']>, { literal: string }>

interface Watched {
  /** Of the addresses and of what is asked: an answer to another question names nothing here. */
  readonly question: string
  readonly identity: Asked
  readonly target: UpstreamTarget
  readonly upstream: Upstream
  read: string | undefined
  /** The first answer, or its deadline. */
  readonly first: Promise<unknown>
}

const POLL_MS = 5_000
const ASK_DEADLINE_MS = 2_000
const MAX_ANSWER_BYTES = 64 * 1024

export function identityKey(route: string, version: string): string {
  return `identity/${route}/${version}`
}

/** Identities of HTTP versions as last read; kept in the store, so that a server that is down keeps its digest. */
export class Identities {
  readonly #store: Pick<StateStore, 'value' | 'commit'>
  readonly #changed: (key: string) => void
  readonly #watched = new Map<string, Watched>()
  #timer: NodeJS.Timeout | undefined

  /** @param changed a version that was read before names another build now */
  constructor(store: Pick<StateStore, 'value' | 'commit'>, changed: (key: string) => void) {
    this.#store = store
    this.#changed = changed
  }

  /**
   * What names the running build: '' without `identity`; undefined: it was never read. A version that is new is asked at
   * once, two seconds at most. Never rejects.
   */
  async of(key: string, version: Version, target: UpstreamTarget): Promise<string | undefined> {
    const { identity } = version
    if (identity === undefined) return ''
    if ('literal' in identity) return identity.literal
    try {
      const watched = this.#watch(key, identity, target)
      if (watched.read === undefined) await watched.first
      return watched.read
    } catch {
      // An address that cannot be one.
      return undefined
    }
  }

  /** Stops asking versions that are not among these keys. */
  keep(keys: ReadonlySet<string>): void {
    for (const [key, { upstream }] of this.#watched) {
      if (keys.has(key)) continue
      this.#watched.delete(key)
      void upstream.destroy()
    }
  }

  /** Reads every identity once. Never rejects. */
  async poll(): Promise<void> {
    await Promise.all([...this.#watched].map(([key, watched]) => this.#ask(key, watched)))
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.#watched.values()].map(({ upstream }) => upstream.destroy()))
    this.#watched.clear()
  }

  #watch(key: string, identity: Asked, target: UpstreamTarget): Watched {
    const question = createHash('sha256')
      .update(JSON.stringify([target.urls, target.model, identity]))
      .digest('hex')
    const known = this.#watched.get(key)
    if (known !== undefined && known.question === question) return known
    void known?.upstream.destroy()
    const upstream = new Upstream({
      ...target,
      firstByteMs: ASK_DEADLINE_MS,
      maxAnswerBytes: MAX_ANSWER_BYTES,
      connections: 1,
    })
    const first = Promise.withResolvers<void>()
    const read = this.#stored(key, question)
    const watched: Watched = { question, identity, target, upstream, read, first: first.promise }
    this.#watched.set(key, watched)
    void this.#ask(key, watched, true).then(first.resolve)
    this.#timer ??= setInterval(() => void this.poll(), POLL_MS)
    return watched
  }

  #stored(key: string, question: string): string | undefined {
    try {
      const stored = this.#store.value(key)
      const kept = stored === undefined ? undefined : (JSON.parse(stored) as { question: string; value: string })
      return kept?.question === question ? kept.value : undefined
    } catch {
      // A store that cannot be read: the server is asked.
      return undefined
    }
  }

  async #ask(key: string, watched: Watched, isFirst = false): Promise<void> {
    const { identity, target, upstream, question } = watched
    // Any answer of the server has the header; where its protocol tells no metadata, a probe's must do.
    const path = 'path' in identity ? identity.path : (codecOf(target.protocol)?.metadataPath(target.model) ?? '/ping')
    const answer = await upstream.send({
      method: 'GET',
      path,
      headers: [],
      body: undefined,
      deadlineMs: ASK_DEADLINE_MS,
    })
    // A server that is down says nothing about its build.
    if (!answer.ok || answer.status !== 200) return
    const value =
      'path' in identity ? answer.body.whole.toString('utf8') : answer.headers[identity.header.toLowerCase()]
    if (typeof value !== 'string' || value === '' || value === watched.read) return
    // Another question is asked by now.
    if (this.#watched.get(key) !== watched) return
    // Whoever asked first waits for this very answer.
    const isNews = !isFirst || watched.read !== undefined
    watched.read = value
    try {
      this.#store.commit({ values: [{ key, value: JSON.stringify({ question, value }) }] })
    } catch {
      // It is asked again after a restart.
    }
    if (isNews) this.#changed(key)
  }
}
