// What the scripts of this folder share: input, report, expected refusals.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');

// input is the JSON document on standard input.
const input = JSON.parse(fs.readFileSync(0, 'utf8'));

// steps are the names of what was done, in order. The test that runs the script
// compares them, so that a promise that never settles does not look like a pass.
const steps = [];

async function step(name, fn) {
  try {
    const result = await fn();
    steps.push(name);
    return result;
  } catch (err) {
    throw new Error(`step "${name}" failed: ${err.responseBody || ''}`, { cause: err });
  }
}

// refused wants fn to fail with an error of this name and status; code is the
// errorCode of the body.
async function refused(fn, name, status, code) {
  let err;
  try {
    await fn();
  } catch (e) {
    err = e;
  }
  assert.ok(err, `no error, want ${status}`);
  assert.ok(err.response, `not an answer of the service: ${err}`);
  assert.equal(err.response.statusCode, status, err.responseBody);
  assert.equal(err.name, name);
  const body = JSON.parse(err.responseBody);
  assert.equal(body.errorCode, code);
  assert.match(body.trackingId, /^[0-9a-f-]{36}$/);
}

// body takes the first member of the answers of this SDK, which come as
// { responseBody, httpResponse }.
const body = async (promise) => (await promise).responseBody;

// main runs fn and prints the report as the last thing.
function main(fn) {
  fn().then((report) => {
    process.stdout.write(JSON.stringify({ steps, ...report }) + '\n');
  }).catch((err) => {
    console.error(err);
    process.exitCode = 1;
  });
}

module.exports = { assert, input, step, refused, body, main };
