import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeAtomically } from '../../src/config/write.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-write-'))
  file = join(folder, 'routes.yaml')
  writeFileSync(file, 'old')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('replaces the file as a whole, keeps its mode and leaves nothing else behind', () => {
  chmodSync(file, 0o640)
  const { ino } = statSync(file)
  writeAtomically(file, 'new ✓')
  expect(readFileSync(file, 'utf8')).toBe('new ✓')
  expect(statSync(file).mode & 0o777).toBe(0o640)
  expect(statSync(file).ino).not.toBe(ino)
  expect(readdirSync(folder)).toEqual(['routes.yaml'])
})

test('keeps a symlink and replaces what it points to', () => {
  mkdirSync(join(folder, 'real'))
  writeFileSync(join(folder, 'real', 'routes.yaml'), 'old')
  rmSync(file)
  symlinkSync(join('real', 'routes.yaml'), file)
  writeAtomically(file, 'new')
  expect(lstatSync(file).isSymbolicLink()).toBe(true)
  expect(readFileSync(join(folder, 'real', 'routes.yaml'), 'utf8')).toBe('new')
})

test('throws for a file that is not there, and creates none', () => {
  rmSync(file)
  expect(() => writeAtomically(file, 'new')).toThrow(/ENOENT/)
  expect(readdirSync(folder)).toEqual([])
})

test.skipIf(process.getuid?.() === 0)('refuses a file that is read-only on purpose, and leaves it', () => {
  chmodSync(file, 0o400)
  expect(() => writeAtomically(file, 'new')).toThrow(/EACCES/)
  expect(readFileSync(file, 'utf8')).toBe('old')
})
