// Runs a client written in Python against a server and gives back what it printed; judges nothing.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Peers } from './place.ts'

const CLIENT_MS = 120_000

/** What a script beside this file prints as JSON. @throws what it wrote to stderr when it fails */
// biome-ignore lint/suspicious/noExplicitAny: an answer is looked into by tests
export function runPython(peers: Peers, script: string, args: readonly string[]): Promise<any> {
  const file = fileURLToPath(new URL(script, import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(peers.python, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: CLIENT_MS })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk))
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(out))
      else reject(new Error(`${script} ended with ${code ?? signal}: ${err}`))
    })
  })
}
