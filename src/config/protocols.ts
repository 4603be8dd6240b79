// The wire protocols by name. On its own, so that a serving thread loads no schema.

/**
 * Wire protocols. `v2`: Open Inference Protocol; `v1`: TensorFlow Serving and KServe V1; `mlflow`: its scoring server;
 * `json`: whatever else, passed through and compared by JSON pointer.
 */
export const PROTOCOLS = ['v2', 'v1', 'mlflow', 'json'] as const
export type Protocol = (typeof PROTOCOLS)[number]
