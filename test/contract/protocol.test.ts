import { mlflow } from '../../src/protocols/mlflow.ts'
import { v1 } from '../../src/protocols/tensorflow.ts'
import { protocolContract } from './protocol.ts'

protocolContract(v1)
protocolContract(mlflow)
