// The command `validate`: everything that is wrong with a routes file and with the models that it names.
import { basename, dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { readDocument } from '../config/document.ts'
import { type LoadedRoutes, loadRoutes } from '../config/load.ts'
import { noticesOfRoute } from '../config/notices.ts'
import type { RoutesFile } from '../config/schema.ts'
import { messageOf, UnderstudyError } from '../errors.ts'
import type { CommandContext } from './context.ts'
import { EXIT } from './exit.ts'
import { jsonText, type Terminal } from './terminal.ts'
import { verifyFolders } from './verify.ts'

interface ValidateOptions {
  readonly routes: string
  readonly models: boolean
  readonly json?: boolean
}

interface Problem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly message: string
}

export const VALIDATION_VERSION = 1

export function addValidate(program: Command, { terminal, exit }: CommandContext): void {
  program
    .command('validate')
    .summary('check a routes file and the models that it names')
    .description(
      'Says everything that is wrong, with file:line:column, and ends with exit code 2; or prints a summary.\nThe model of each onnx version must have the sha256 and the signature that its manifest says, and reproduce its golden vectors.',
    )
    .argument('[file]', 'the routes file, as --routes')
    .option('--routes <file>', 'the routes file', './routes.yaml')
    .option('--no-models', 'look at the file only')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, options: ValidateOptions) => {
      const problems = await validate({ ...options, routes: file ?? options.routes }, terminal)
      if (problems) exit(EXIT.usage)
    })
}

/** Whether there are problems. */
async function validate(options: ValidateOptions, terminal: Terminal): Promise<boolean> {
  const name = basename(options.routes)
  let loaded: LoadedRoutes
  try {
    loaded = loadRoutes(options.routes)
  } catch (error) {
    if (!(error instanceof UnderstudyError)) throw error
    report(error.message.split('\n').map(problemOf), undefined, options, terminal)
    return true
  }
  const problems = options.models ? await modelProblems(loaded, options.routes, name) : []
  report(problems, loaded.config, options, terminal)
  return problems.length > 0
}

/** Problems of the `onnx` versions, where they are named. */
async function modelProblems({ config, text }: LoadedRoutes, file: string, name: string): Promise<Problem[]> {
  const root = resolve(dirname(file), config.models)
  const document = readDocument(text, file, process.env)
  const versions = Object.entries(config.routes).flatMap(([route, { versions }]) =>
    Object.entries(versions).flatMap(([version, { onnx }]) => (onnx === undefined ? [] : [{ route, version, onnx }])),
  )
  const faults = await verifyFolders(root, [...new Set(versions.map(({ onnx }) => onnx))])
  return versions.flatMap(({ route, version, onnx }) => {
    const fault = faults.get(onnx)
    if (fault === undefined) return []
    const place = document.position(document.at(['routes', route, 'versions', version, 'onnx'], 'value'))
    return [{ file: name, ...place, message: `version ${version} of ${route}: ${fault}` }]
  })
}

function report(
  problems: readonly Problem[],
  config: RoutesFile | undefined,
  options: ValidateOptions,
  terminal: Terminal,
): void {
  if (options.json === true) {
    const valid = problems.length === 0
    const routes = config === undefined ? [] : summaryOf(config)
    const notices = config === undefined ? [] : noticesOf(config)
    terminal.out(jsonText({ validationVersion: VALIDATION_VERSION, valid, problems, notices, routes }))
    return
  }
  for (const { file, line, column, message } of problems) terminal.err(`${file}:${line}:${column} ${message}\n`)
  if (problems.length > 0 || config === undefined) return
  const lines = summaryOf(config).map(({ name, live, versions }) => {
    const parts = versions.map(({ version, weight, shadow }) =>
      [version, weight > 0 ? `${weight} %` : '', shadow > 0 ? `shadow ${shadow} %` : ''].filter(Boolean).join(' '),
    )
    return `${name}: live ${live}; ${parts.join(', ')}\n`
  })
  for (const { route, message } of noticesOf(config)) terminal.err(`note on ${route}: ${message}\n`)
  const models = options.models ? '' : ' (models not looked at)'
  terminal.out(`${basename(options.routes)} is valid${models}\n${lines.join('')}`)
}

/** What is valid and yet worth a look. */
function noticesOf(config: RoutesFile): { readonly route: string; readonly message: string }[] {
  const now = Date.now()
  return Object.entries(config.routes).flatMap(([name, route]) =>
    noticesOfRoute(route, now).map(message => ({ route: name, message })),
  )
}

function summaryOf(config: RoutesFile) {
  return Object.entries(config.routes).map(([name, { live, versions }]) => ({
    name,
    live,
    versions: Object.entries(versions).map(([version, { weight, shadow }]) => ({
      version,
      weight,
      shadow: shadow.percent,
    })),
  }))
}

/** `routes.yaml:14:7 expected …` → its parts. */
function problemOf(line: string): Problem {
  const parts = /^(.*?):(\d+):(\d+) (.*)$/s.exec(line)
  if (parts === null) return { file: '', line: 1, column: 1, message: messageOf(line) }
  const [, file, row, column, message] = parts as unknown as [string, string, string, string, string]
  return { file, line: Number(row), column: Number(column), message }
}
