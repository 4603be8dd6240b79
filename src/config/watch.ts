// Notices that routes.yaml has new content, however it was written. It does not apply anything.
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { messageOf, UnderstudyError } from '../errors.ts'
import { decodeRoutes, hashBytes, type LoadedRoutes, parseRoutes } from './load.ts'

/** `setTimeout` and `clearTimeout`, or a test's own. */
export interface Timers {
  set(run: () => void, ms: number): unknown
  clear(timer: unknown): void
}

export interface WatchOptions {
  /** Hash of the content that is in use: it is not reported. */
  readonly hash: string
  /** New content that parses. */
  readonly onChange: (loaded: LoadedRoutes) => void
  /** New content that does not, or no file at all; once per content. The last good configuration stays. */
  readonly onInvalid: (error: UnderstudyError, hash: string | undefined) => void
  /** New content must read the same for this long, so that no half-written file is taken, even one that parses. */
  readonly settleMs?: number
  readonly pollMs?: number
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly timers?: Timers
  /** Reads the file. */
  readonly read?: (path: string) => Uint8Array
  /** Calls back on any event in a folder; may throw, then only the poll notices. */
  readonly watchFolder?: (folder: string, onEvent: () => void, onError: () => void) => { close(): void }
}

export interface RoutesWatch {
  /** Content with this hash is in use now (we wrote it ourselves), so it is no news. */
  known(hash: string): void
  close(): void
}

/**
 * Watches a routes file: rename over it, write in place, symlink swaps. The FOLDER is watched, because a watch on the file
 * stays with the inode and misses the second swap of a Kubernetes ConfigMap; and a poll reads and hashes the file, because
 * some file systems send no events.
 */
export function watchRoutes(path: string, options: WatchOptions): RoutesWatch {
  return new Watch(resolve(path), options)
}

// What was read last: a hash, or why it could not be read.
type Content =
  | { readonly hash: string; readonly bytes: Uint8Array }
  | { readonly hash: undefined; readonly problem: string }

class Watch implements RoutesWatch {
  readonly #path: string
  readonly #options: WatchOptions
  readonly #timers: Timers
  readonly #settleMs: number
  readonly #pollMs: number
  /** Hash or problem that was reported or is in use. */
  #reported: string
  /** Content that was seen once and must read the same again. */
  #pending: string | undefined
  #settling: unknown
  #polling: unknown
  #folder: { close(): void } | undefined
  #closed = false

  constructor(path: string, options: WatchOptions) {
    this.#path = path
    this.#options = options
    this.#timers = options.timers ?? {
      set: (run, ms) => setTimeout(run, ms),
      clear: timer => clearTimeout(timer as NodeJS.Timeout),
    }
    this.#settleMs = options.settleMs ?? 150
    this.#pollMs = options.pollMs ?? 2000
    this.#reported = options.hash
    this.#watchFolder()
    // The file may have changed between the caller's reading it and now.
    this.#look()
    this.#poll()
  }

  known(hash: string): void {
    this.#reported = hash
  }

  close(): void {
    this.#closed = true
    this.#timers.clear(this.#settling)
    this.#timers.clear(this.#polling)
    this.#folder?.close()
    this.#folder = undefined
  }

  #watchFolder(): void {
    const onError = () => {
      this.#folder?.close()
      this.#folder = undefined
    }
    try {
      const start = this.#options.watchFolder ?? watchFolder
      this.#folder = start(dirname(this.#path), () => this.#settle(), onError)
    } catch {
      // Out of watches or no such folder: the poll goes on and tries again.
      this.#folder = undefined
    }
  }

  #poll(): void {
    this.#polling = this.#timers.set(() => {
      if (this.#closed) return
      if (this.#folder === undefined) this.#watchFolder()
      this.#look()
      this.#poll()
    }, this.#pollMs)
  }

  /** Looks again in a moment. Events that keep coming do not put it off: each look compares with the one before. */
  #settle(): void {
    if (this.#closed || this.#settling !== undefined) return
    this.#settling = this.#timers.set(() => {
      this.#settling = undefined
      if (!this.#closed) this.#look()
    }, this.#settleMs)
  }

  #look(): void {
    const content = this.#read()
    const seen = content.hash ?? `unreadable: ${content.problem}`
    if (seen === this.#reported) {
      this.#pending = undefined
      return
    }
    // A look that comes from the poll may follow an event's by less than the settling time.
    if (seen !== this.#pending || this.#settling !== undefined) {
      this.#pending = seen
      this.#settle()
      return
    }
    this.#pending = undefined
    this.#reported = seen
    this.#report(content)
  }

  #read(): Content {
    try {
      const bytes = (this.#options.read ?? readFileSync)(this.#path)
      return { hash: hashBytes(bytes), bytes }
    } catch (error) {
      return { hash: undefined, problem: (error as NodeJS.ErrnoException).code ?? messageOf(error) }
    }
  }

  #report(content: Content): void {
    const file = basename(this.#path)
    let loaded: LoadedRoutes
    try {
      if (content.hash === undefined)
        throw new UnderstudyError('BAD_CONFIGURATION', `${file}:1:1 expected a readable file (${content.problem})`)
      const text = decodeRoutes(content.bytes, file)
      loaded = { config: parseRoutes(text, this.#path, this.#options.env), text, hash: content.hash }
    } catch (error) {
      const problem =
        error instanceof UnderstudyError
          ? error
          : new UnderstudyError('BAD_CONFIGURATION', messageOf(error), { cause: error })
      this.#options.onInvalid(problem, content.hash)
      return
    }
    this.#options.onChange(loaded)
  }
}

function watchFolder(folder: string, onEvent: () => void, onError: () => void): { close(): void } {
  const watcher: FSWatcher = watch(folder, { persistent: false }, onEvent)
  watcher.on('error', onError)
  return watcher
}
