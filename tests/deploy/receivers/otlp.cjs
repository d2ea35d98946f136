// SPDX-License-Identifier: MIT
//
// A receiver of OTLP/HTTP in JSON: node otlp.cjs MODULES [KEY CERTIFICATE]. Every request goes through the message
// types that OpenTelemetry generated from its .proto files, to bytes and back; what is not the same afterwards was not
// part of the protocol or had another type. The first request is turned away, so that the sink has to try again. Says
//
//   listening ADDRESS:PORT
//   resource NAME=VALUE ...
//   sum|gauge|histogram NAME NUMBER LABEL=VALUE ...   the count of a histogram
//   wrong WHAT
'use strict';
const assert = require('assert');
const fs = require('fs');
const [, , modules, key, certificate] = process.argv;
const root = require(`${modules}/node_modules/@opentelemetry/otlp-transformer/build/src/generated/root.js`);
const type = root.opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest;

const labels = (attributes = []) => attributes.map((one) => `${one.key}=${one.value.stringValue}`).join(' ');

function read(json) {
  const message = type.decode(type.encode(type.fromObject(json)).finish());
  const back = type.toObject(message, {longs: String, enums: Number});
  assert.deepStrictEqual(back, withoutEmpty(json));
  for (const {resource, scopeMetrics} of back.resourceMetrics) {
    console.log(`resource ${labels(resource.attributes)}`);
    for (const metric of scopeMetrics.flatMap((one) => one.metrics)) {
      const kind = ['sum', 'gauge', 'histogram'].find((name) => metric[name] !== undefined);
      for (const point of metric[kind].dataPoints) {
        const number = kind === 'histogram' ? point.count : point.asDouble;
        console.log(`${kind} ${metric.name} ${number} ${labels(point.attributes)}`);
      }
    }
  }
}

// Empty lists are the same as absent ones to protobuf.
function withoutEmpty(value) {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([, one]) => !(Array.isArray(one) && one.length === 0));
  return Object.fromEntries(kept.map(([name, one]) => [name, withoutEmpty(one)]));
}

let requests = 0;
function answer(request, response) {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    response.setHeader('Content-Type', 'application/json');
    if (++requests === 1) return response.writeHead(503, {'Retry-After': '1'}).end();
    try {
      assert.strictEqual(request.url, '/v1/metrics');
      assert.strictEqual(request.headers['content-type'], 'application/json');
      const body = Buffer.concat(pieces);
      const packed = request.headers['content-encoding'] === 'gzip';
      read(JSON.parse(packed ? require('zlib').gunzipSync(body) : body));
    } catch (error) {
      console.log(`wrong ${error.message}`);
      return response.writeHead(400).end('{}');
    }
    return response.end('{}');
  });
}

const server = key === undefined
  ? require('http').createServer(answer)
  : require('https').createServer({key: fs.readFileSync(key), cert: fs.readFileSync(certificate)}, answer);
server.listen(0, '127.0.0.1', () => console.log(`listening 127.0.0.1:${server.address().port}`));
