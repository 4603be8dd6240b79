// A model server whose answer follows from the bytes of the request, so that a mixed-up or changed answer is seen, and that
// takes a set time. The first argument names its version, the second is that time in milliseconds, 0 for at once.
import { crc32 } from 'node:zlib'
import { rowsOf } from './rows.ts'
import { serveUntilParentEnds } from './server.ts'

const [version = '1.0.0', delay = '0'] = process.argv.slice(2)
const delayMs = Number(delay)

serveUntilParentEnds((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const answer = answerTo(chunks)
    const send = () => {
      response.writeHead(200, ['content-type', 'application/json', 'content-length', String(answer.length)])
      response.end(answer)
    }
    if (delayMs === 0) send()
    else setTimeout(send, delayMs)
  })
})

function answerTo(chunks: readonly Buffer[]): string {
  const probability = chunks.reduce((sum, chunk) => crc32(chunk, sum), 0) / 2 ** 32
  const rows = rowsOf(chunks)
  const data = new Array<string>(rows).fill(`${1 - probability},${probability}`).join()
  const tensor = `{"name":"probability","datatype":"FP32","shape":[${rows},2],"data":[${data}]}`
  return `{"model_name":"m","model_version":"${version}","outputs":[${tensor}]}`
}
