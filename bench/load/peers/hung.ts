// A model server that accepts every request and never answers.
import { serveUntilParentEnds } from './server.ts'

serveUntilParentEnds(request => request.resume())
