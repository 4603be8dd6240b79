// A gateway process of the benchmark: what `understudy serve` starts, but ended when its parent ends, so that no run
// leaves one behind. Arguments: routes file, state folder, serving threads (1). Prints `{"port":…,"adminPort":…}`.
import { startGateway } from '../../../src/gateway.ts'
import { createLogger } from '../../../src/telemetry/log.ts'

const [routesFile, stateDir, threads = '1'] = process.argv.slice(2)
const gateway = await startGateway({
  routesFile: routesFile!,
  stateDir: stateDir!,
  listen: '127.0.0.1:0',
  admin: '127.0.0.1:0',
  threads: Number(threads),
  log: createLogger({ level: 'error' }),
})
process.stdout.write(`${JSON.stringify({ port: gateway.dataPort, adminPort: gateway.adminPort })}\n`)
// Nothing calls process.exit: onnxruntime aborts a process that does while a session lives.
process.stdin.on('end', () => void gateway.stop())
process.stdin.resume()
