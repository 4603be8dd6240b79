// What V8 is told of the heaps of the threads. Young objects are those that a request leaves behind.
import { setFlagsFromString } from 'node:v8'

// MB. 32 for young objects: with the default of 16 a serving thread spends 6 % more on collecting them, measured.
export const SERVING_LIMITS = { maxYoungGenerationSizeMb: 32, maxOldGenerationSizeMb: 2048 }
export const SHADOW_LIMITS = { maxYoungGenerationSizeMb: 64, maxOldGenerationSizeMb: 2048 }

/**
 * Each half of the room for young objects. V8 begins with 1 MB, and goes back to it when a thread had a quiet time; under a
 * light load it then stays there, with a collection every hundred requests: 3 to 7 % of a serving thread's time, measured.
 */
const LEAST_SEMI_SPACE_MB = 4

/** The first of Node whose V8 can be told so; others print an error of what they do not know. */
const LIMITS_ARE_SETTABLE = Number(process.versions.node.split('.')[0]) >= 26

/**
 * V8 uses quiet times for full collections, to make heaps smaller. Optimized code holds the shapes of objects weakly: where
 * no request is under way, those of requests go, and with them the code of the whole path, two hundred functions at once.
 * It takes some fifty thousand requests until all is compiled again, and after such a pause the first two thousand cost up to
 * twice as much, measured. To keep it costs some tens of megabytes.
 */
export const HEAP_FLAGS: readonly string[] = [
  `--min-semi-space-size=${LEAST_SEMI_SPACE_MB}`,
  '--no-memory-reducer',
  // Under a light load V8 else lowers what a heap may grow to until the next full collection.
  ...(LIMITS_ARE_SETTABLE ? ['--no-scavenger-updates-allocation-limit'] : []),
]

/** For threads that are started from here on: V8 knows no such settings of one thread. */
export function setHeapFlags(): void {
  for (const flag of HEAP_FLAGS) setFlagsFromString(flag)
}
