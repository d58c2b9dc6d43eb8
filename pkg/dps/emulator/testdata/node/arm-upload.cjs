// The first half of a proof of possession: upload and verification code. The
// proof is signed elsewhere; arm-verify.cjs goes on.
'use strict';

const { assert, input, step, main } = require('./common.cjs');
const { connect, refused } = require('./arm-client.cjs');

main(async () => {
  const c = connect(input);
  const first = await step('upload', () => c.upload('node-root', input.certificate));
  assert.equal(first.properties.isVerified, false);
  assert.equal(first.properties.thumbprint, input.thumbprint);
  assert.ok(first.etag);
  await step('upload without an etag is refused', () => refused(() => c.upload('node-root', input.certificate), 412, 412001));
  const second = await step('update', () => c.upload('node-root', input.certificate, false, first.etag));
  assert.notEqual(second.etag, first.etag);
  await step('vouch', async () => {
    const vouched = await c.upload('node-vouched', input.certificate, true);
    assert.equal(vouched.properties.isVerified, true);
    await c.remove('node-vouched', vouched.etag);
  });
  await step('list', async () => assert.deepEqual((await c.list()).map((x) => x.name), ['node-root']));
  await step('get', async () => assert.equal((await c.get('node-root')).etag, second.etag));
  await step('garbage is refused', () => refused(() => c.upload('node-bad', 'not a certificate'), 400, 400000));
  await step('code with a stale etag is refused', () => refused(() => c.code('node-root', first.etag), 412, 412001));
  const code = await step('code', () => c.code('node-root', second.etag));
  assert.match(code.properties.verificationCode, /^[0-9A-F]{48}$/);
  await step('wrong token is refused', () => refused(() => connect({ ...input, token: 'x' }).list(), 401, 'InvalidAuthenticationToken'));
  await step('another resource is refused', () => refused(() => connect({ ...input, name: 'other', hub: 'other' }).list(), 404, 'ResourceNotFound'));
  return { code: code.properties.verificationCode, etag: code.etag, uploadEtag: second.etag };
});
