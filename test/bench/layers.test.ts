import { expect, it } from 'vitest'
import { layerOf } from '../../bench/load/layersTable.ts'

const JIT = '[JIT] tid 7'

it.each([
  ['kernel', 'serving-1', '[kernel.kallsyms]', '[k] tcp_sendmsg_locked'],
  ['kernel', 'node-V8Worker', '[kernel.kallsyms]', '[k] futex_wake'],
  ['helpers', 'node-V8Worker', 'node', '[.] v8::internal::ConcurrentMarking::RunMajor'],
  ['builtins', 'serving-1', 'node', '[.] Builtins_KeyedLoadIC_Megamorphic'],
  ['runtime', 'serving-1', 'node', '[.] v8::internal::Factory::AllocateRaw'],
  ['libraries', 'serving-1', 'node', '[.] uv__io_poll'],
  ['libraries', 'serving-1', 'node', '[.] node::StreamBase::Writev'],
  ['libraries', 'shadow', 'libc.so.6', '[.] malloc'],
  ['own', 'serving-1', JIT, "[.] JS:*'account file:///somewhere/src/serving/account.ts:107:24"],
  ['own', 'shadow', JIT, '[.] JS:+get /somewhere/node_modules/lru-cache/dist/index.js:1:1'],
  ['undici', 'serving-1', JIT, '[.] JS:*writeH1 /somewhere/node_modules/undici/lib/dispatcher/client-h1.js:1203:18'],
  ['undici', 'serving-1', JIT, '[.] JS:wasm-function[20]-20-turbofan'],
  ['node', 'serving-1', JIT, '[.] JS:*Readable.read node:internal/streams/readable:669:35'],
  ['regexp', 'serving-1', JIT, "[.] RegExp.< src: '[^\\t\\x20-\\x7e\\x80-\\xff]' flags: ''"],
])('%s is the layer of a sample in %s, %s: %s', (layer, thread, object, symbol) => {
  expect(layerOf({ thread, object, symbol })).toBe(layer)
})
