// What a model folder says of itself (model.yaml), and nothing about who serves it.
import { z } from 'zod'
import { DATATYPES } from '../protocols/tensor.ts'

const notGiven = z.string().default('not given')

/** One tensor of a signature. A dimension of −1 is dynamic; the first is the batch where it is dynamic. */
const TensorSpec = z.strictObject({
  name: z.string().min(1),
  datatype: z.enum(DATATYPES),
  shape: z.array(z.int().min(-1)),
})

const GoldenTensor = z.strictObject({
  name: z.string(),
  datatype: z.enum(DATATYPES),
  shape: z.array(z.int().min(0)),
  data: z.array(z.union([z.number(), z.string(), z.boolean()])),
})

const FeatureProfile = z.union([
  z.strictObject({
    name: z.string(),
    kind: z.literal('numeric'),
    min: z.number(),
    max: z.number(),
    mean: z.number().optional(),
    /** Values at probabilities 0, 0.1, … 1. */
    quantiles: z.array(z.number()),
  }),
  z.strictObject({
    name: z.string(),
    kind: z.literal('categorical'),
    categories: z.array(z.strictObject({ value: z.union([z.string(), z.number()]), share: z.number() })),
  }),
])

const Metrics = z.record(z.string(), z.number())

/** The manifest of one model version: `models/<name>/<version>/model.yaml`. */
export const Manifest = z.strictObject({
  name: z.string().min(1),
  version: z.string().min(1),
  description: z.string().default(''),
  file: z.string().default('model.onnx'),
  /** Lower-case hexadecimal sha256 of the model file's bytes. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  signature: z.strictObject({ inputs: z.array(TensorSpec).min(1), outputs: z.array(TensorSpec).min(1) }),
  provenance: z
    .strictObject({
      dataset: z
        .strictObject({ name: notGiven, version: notGiven, origin: notGiven, sha256: notGiven, split: notGiven })
        .prefault({}),
      code: z
        .strictObject({
          revision: notGiven,
          command: notGiven,
          seed: z.union([z.int(), z.string()]).default('not given'),
        })
        .prefault({}),
      frameworks: z.record(z.string(), z.string()).default({}),
    })
    .prefault({}),
  profile: z.strictObject({ rows: z.int().min(0), features: z.array(FeatureProfile) }).optional(),
  metrics: z
    .strictObject({
      dataset: z.string(),
      rows: z.int(),
      overall: Metrics,
      slices: z.array(z.strictObject({ name: z.string(), rows: z.int(), metrics: Metrics })).default([]),
    })
    .optional(),
  golden: z.strictObject({
    tolerance: z.strictObject({ absolute: z.number().min(0), relative: z.number().min(0) }),
    vectors: z.array(z.strictObject({ inputs: z.array(GoldenTensor), outputs: z.array(GoldenTensor) })).min(1),
  }),
})
export type Manifest = z.infer<typeof Manifest>
export type TensorSpec = z.infer<typeof TensorSpec>
