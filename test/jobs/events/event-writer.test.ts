import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Event } from '../../../common/events.ts'
import { Event as EventSchema } from '../../../common/events.ts'
import type { Database } from '../../../service/database/database.ts'
import { lastEnd, readEvents } from '../../../service/database/events.ts'
import { EventsNotStored } from '../../../service/jobs/events/event-batches.ts'
import {
  createEventWriter,
  type EventWriter,
  type EventWriterOptions,
} from '../../../service/jobs/events/event-writer.ts'
import { SecretMask } from '../../../service/secrets/mask.ts'
import { temporaryDatabase } from '../../support/database.ts'

interface Writing {
  database: Database
  writer: EventWriter
  /** What was reported. */
  reports: string[]
  read(stream?: string): Promise<Event[]>
}

async function start(t: TestContext, options: Partial<EventWriterOptions> = {}): Promise<Writing> {
  const reports: string[] = []
  // Closed before the database: hooks run in the order in which they were made.
  let writer: EventWriter | undefined
  t.after(() => writer?.close())
  const database = await temporaryDatabase(t)
  writer = createEventWriter({ database, report: (message) => reports.push(message), ...options })
  const read = async (stream = 'run_1') =>
    (await readEvents(database.events, stream, 0, 100_000)).map(({ seq, event }) =>
      EventSchema.parse({ seq, ...JSON.parse(event) }),
    )
  return { database, writer, reports, read }
}

function bytesOf(events: Event[], stream: 'stdout' | 'stderr' = 'stdout'): Buffer {
  return Buffer.concat(
    events.flatMap((event) => {
      if (event.kind !== 'log' || event.stream !== stream) return []
      return [event.text !== undefined ? Buffer.from(event.text) : Buffer.from(event.base64 ?? '', 'base64')]
    }),
  )
}

/** Waits until a stream was written to. */
function heard(database: Database, stream = 'run_1'): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = database.subscribe(`events:${stream}`, resolve)
  return promise.finally(stop)
}

test('events come in the order in which they were added, numbered from 1, each stream by itself', async (t) => {
  const { writer, read } = await start(t)
  for (let count = 0; count < 300; count++) void writer.append(`run_${count % 3}`, { kind: 'note', text: `${count}` })
  await writer.flush()
  for (const stream of [0, 1, 2]) {
    const events = await read(`run_${stream}`)
    assert.deepEqual(
      events.map((event) => [event.seq, event.kind === 'note' && event.text]),
      Array.from({ length: 100 }, (_, index) => [index + 1, `${index * 3 + stream}`]),
    )
  }
})

test('output and events keep their order; output that follows upon itself is one event', async (t) => {
  const { writer, read } = await start(t)
  void writer.log('run_1', 'stdout', Buffer.from('a'), 1000)
  void writer.log('run_1', 'stdout', Buffer.from('b'), 2000)
  void writer.log('run_1', 'stderr', Buffer.from('c'), 3000)
  void writer.append('run_1', { kind: 'note', text: 'd' })
  void writer.log('run_1', 'stdout', Buffer.from('e'), 4000)
  await writer.flush()
  const events = await read()
  assert.deepEqual(
    events.map((event) => ('text' in event ? event.text : event.kind)),
    ['ab', 'c', 'd', 'e'],
  )
  assert.equal(events[0]?.time, '1970-01-01T00:00:01.000Z')
})

test('numbers go on after a restart', async (t) => {
  const { database, writer, read } = await start(t)
  void writer.append('run_1', { kind: 'note', text: 'before' })
  await writer.close()
  const next = createEventWriter({ database, report: assert.fail })
  void next.append('run_1', { kind: 'note', text: 'after' })
  await next.close()
  assert.deepEqual(
    (await read()).map(({ seq }) => seq),
    [1, 2],
  )
})

test('the first event of a quiet stream is stored at once, not with the next batch', async (t) => {
  // Time stands still: what waits for a timer never comes.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { database, writer, read } = await start(t)
  const told = heard(database)
  void writer.append('run_1', { kind: 'note', text: 'a' })
  await told
  const again = heard(database)
  void writer.log('run_1', 'stdout', Buffer.from('b'))
  await again
  assert.equal((await read()).length, 2)
})

test('a busy stream is stored in batches, and much at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { database, writer, read } = await start(t)
  // Until its burst is used up.
  for (let stored = -1; stored !== (await read()).length; ) {
    stored = (await read()).length
    void writer.append('run_1', { kind: 'note', text: 'x' })
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const waiting = (await read()).length
  const told = heard(database)
  t.mock.timers.tick(50)
  await told
  assert.equal((await read()).length, waiting + 1)
  const much = heard(database)
  void writer.log('run_1', 'stdout', Buffer.alloc(300_000, 'x'))
  await much
  assert.equal(bytesOf(await read()).length, 300_000)
})

test('any output comes out byte for byte, from both streams', async (t) => {
  const { writer, read } = await start(t)
  const chunk = fc.record({
    fd: fc.constantFrom('stdout', 'stderr'),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text)),
      fc.constantFrom(Buffer.from([0xe2]), Buffer.from([0x82]), Buffer.from([0xac])),
    ),
  })
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 30 }), async (chunks) => {
      const stream = `run_p${run++}`
      for (const { fd, bytes } of chunks) void writer.log(stream, fd, bytes)
      await writer.flush(stream)
      const events = await read(stream)
      for (const fd of ['stdout', 'stderr'] as const) {
        const expected = Buffer.concat(chunks.filter((each) => each.fd === fd).map(({ bytes }) => bytes))
        assert.ok(bytesOf(events, fd).equals(expected))
      }
    }),
    { numRuns: 100 },
  )
})

test('a character that is cut is joined; one that stays half is told after a while', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { database, writer, read } = await start(t)
  const euro = Buffer.from('€')
  const first = heard(database)
  void writer.log('run_1', 'stdout', Buffer.concat([Buffer.from('1 '), euro.subarray(0, 1)]))
  await first
  const second = heard(database)
  void writer.log('run_1', 'stdout', Buffer.concat([euro.subarray(1), euro.subarray(0, 2)]))
  await second
  const third = heard(database)
  t.mock.timers.tick(50)
  await third
  assert.deepEqual(
    (await read()).map((event) => event.kind === 'log' && (event.text ?? event.base64)),
    ['1 ', '€', euro.subarray(0, 2).toString('base64')],
  )
})

test('secrets are masked in output, across its pieces, and in events', async (t) => {
  const mask = new SecretMask()
  mask.add('hunter2')
  const { writer, read } = await start(t, { mask })
  void writer.log('run_1', 'stdout', Buffer.from('password: hun'))
  await new Promise((resolve) => setImmediate(resolve))
  void writer.log('run_1', 'stdout', Buffer.from('ter2\n'))
  void writer.log('run_1', 'stderr', Buffer.from([0xff, ...Buffer.from('hunter2')]))
  void writer.append('run_1', { kind: 'note', text: 'it is hunter2' })
  void writer.append('run_1', { kind: 'result', value: { hunter2: ['hunter2'] } })
  await writer.flush()
  const events = await read()
  assert.equal(String(bytesOf(events)), 'password: ***\n')
  assert.ok(bytesOf(events, 'stderr').equals(Buffer.from([0xff, ...Buffer.from('***')])))
  assert.ok(!JSON.stringify(events).includes('hunter2'))
})

test('what is held back comes before the event that ends a stream', async (t) => {
  const mask = new SecretMask()
  mask.add('hunter2')
  const { writer, read } = await start(t, { mask })
  void writer.log('run_1', 'stdout', Buffer.from('I hunt'))
  void writer.append('run_1', { kind: 'state', state: 'finished', outcome: 'ok' })
  await writer.flush()
  const events = await read()
  assert.equal(String(bytesOf(events)), 'I hunt')
  assert.equal(events.at(-1)?.kind, 'state')
})

test('a mark is reached when nothing before it is held back, and is where a reader resumes', async (t) => {
  const { database, writer } = await start(t)
  const reached: number[] = []
  const mark = (end: number) => ({ end, stored: () => reached.push(end) })
  const euro = Buffer.from('€')
  void writer.log('run_1', 'stdout', Buffer.from('a'), 0, mark(1))
  void writer.log('run_1', 'stdout', euro.subarray(0, 2), 0, mark(3))
  // Held back on the one stream: a mark on the other must wait, or a crash would lose the half.
  void writer.log('run_1', 'stderr', Buffer.from('b'), 0, mark(4))
  const told = heard(database)
  await told
  assert.deepEqual(reached, [])
  assert.equal(await lastEnd(database.events, 'run_1'), 0)
  void writer.log('run_1', 'stdout', euro.subarray(2), 0, mark(5))
  await heard(database)
  assert.deepEqual(reached, [5])
  assert.equal(await lastEnd(database.events, 'run_1'), 5)
  // Users may print and return what looks like one.
  void writer.log('run_1', 'stdout', Buffer.from('{"kind":"log","end":77}'))
  void writer.append('run_1', { kind: 'result', value: { end: 99, kind: 'log' } })
  await writer.flush()
  assert.equal(await lastEnd(database.events, 'run_1'), 5)
})

test('output beyond the limit is counted, acknowledged and not kept', async (t) => {
  const { writer, read } = await start(t, { mostLogBytes: 10 })
  const reached: number[] = []
  const log = (text: string, end: number) =>
    writer.log('run_1', 'stdout', Buffer.from(text), 0, { end, stored: () => reached.push(end) })
  void log('12345678', 8)
  void log('90abcdef', 16)
  await writer.flush()
  void log('more', 20)
  await writer.flush()
  const events = await read()
  assert.equal(String(bytesOf(events)), '1234567890')
  const dropped = events.flatMap((event) => (event.kind === 'gap' ? [event.bytes] : []))
  assert.deepEqual(dropped, [6, 4])
  assert.ok(events.some((event) => event.kind === 'note' && event.text.includes('10 bytes')))
  assert.deepEqual(reached, [16, 20])
})

test('whoever adds too much at once has to wait until it is stored', async (t) => {
  const { writer, read } = await start(t)
  const piece = Buffer.alloc(1_000_000, 'x')
  const waits: Promise<string>[] = []
  for (let count = 0; count < 10; count++) waits.push(writer.log('run_1', 'stdout', piece).then(() => 'done'))
  assert.equal(await Promise.race([waits[0], 'waiting']), 'waiting')
  const settled = async (wait: Promise<string>) => (await Promise.race([wait, Promise.resolve('waiting')])) === 'done'
  await Promise.resolve()
  assert.equal(await settled(waits[1] as Promise<string>), true)
  assert.equal(await settled(waits[9] as Promise<string>), false)
  await Promise.all(waits)
  await writer.flush()
  assert.equal(bytesOf(await read()).length, 10_000_000)
})

test('what could not be stored is kept and tried again; nothing is lost or doubled', async (t) => {
  const { database, writer, reports, read } = await start(t)
  void writer.append('run_1', { kind: 'note', text: 'a' })
  await writer.flush()
  await database.events.schema.alterTable('events').renameTo('away').execute()
  void writer.append('run_1', { kind: 'note', text: 'b' })
  void writer.log('run_1', 'stdout', Buffer.from('c'))
  await assert.rejects(writer.flush(), EventsNotStored)
  void writer.append('run_2', { kind: 'note', text: 'd' })
  await assert.rejects(writer.flush(), EventsNotStored)
  assert.equal(reports.length, 1)
  await database.events.schema.alterTable('away').renameTo('events').execute()
  await writer.flush()
  assert.deepEqual(
    (await read()).map((event) => [event.seq, 'text' in event && event.text]),
    [
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ],
  )
  assert.equal((await read('run_2')).length, 1)
})

test('an event that comes after the end is reported, and harms nobody', async (t) => {
  const { writer, reports, read } = await start(t)
  await writer.close()
  await writer.append('run_1', { kind: 'note', text: 'late' })
  await writer.log('run_1', 'stdout', Buffer.from('late'))
  assert.equal(reports.length, 2)
  assert.deepEqual(await read(), [])
})

test('streams that are forgotten for their number are numbered on', async (t) => {
  const { writer, read } = await start(t)
  for (const round of [1, 2]) {
    for (let stream = 0; stream < 1500; stream++)
      void writer.append(`run_${stream}`, { kind: 'note', text: `${round}` })
    await writer.flush()
  }
  assert.deepEqual(
    (await read('run_0')).map(({ seq }) => seq),
    [1, 2],
  )
})
