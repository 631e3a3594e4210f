import { createHmac, timingSafeEqual } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import express from 'express'

/**
 * The peer of the webhook: express, a check of the signature over the raw body, and one durable SQLite commit a
 * delivery. Run as a process of its own with `{port, secret, file}` as JSON.
 */

const { port, secret, file } = JSON.parse(process.argv[2] ?? '') as { port: number; secret: string; file: string }
const database = new DatabaseSync(file)
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
database.exec('create table deliveries (id text primary key, event text, ref text, commit_id text, received integer)')
const insert = database.prepare('insert into deliveries values (?, ?, ?, ?, ?)')

const app = express()
app.post('/', express.raw({ type: 'application/json', limit: '25mb' }), (request, response) => {
  const body = request.body as Buffer
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`)
  const given = Buffer.from(request.get('x-hub-signature-256') ?? '')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return void response.sendStatus(401)
  const push = JSON.parse(body.toString()) as { ref: string; after: string }
  const id = request.get('x-github-delivery') ?? ''
  insert.run(id, request.get('x-github-event') ?? '', push.ref, push.after, Date.now())
  response.sendStatus(202)
})
app.listen(port, '127.0.0.1', () => console.log('listening'))
