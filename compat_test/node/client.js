// The kafkajs client of the suite: produces, and consumes in a group, as ../clients.go describes. kafkajs has no way to read
// a partition without a group.
'use strict'
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = require('kafkajs')

const opt = Object.fromEntries(process.argv.slice(2).map((a) => a.split(/=(.*)/s).slice(0, 2)))
const partitions = Number(opt.partitions)
const count = Number(opt.count)
const millis = Number(opt.millis)

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = new (require('@2l/kafkajs-lz4'))().codec

const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function value(codec, partition, seq) {
  return `${opt.client}|${codec}|${partition}|${seq}|`.padEnd(100, 'x')
}

async function produce(kafka, codec) {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
  })
  await producer.connect()
  const start = Date.now()
  for (let sent = 0; sent < count;) {
    const due = Math.min(count, Math.max(1, Math.floor(((Date.now() - start) / millis) * count)))
    if (due <= sent) {
      await sleep(50)
      continue
    }
    const messages = []
    const first = new Map() // partition -> first sequence of this send
    for (; sent < due; sent++) {
      const partition = sent % partitions
      const seq = Math.floor(sent / partitions)
      if (!first.has(partition)) first.set(partition, { seq, n: 0 })
      first.get(partition).n++
      messages.push({ partition, value: value(codec, partition, seq) })
    }
    try {
      const results = await producer.send({ topic: opt.topic, acks: -1, timeout: 10000, compression: codecs[codec], messages })
      for (const r of results) {
        const { seq, n } = first.get(r.partition)
        for (let i = 0; i < n; i++) {
          console.log(`ack ${codec} ${r.partition} ${seq + i} ${BigInt(r.baseOffset) + BigInt(i)}`)
        }
      }
    } catch (e) {
      for (const [partition, { seq, n }] of first) {
        for (let i = 0; i < n; i++) console.log(`fail ${codec} ${partition} ${seq + i} ${String(e.message).replace(/\s+/g, ' ')}`)
      }
    }
  }
  await producer.disconnect()
}

async function member(kafka) {
  const consumer = kafka.consumer({ groupId: opt.group, sessionTimeout: 10000, rebalanceTimeout: 10000, heartbeatInterval: 500, maxWaitTimeInMs: 200 })
  const left = new Promise((resolve) => process.on('SIGTERM', resolve))
  await consumer.connect()
  await consumer.subscribe({ topics: [opt.topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: 1,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      let next = null
      for (const m of batch.messages) {
        if (!isRunning() || isStale()) break
        console.log(`did ${Date.now()} ${batch.partition} ${m.offset}`)
        next = String(BigInt(m.offset) + 1n)
        resolveOffset(m.offset)
      }
      if (next === null) return
      await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: next }])
      console.log(`commit ${Date.now()} ${batch.partition} ${next}`)
      await heartbeat()
    },
  })
  await left
  await consumer.disconnect()
}

async function main(zstd) {
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
    decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
  })
  const kafka = new Kafka({
    clientId: opt.client,
    brokers: opt.bootstrap.split(","),
    logLevel: logLevel.INFO,
    logCreator: () => (entry) => console.error(JSON.stringify({ level: entry.level, ...entry.log })),
    connectionTimeout: 3000,
    requestTimeout: 10000,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 200 },
  })
  if (opt.mode === 'member') {
    await member(kafka)
    console.log('end')
    return
  }
  await Promise.all(opt.codecs.split(',').map((c) => produce(kafka, c)))
  console.log('end')
}

require('zstd-codec').ZstdCodec.run((z) => {
  main(new z.Simple()).then(
    () => process.exit(0),
    (e) => {
      console.error('fatal', e)
      process.exit(1)
    },
  )
})
