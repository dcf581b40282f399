// BullMQ on Node: Lua scripts over lists, sorted sets and a hash for each job; jobs and results are kept by default.
// The same commands as in side.py. One process; `addBulk` for many jobs; the call goes by undici's `request`, the
// client below Node's `fetch`, without the streams of the web on top: it costs half.
import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { Queue, Worker } from 'bullmq'
import IORedis from 'ioredis'
import { Agent, request, setGlobalDispatcher } from 'undici'

const { PEER_REDIS_URL, PEER_PROVIDER_URL, PEER_LEDGER, PEER_CONCURRENCY } = process.env
const AT_ONCE = 64
const NAME = 'peer'
const connection = () => new IORedis(PEER_REDIS_URL, { maxRetriesPerRequest: null })
const prompt = (number, size) => `job ${number} `.padEnd(size, 'x')
const print = (text) => process.stdout.write(`${text}\n`)

async function llm({ prompt }) {
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: prompt }] })
  const headers = { 'Content-Type': 'application/json' }
  const answer = await request(`${PEER_PROVIDER_URL}/chat/completions`, { method: 'POST', body, headers })
  if (answer.statusCode !== 200) throw new Error(`the provider answered ${answer.statusCode}`)
  return (await answer.body.json()).choices[0].message.content
}

async function work() {
  setGlobalDispatcher(new Agent({ connections: null }))
  const ledger = openSync(PEER_LEDGER, 'a')
  const noop = ({ number }) => void writeSync(ledger, `${number} 1 ${Date.now()}\n`)
  const run = async (job) => (job.name === 'noop' ? noop(job.data) : llm(job.data))
  const worker = new Worker(NAME, run, { connection: connection(), concurrency: Number(PEER_CONCURRENCY) })
  worker.on('error', (error) => console.error(error))
  process.once('SIGTERM', async () => {
    await worker.close()
    process.exit(0)
  })
}

async function enqueue(queue, count, { kind, size, bulk }) {
  const jobs = Array.from({ length: count }, (_, number) => ({
    name: kind,
    data: { number, prompt: prompt(number, size) },
  }))
  const began = performance.now()
  if (bulk) {
    for (let first = 0; first < count; first += 1000) await queue.addBulk(jobs.slice(first, first + 1000))
  } else {
    const left = jobs.values()
    const submitter = async () => {
      for (const { name, data } of left) await queue.add(name, data)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, submitter))
  }
  print(JSON.stringify({ seconds: (performance.now() - began) / 1000 }))
}

async function step(queue, { kind, size }) {
  print('ready')
  let number = 0
  for await (const _ of createInterface({ input: process.stdin })) {
    const data = { number, prompt: prompt(number, size) }
    const began = process.hrtime.bigint()
    await queue.add(kind, data)
    print(began)
    number += 1
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kind: { type: 'string', default: 'noop' },
    size: { type: 'string', default: '250' },
    bulk: { type: 'boolean', default: false },
  },
})
const options = { ...values, size: Number(values.size) }
if (positionals[0] === 'worker') await work()
else {
  const queue = new Queue(NAME, { connection: connection() })
  await queue.waitUntilReady()
  if (positionals[0] === 'enqueue') await enqueue(queue, Number(positionals[1]), options)
  else await step(queue, options)
  await queue.close()
  process.exit(0)
}
