// The clients of Azure Resource Manager, as their samples make them: two
// generations of @azure/arm-deviceprovisioningservices, and @azure/arm-iothub
// for the same certificates of an IoT hub. Their methods take the same
// arguments in different orders; here they have one shape.
'use strict';

const { assert } = require('./common.cjs');

const credential = (token) => ({
  getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600_000 }),
});

// pem is what these clients want as an upload: bytes, which they encode.
const pem = (text) => new Uint8Array(Buffer.from(text));

// base64 is what they do not encode.
const base64 = (text) => Buffer.from(text).toString('base64');

function generation6({ endpoint, subscription, group, name, token }) {
  const { IotDpsClient } = require('@azure/arm-deviceprovisioningservices');
  const client = new IotDpsClient(credential(token), subscription, { endpoint });
  const c = client.dpsCertificate;
  return {
    client,
    upload: (cert, text, verified, ifMatch) => c.createOrUpdate(group, name, cert,
      { properties: { certificate: pem(text), isVerified: verified } }, { ifMatch }),
    list: async () => (await c.list(group, name)).value,
    get: (cert) => c.get(cert, group, name),
    code: (cert, etag) => c.generateVerificationCode(cert, etag, group, name),
    verify: (cert, etag, text) => c.verifyCertificate(cert, etag, group, name, { certificate: base64(text) }),
    remove: (cert, etag) => c.delete(group, name, cert, etag),
    resource: () => client.iotDpsResource.get(group, name),
  };
}

function generation5({ endpoint, subscription, group, name, token }) {
  const { IotDpsClient } = require('arm-deviceprovisioningservices-5');
  const client = new IotDpsClient(credential(token), subscription, { endpoint });
  const c = client.dpsCertificate;
  return {
    client,
    upload: (cert, text, verified, ifMatch) => c.createOrUpdate(group, name, cert,
      { properties: { certificate: pem(text), isVerified: verified } }, { ifMatch }),
    list: async () => (await c.list(group, name)).value,
    get: (cert) => c.get(cert, group, name),
    code: (cert, etag) => c.generateVerificationCode(cert, etag, group, name),
    verify: (cert, etag, text) => c.verifyCertificate(cert, etag, group, name, { certificate: base64(text) }),
    remove: (cert, etag) => c.delete(group, etag, name, cert),
    resource: () => client.iotDpsResource.get(name, group),
  };
}

function hub({ endpoint, subscription, group, hub: name, token }) {
  const { IotHubClient } = require('@azure/arm-iothub');
  const client = new IotHubClient(credential(token), subscription, { endpoint });
  const c = client.certificates;
  return {
    client,
    upload: (cert, text, verified, ifMatch) => c.createOrUpdate(group, name, cert,
      { properties: { certificate: base64(text), isVerified: verified } }, { ifMatch }),
    list: async () => (await c.listByIotHub(group, name)).value,
    get: (cert) => c.get(group, name, cert),
    code: (cert, etag) => c.generateVerificationCode(group, name, cert, etag),
    verify: (cert, etag, text) => c.verify(group, name, cert, etag, { certificate: base64(text) }),
    remove: (cert, etag) => c.delete(group, name, cert, etag),
    resource: () => client.iotHubResource.get(group, name),
  };
}

const connect = (input) => ({ generation5, generation6, hub })[input.sdk](input);

// refused wants fn to fail with this status and this code in the body, which is
// a number from the provider and a text from the front end.
async function refused(fn, status, code) {
  let err;
  try {
    await fn();
  } catch (e) {
    err = e;
  }
  assert.ok(err, `no error, want ${status}`);
  assert.equal(err.name, 'RestError', String(err.stack));
  assert.equal(Number(err.statusCode), status, err.message);
  if (!err.response.bodyAsText) { // generation 6 keeps what it understood only
    assert.equal(err.code, code);
    return;
  }
  const body = JSON.parse(err.response.bodyAsText);
  assert.equal(body.error ? body.error.code : body.code, code);
}

async function collect(pages) {
  const all = [];
  for await (const item of pages) all.push(item);
  return all;
}

module.exports = { connect, refused, collect };
