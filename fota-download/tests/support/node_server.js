// The files of a folder over CoAP, by node-coap: node node_server.js PORT FOLDER etag|none
'use strict'
const coap = require('coap')
const { createHash } = require('crypto')
const fs = require('fs')
const path = require('path')

const [port, folder, names] = process.argv.slice(2)
// node-coap remembers the answer to each block: the bytes are to be the same ones.
const known = new Map()

function read (name) {
  const file = path.join(folder, path.basename(name))
  const { mtimeMs, size, ino } = fs.statSync(file)
  const version = `${mtimeMs} ${size} ${ino}`
  if (known.get(file)?.version !== version) {
    const bytes = fs.readFileSync(file)
    known.set(file, { version, bytes, etag: createHash('sha256').update(bytes).digest().subarray(0, 8) })
  }
  return known.get(file)
}

coap.createServer((request, response) => {
  try {
    const { bytes, etag } = read(request.url)
    if (names === 'etag') response.setOption('ETag', etag)
    response.end(bytes)
  } catch {
    response.code = '4.04'
    response.end()
  }
}).listen(Number(port), '127.0.0.1')
