// Enrollment groups by azure-iot-provisioning-service.
// Input: connectionString, signing (PEM), signingThumbprint, caName (a verified
// CA certificate), unverified (one that is not).
'use strict';

const { assert, input, step, refused, body, main } = require('./common.cjs');
const { connect, pages } = require('./service-client.cjs');

const signing = (certificate) => ({ type: 'x509', x509: { signingCertificates: { primary: { certificate } } } });
const reference = (primary) => ({ type: 'x509', x509: { caReferences: { primary } } });

main(async () => {
  const client = connect(input.connectionString);

  // The end-to-end test of this SDK sends base64 of the PEM text.
  const created = await step('create by signing certificate', () => body(client.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'node-signing',
    attestation: signing(Buffer.from(input.signing).toString('base64')),
    provisioningStatus: 'enabled',
    initialTwin: { tags: { fleet: 'n' } },
    allocationPolicy: 'hashed',
  })));
  assert.equal(created.attestation.x509.signingCertificates.primary.info.sha1Thumbprint, input.signingThumbprint);
  assert.equal(created.allocationPolicy, 'hashed');

  await step('create again is refused', () => refused(
    () => client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'node-signing', attestation: signing(input.signing) }),
    'DeviceAlreadyExistsError', 409, 409202));

  const got = await step('get', () => body(client.getEnrollmentGroup('node-signing')));
  assert.deepEqual(got, created);

  const updated = await step('update', () => body(client.createOrUpdateEnrollmentGroup({
    ...got, provisioningStatus: 'disabled', initialTwin: { tags: { fleet: 'm' } },
  })));
  assert.notEqual(updated.etag, got.etag);
  assert.equal(updated.provisioningStatus, 'disabled');
  assert.deepEqual(updated.initialTwin, { tags: { fleet: 'm' } });
  assert.deepEqual(updated.attestation, got.attestation);
  await step('stale update is refused', () => refused(
    () => client.createOrUpdateEnrollmentGroup(got), 'InvalidEtagError', 412, 412000));

  await step('create by CA reference', () => body(client.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'node-reference', attestation: reference(input.caName),
  })));
  await step('CA reference that is not verified is refused', () => refused(
    () => client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'node-refused', attestation: reference(input.unverified) }),
    'ArgumentError', 400, 400000));

  const keyed = await step('create symmetric key', () => body(client.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'node-key', attestation: { type: 'symmetricKey', symmetricKey: { primaryKey: '', secondaryKey: '' } },
  })));
  const mechanism = await step('attestation mechanism', () => body(client.getEnrollmentGroupAttestationMechanism('node-key')));
  assert.deepEqual(mechanism, keyed.attestation);
  assert.deepEqual((await body(client.getEnrollmentGroup('node-key'))).attestation, { type: 'symmetricKey' });

  const found = await step('query by pages', async () => {
    const all = await pages(client.createEnrollmentGroupQuery({ query: '*' }, 2));
    assert.deepEqual(all.map((p) => p.length), [2, 1]);
    return all.flat();
  });

  await step('stale delete is refused', () => refused(
    () => client.deleteEnrollmentGroup(got), 'InvalidEtagError', 412, 412000));
  await step('delete by object', () => client.deleteEnrollmentGroup(updated));
  await step('delete by id and etag', async () => client.deleteEnrollmentGroup('node-reference', (await body(client.getEnrollmentGroup('node-reference'))).etag));
  await step('get of a deleted one', () => refused(
    () => client.getEnrollmentGroup('node-signing'), 'Error', 404, 404204));

  return { found: found.map((g) => g.enrollmentGroupId), key: keyed.attestation.symmetricKey.primaryKey };
});
