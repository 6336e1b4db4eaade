// The files of a folder over CoAP, by node-coap: node node_server.js PORT FOLDER
'use strict'
const coap = require('coap')
const fs = require('fs')
const path = require('path')

const [port, folder] = process.argv.slice(2)
// node-coap keeps the whole file for each block that it answered: let that be the same bytes.
const known = new Map()

function read (name) {
  const file = path.join(folder, path.basename(name))
  const { mtimeMs, size, ino } = fs.statSync(file)
  const version = `${mtimeMs} ${size} ${ino}`
  if (known.get(file)?.version !== version) known.set(file, { version, bytes: fs.readFileSync(file) })
  return known.get(file).bytes
}

coap.createServer((request, response) => {
  try {
    response.end(read(request.url))
  } catch {
    response.code = '4.04'
    response.end()
  }
}).listen(Number(port), '127.0.0.1')
