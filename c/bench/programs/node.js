// Buffers and typed arrays, whose memory is malloc's; prints what must not depend on the allocator.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');

const scale = Number(process.argv[2]);
let seed = 1;
function random() {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return seed;
}

const numbers = new Float64Array(100000 * scale);
for (let i = 0; i < numbers.length; i++) numbers[i] = random();
console.log('sorted', numbers.slice().sort()[numbers.length >> 1]);

let total = 0;
for (let round = 0; round < 60; round++) {
  const buffer = Buffer.alloc(400000 * scale, round);
  buffer.writeUInt32LE(round, round * 4);
  total += buffer[buffer.length - 1] + buffer.readUInt32LE(round * 4);
}
console.log('buffers', total);

let parts = [];
for (let i = 0; i < 40; i++) parts.push(Buffer.alloc(50000 * scale, String(i)));
const joined = Buffer.concat(parts);
const packed = zlib.gzipSync(joined, { level: 6 });
console.log('packed', zlib.gunzipSync(packed).equals(joined));
console.log('hash', crypto.createHash('sha256').update(joined).digest('hex'));
const text = JSON.stringify(Array.from({ length: 20000 * scale }, (_, i) => ({ key: i, value: 'v' + (i % 97) })));
console.log('json', text.length, JSON.parse(text).length);
