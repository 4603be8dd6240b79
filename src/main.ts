#!/usr/bin/env node
// The process entry. The exit code is set and never enforced: process.exit would abort while an ONNX session lives.
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { fitToProcessors } from './cli/oneProcessor.ts'
import { processTerminal } from './cli/terminal.ts'

if (process.argv[2] === 'serve') fitToProcessors()

// Types are stripped and code is compiled once, and not at every start in every thread, where what strips them would stay in
// memory (4 MB) and be marked by every collection. Threads and scoring processes inherit the variable. Beside the code and
// not in a folder that others may write to; where it cannot be written everything works as without.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))
enableCompileCache()
const { run } = await import('./cli/program.ts')

process.exitCode = await run(process.argv.slice(2), processTerminal())
