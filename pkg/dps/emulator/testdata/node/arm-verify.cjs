// The second half of a proof of possession: proofs that fail, the one that does
// not, and the end of the certificate.
'use strict';

const { assert, input, step, main } = require('./common.cjs');
const { connect, refused, collect } = require('./arm-client.cjs');

main(async () => {
  const c = connect(input);
  const bad = (proof) => () => refused(() => c.verify('node-root', input.etag, proof), 400, 400053);
  await step('tampered signature is refused', bad(input.tampered));
  await step('proof by another CA is refused', bad(input.stranger));
  await step('proof of another code is refused', bad(input.wrongCode));
  await step('expired proof is refused', bad(input.expired));
  await step('garbage is refused', () => refused(() => c.verify('node-root', input.etag, 'garbage'), 400, 400000));
  await step('verify with the etag of the upload is refused',
    () => refused(() => c.verify('node-root', input.uploadEtag, input.proof), 412, 412001));
  const verified = await step('verify', () => c.verify('node-root', input.etag, input.proof));
  assert.equal(verified.properties.isVerified, true);
  assert.equal(verified.properties.thumbprint, input.thumbprint);
  await step('replayed proof is refused', () => refused(() => c.verify('node-root', verified.etag, input.proof), 400, 400053));
  await step('get', async () => assert.equal((await c.get('node-root')).properties.isVerified, true));
  await step('resource', async () => {
    const r = await c.resource();
    assert.equal(r.properties.state, 'Active');
    assert.equal(input.sdk === 'hub' ? r.name : r.properties.idScope, input.sdk === 'hub' ? input.hub : input.idScope);
  });
  if (input.sdk !== 'hub') {
    await step('keys', async () => {
      const keys = await collect(c.client.iotDpsResource.listKeys(input.name, input.group));
      assert.deepEqual(keys.map((k) => k.keyName), ['provisioningserviceowner']);
      const services = await collect(c.client.iotDpsResource.listBySubscription());
      assert.deepEqual(services.map((s) => s.name), [input.name]);
    });
  }
  await step('stale delete is refused', () => refused(() => c.remove('node-root', input.etag), 412, 412001));
  await step('delete', () => c.remove('node-root', verified.etag));
  await step('get of a deleted one', () => refused(() => c.get('node-root'), 404, 404000));
  return {};
});
