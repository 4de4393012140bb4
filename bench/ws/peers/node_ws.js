// The server that 2.3.0 had: `ws`, with rooms. Arguments: port, off|true|readme (permessage-deflate).
const { WebSocketServer } = require('ws')
const notices = require(process.env.NOTICES)

const LIMIT = 512 * 1024
const README = {
  zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
  zlibInflateOptions: { chunkSize: 10 * 1024 },
  clientNoContextTakeover: true,
  serverNoContextTakeover: true,
  serverMaxWindowBits: 10,
  concurrencyLimit: 10,
  threshold: 1024,
}
const deflate = { off: false, true: true, readme: README }[process.argv[3]]
const server = new WebSocketServer({
  port: +process.argv[2], host: '127.0.0.1', backlog: 4096, maxPayload: 1 << 20, perMessageDeflate: deflate,
})
const all = new Set()
const byId = new Map()
const at = (seq, data) => ({ type: 'message.received', topic: 'messages', seq, data, timestamp: Date.now(), prev: seq - 1 })
const isMessage = (m) => typeof m.id === 'number' && typeof m.to === 'string' && (m.kind === 'text' || m.kind === 'image')
  && typeof m.body === 'string' && m.body.length <= 4096

function give(client, message) {
  if (client.readyState === 1 && client.bufferedAmount <= LIMIT) client.send(message, { binary: false })
}

server.on('connection', (client, request) => {
  const id = new URL(request.url, 'http://x').searchParams.get('id')
  client.isAlive = true
  client.on('pong', () => { client.isAlive = true })
  if (!id.startsWith('ctl')) { all.add(client); byId.set(id, client) }
  client.on('close', () => { all.delete(client); byId.delete(id) })
  client.on('error', () => {})
  client.on('message', (raw) => {
    const m = JSON.parse(raw)
    if (m.op === 'msg') {
      if (isMessage(m)) client.send(JSON.stringify({ op: 'ack', id: m.id }))
    } else if (m.op === 'pub') {
      const message = Buffer.from(JSON.stringify(at(m.seq, notices[m.seq & 255])))
      for (const one of all) give(one, message)
    } else if (m.op === 'to') {
      m.ids.forEach((one, n) => { const c = byId.get(String(one)); if (c) give(c, Buffer.from(JSON.stringify(at(n, notices[n & 255])))) })
    }
  })
})
setInterval(() => {
  for (const client of server.clients) {
    if (!client.isAlive) { client.terminate(); continue }
    client.isAlive = false
    client.ping()
  }
}, 30000)
