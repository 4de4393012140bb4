// Socket.IO, over WebSocket only. Arguments: port, off|true.
const { Server } = require('socket.io')
const notices = require(process.env.NOTICES)

const deflate = process.argv[3] !== 'off'
const http = require('http').createServer()
const io = new Server(http, {
  transports: ['websocket'],
  maxHttpBufferSize: 1 << 20,
  pingInterval: deflate ? 120000 : 30000, // the generator does not read its compressed pings
  pingTimeout: 30000,
  perMessageDeflate: deflate ? { threshold: 1024 } : false,
  serveClient: false,
})
const at = (seq, data) => ({ type: 'message.received', topic: 'messages', seq, data, timestamp: Date.now(), prev: seq - 1 })

io.on('connection', (socket) => {
  const id = socket.handshake.query.id
  if (!id.startsWith('ctl')) { socket.join('all'); socket.join('u' + id) }
  socket.on('pub', (m) => io.to('all').emit('n', at(m.seq, notices[m.seq & 255])))
  socket.on('to', (m) => m.ids.forEach((one, n) => io.to('u' + one).emit('n', at(n, notices[n & 255]))))
  socket.on('msg', (m) => {
    if (typeof m.id !== 'number' || typeof m.to !== 'string' || (m.kind !== 'text' && m.kind !== 'image')
      || typeof m.body !== 'string' || m.body.length > 4096) return
    socket.emit('ack', { op: 'ack', id: m.id })
  })
})
http.listen({ port: +process.argv[2], host: '127.0.0.1', backlog: 4096 })
