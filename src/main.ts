#!/usr/bin/env node
// The process entry. The exit code is set and never enforced: process.exit would abort while an ONNX session lives.
import { run } from './cli/program.ts'
import { processTerminal } from './cli/terminal.ts'

process.exitCode = await run(process.argv.slice(2), processTerminal())
