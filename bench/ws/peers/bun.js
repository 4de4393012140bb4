// Bun, which is uWebSockets in C++: the limit. Arguments: port, off|true.
const notices = require(process.env.NOTICES)

const deflate = process.argv[3] !== 'off'
const byId = new Map()
const at = (seq, data) => ({ type: 'message.received', topic: 'messages', seq, data, timestamp: Date.now(), prev: seq - 1 })
const isMessage = (m) => typeof m.id === 'number' && typeof m.to === 'string' && (m.kind === 'text' || m.kind === 'image')
  && typeof m.body === 'string' && m.body.length <= 4096

const server = Bun.serve({
  port: +process.argv[2],
  hostname: '127.0.0.1',
  fetch(request, self) {
    const id = new URL(request.url).searchParams.get('id')
    if (!self.upgrade(request, { data: { id } })) return new Response('no', { status: 400 })
  },
  websocket: {
    perMessageDeflate: deflate,
    maxPayloadLength: 1 << 20,
    backpressureLimit: 512 * 1024,
    idleTimeout: 60,
    sendPings: true,
    open(client) {
      if (!client.data.id.startsWith('ctl')) { client.subscribe('all'); byId.set(client.data.id, client) }
    },
    close(client) { byId.delete(client.data.id) },
    message(client, raw) {
      const m = JSON.parse(raw)
      if (m.op === 'msg') {
        if (isMessage(m)) client.send(JSON.stringify({ op: 'ack', id: m.id }))
      } else if (m.op === 'pub') {
        server.publish('all', JSON.stringify(at(m.seq, notices[m.seq & 255])), deflate)
      } else if (m.op === 'to') {
        m.ids.forEach((one, n) => { byId.get(String(one))?.send(JSON.stringify(at(n, notices[n & 255])), deflate) })
      }
    },
  },
})
