import { openMemoryStore } from '../../src/state/memory.ts'
import { describeStore } from '../contract/store.ts'

describeStore('memory', openMemoryStore)
