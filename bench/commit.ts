// Names the code that was measured.
import { execFileSync } from 'node:child_process'

/** The commit's first digits, and whether src/ differs from it. */
export function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
    const dirty = git('status', '--porcelain', '--', 'src') === '' ? '' : ' with changes'
    return `${git('rev-parse', 'HEAD').slice(0, 12)}${dirty}`
  } catch {
    return 'unknown'
  }
}
