// The commands `models add`, `models ls` and `models verify`.
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { regexName, semverString } from '../config/units.ts'
import { messageOf } from '../errors.ts'
import { readModelFolder } from '../models/source.ts'
import { printable, styleFor, table } from '../report/table.ts'
import { type AddedModel, addModel } from './addModel.ts'
import type { CommandContext } from './context.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { jsonText, type Terminal } from './terminal.ts'
import { verifyFolders } from './verify.ts'

interface ModelsOptions {
  readonly models: string
  readonly json?: boolean
}

interface AddOptions extends ModelsOptions {
  readonly name: string
  readonly version: string
  readonly samples?: string
  readonly dryRun?: boolean
}

export const MODELS_VERSION = 1

export function addModels(program: Command, { terminal, exit }: CommandContext): void {
  const models = program.command('models').summary('add, list and verify embedded models')

  models
    .command('add')
    .summary('add an ONNX file of your own as a version')
    .description(
      'Copies an ONNX file to MODELS/NAME/VERSION/model.onnx and writes its manifest, model.yaml: sha256, inputs and outputs as the model declares them, and golden vectors, which a gateway must reproduce before the version takes traffic. They are computed from your samples, or from made-up inputs when there are none. Then prints what to add to routes.yaml.\n\nA sample is a line of JSON, either a V2 request {"inputs":[{"name","shape","datatype","data"}]} or {"input name": value or array, …}.',
    )
    .argument('<file>', 'the ONNX file')
    .requiredOption('--name <name>', 'model name', parseName)
    .requiredOption('--version <version>', 'semantic version, such as 1.0.0', parseVersion)
    .option('--samples <rows.jsonl>', 'real inputs, a line of JSON each')
    .option('--models <dir>', 'folder of the models', './models')
    .option('--dry-run', 'do everything but keep the result')
    .option('--json', 'print JSON')
    .action(async (file: string, options: AddOptions) => {
      const { name, version, samples, models: root, dryRun } = options
      const added = await addModel({
        file,
        root,
        name,
        version,
        samples,
        dryRun: dryRun === true,
        progress: terminal.err,
      })
      terminal.out(options.json === true ? jsonText({ modelsVersion: MODELS_VERSION, ...added }) : addedText(added))
    })

  withFolder(models.command('ls').summary('list the models of a folder')).action((options: ModelsOptions) =>
    list(options, terminal),
  )

  withFolder(
    models
      .command('verify')
      .summary('check models against their manifests')
      .description('Loads each model and checks its sha256, its signature and that it reproduces its golden vectors.')
      .argument('[name/version...]', 'which ones; all by default'),
  ).action(async (wanted: string[], options: ModelsOptions) => {
    const isSound = await verify(wanted, options, terminal)
    if (!isSound) exit(EXIT.usage)
  })
}

function withFolder(command: Command): Command {
  return command.option('--models <dir>', 'folder of the models', './models').option('--json', 'print JSON')
}

function addedText({ name, version, folder, sha256, vectors, synthetic, dryRun, routes }: AddedModel): string {
  const what = `${name} ${version}: ${vectors} golden ${vectors === 1 ? 'vector' : 'vectors'} from ${synthetic ? 'made-up inputs' : 'your samples'}, sha256 ${sha256.slice(0, 12)}`
  return [
    dryRun ? `# dry run, nothing is kept: ${what}` : `# ${what}; kept in ${printable(folder)}`,
    '# Add to routes.yaml (a new route; beside a live version write only the line of this version, with `shadow: 100`',
    '# in place of `weight: 100`, and it is tried in the shadow first):',
    routes,
  ].join('\n')
}

async function list(options: ModelsOptions, terminal: Terminal): Promise<void> {
  const models = await Promise.all(
    (await foldersOf(options.models)).map(async folder => {
      try {
        const { manifest, sha256 } = await readModelFolder(options.models, folder)
        return {
          folder,
          name: manifest.name,
          version: manifest.version,
          sha256,
          description: manifest.description,
          fault: undefined,
        }
      } catch (error) {
        return {
          folder,
          name: undefined,
          version: undefined,
          sha256: undefined,
          description: '',
          fault: messageOf(error),
        }
      }
    }),
  )
  if (options.json === true) {
    terminal.out(jsonText({ modelsVersion: MODELS_VERSION, models }))
    return
  }
  if (models.length === 0) {
    terminal.err('there are no models here; `understudy models add` adds one\n')
    return
  }
  const style = styleFor(terminal.colour)
  const rows = models.map(({ folder, sha256, description, fault }) => [
    printable(folder),
    sha256?.slice(0, 12) ?? '',
    fault === undefined ? printable(description) : { text: printable(fault), paint: style.bad },
  ])
  terminal.out(`${table(rows, { head: ['model', 'sha256', 'description'], style })}\n`)
}

/** Whether all are sound. */
async function verify(wanted: readonly string[], options: ModelsOptions, terminal: Terminal): Promise<boolean> {
  const known = await foldersOf(options.models)
  const folders = known.filter(
    folder => wanted.length === 0 || wanted.some(name => folder === name || folder.startsWith(`${name}/`)),
  )
  const unknown = wanted.filter(name => !folders.some(folder => folder === name || folder.startsWith(`${name}/`)))
  if (unknown.length > 0)
    throw new CommandFailure(
      EXIT.usage,
      `no such model: ${unknown.join(', ')}${known.length > 0 ? `; there are ${known.join(', ')}` : ''}`,
    )
  const faults = await verifyFolders(options.models, folders)
  if (options.json === true) {
    const models = folders.map(folder => ({ folder, fault: faults.get(folder) }))
    terminal.out(jsonText({ modelsVersion: MODELS_VERSION, sound: faults.size === 0, models }))
  } else {
    for (const folder of folders) if (!faults.has(folder)) terminal.out(`${printable(folder)} is sound\n`)
    for (const fault of faults.values()) terminal.err(`${printable(fault)}\n`)
  }
  return faults.size === 0
}

/** `NAME/VERSION` of every folder with a manifest, in order. */
async function foldersOf(root: string): Promise<string[]> {
  const base = resolve(root)
  const names = await readdir(base, { withFileTypes: true }).catch(error => {
    const code = (error as NodeJS.ErrnoException).code ?? messageOf(error)
    throw new CommandFailure(EXIT.usage, `the models folder ${root} cannot be read (${code})`)
  })
  const folders: string[] = []
  for (const name of names.filter(entry => entry.isDirectory() && !entry.name.startsWith('.'))) {
    for (const version of await readdir(join(base, name.name), { withFileTypes: true })) {
      const manifest = join(base, name.name, version.name, 'model.yaml')
      if (version.isDirectory() && !version.name.startsWith('.') && (await exists(manifest)))
        folders.push(`${name.name}/${version.name}`)
    }
  }
  return folders.sort()
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}

function parseName(text: string): string {
  if (!regexName.safeParse(text).success)
    throw new InvalidArgumentError('Expected a name of letters, digits, dots, dashes and underscores.')
  return text
}

function parseVersion(text: string): string {
  if (!semverString.safeParse(text).success)
    throw new InvalidArgumentError('Expected a semantic version such as 1.4.0 or 1.4.0-rc.1.')
  return text
}
