import { CODECS } from '../../src/protocols/codecs.ts'
import { protocolContract } from './protocol.ts'

for (const codec of Object.values(CODECS)) protocolContract(codec)
