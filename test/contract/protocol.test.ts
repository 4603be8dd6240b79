import { CODECS } from '../../src/protocols/codecs.ts'
import { protocolContract } from './protocol.ts'

// FP16 is carried by V2's raw tensors alone, which have tests of their own.
for (const codec of Object.values(CODECS)) protocolContract(codec, codec.protocol === 'v2' ? ['FP16'] : [])
