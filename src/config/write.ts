// Replaces routes.yaml as a whole: readers see the old file or the new one, also after a power cut.
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Why a file could not be replaced; undefined: as far as can be told without doing it, it could. */
export function whyUnwritable(path: string): string | undefined {
  try {
    const target = realpathSync(path)
    accessSync(target, constants.W_OK)
    accessSync(dirname(target), constants.W_OK)
    return undefined
  } catch (error) {
    return `${basename(path)} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'unreadable'})`
  }
}

/**
 * Writes by a temporary file in the same folder, fsync and rename. A symlink stays: what it points to is replaced. The
 * file's mode is kept. @throws the file system's error (EROFS, EACCES, ENOSPC); the old file is then untouched.
 */
export function writeAtomically(path: string, text: string): void {
  const target = realpathSync(path)
  const folder = dirname(target)
  const temporary = join(folder, `.${basename(target)}.${randomUUID()}`)
  const { mode } = statSync(target)
  // A file that is read-only on purpose is not replaced, though its folder would allow it.
  closeSync(openSync(target, 'r+'))
  try {
    const file = openSync(temporary, 'wx', mode & 0o777)
    try {
      const bytes = Buffer.from(text, 'utf8')
      for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
      fchmodSync(file, mode & 0o777)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  const directory = openSync(folder, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
