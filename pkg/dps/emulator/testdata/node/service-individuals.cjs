// Individual enrollments by azure-iot-provisioning-service.
// Input: connectionString, host, token, certificate (PEM), renewed (PEM),
// thumbprint and renewedThumbprint (SHA-1 of the two).
'use strict';

const { assert, input, step, refused, body, main } = require('./common.cjs');
const { connect, connectWithToken, bulk, pages } = require('./service-client.cjs');

const x509 = (certificate) => ({ type: 'x509', x509: { clientCertificates: { primary: { certificate } } } });
const endorsementKey = Buffer.from('endorsement key of a TPM that does not exist').toString('base64');

main(async () => {
  const client = connect(input.connectionString);

  const created = await step('create x509', () => body(client.createOrUpdateIndividualEnrollment({
    registrationId: 'node-x509',
    deviceId: 'Node-Device',
    attestation: x509(input.certificate),
    provisioningStatus: 'enabled',
    capabilities: { iotEdge: true },
    reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false },
    initialTwin: { tags: { site: 'a' }, properties: { desired: { interval: 5 } } },
  })));
  assert.equal(created.registrationId, 'node-x509');
  assert.equal(created.attestation.x509.clientCertificates.primary.certificate, undefined);
  assert.equal(created.attestation.x509.clientCertificates.primary.info.sha1Thumbprint, input.thumbprint);
  assert.ok(created.etag && created.createdDateTimeUtc);

  await step('create again is refused', () => refused(
    () => client.createOrUpdateIndividualEnrollment({ registrationId: 'node-x509', attestation: x509(input.certificate) }),
    'DeviceAlreadyExistsError', 409, 409201));

  const got = await step('get', () => body(client.getIndividualEnrollment('node-x509')));
  assert.equal(got.etag, created.etag);
  assert.equal(got.deviceId, 'Node-Device');
  assert.equal(got.registrationState.status, 'unassigned');
  assert.deepEqual(got.initialTwin, { tags: { site: 'a' }, properties: { desired: { interval: 5 } } });
  assert.deepEqual(got.reprovisionPolicy, { updateHubAssignment: true, migrateDeviceData: false });

  const updated = await step('update', () => body(client.createOrUpdateIndividualEnrollment({
    ...got, provisioningStatus: 'disabled', attestation: x509(input.renewed),
  })));
  assert.notEqual(updated.etag, got.etag);
  assert.equal(updated.provisioningStatus, 'disabled');
  assert.equal(updated.attestation.x509.clientCertificates.primary.info.sha1Thumbprint, input.renewedThumbprint);
  assert.equal(updated.createdDateTimeUtc, got.createdDateTimeUtc);

  await step('stale update is refused', () => refused(
    () => client.createOrUpdateIndividualEnrollment(got), 'InvalidEtagError', 412, 412000));

  const kept = await step('update without the certificate', () => body(client.createOrUpdateIndividualEnrollment({
    ...updated, provisioningStatus: 'enabled',
  })));
  assert.equal(kept.attestation.x509.clientCertificates.primary.info.sha1Thumbprint, input.renewedThumbprint);

  const keyed = await step('create symmetric key', () => body(client.createOrUpdateIndividualEnrollment({
    registrationId: 'node-key', attestation: { type: 'symmetricKey' },
  })));
  assert.equal(Buffer.from(keyed.attestation.symmetricKey.primaryKey, 'base64').length, 64);

  const mechanism = await step('attestation mechanism', () => body(client.getIndividualEnrollmentAttestationMechanism('node-key')));
  assert.deepEqual(mechanism, keyed.attestation);
  const bare = await step('get shows no keys', () => body(client.getIndividualEnrollment('node-key')));
  assert.deepEqual(bare.attestation, { type: 'symmetricKey' });

  await step('create tpm', () => body(client.createOrUpdateIndividualEnrollment({
    registrationId: 'node-tpm', attestation: { type: 'tpm', tpm: { endorsementKey } },
  })));
  const tpm = await step('get tpm', () => body(client.getIndividualEnrollment('node-tpm')));
  assert.equal(tpm.attestation.tpm.endorsementKey, endorsementKey);

  const batch = (from, count) => Array.from({ length: count }, (_, i) => ({
    registrationId: `node-bulk-${String(from + i).padStart(2, '0')}`, attestation: { type: 'symmetricKey' },
  }));
  await step('bulk create', async () => {
    for (const [from, count] of [[0, 10], [10, 10], [20, 2]]) {
      assert.deepEqual(await bulk(client, 'create', batch(from, count)), { errors: [], isSuccessful: true });
    }
  });
  await step('bulk create of what is there', async () => {
    const result = await bulk(client, 'create', [...batch(21, 1), ...batch(22, 1)]);
    assert.equal(result.isSuccessful, false);
    assert.deepEqual(result.errors, [
      { registrationId: 'node-bulk-21', errorCode: 409201, errorStatus: 'Enrollment already exists.' },
    ]);
    assert.equal((await body(client.getIndividualEnrollment('node-bulk-22'))).registrationId, 'node-bulk-22');
  });
  await step('bulk with an id twice is refused', () => refused(
    () => bulk(client, 'create', [...batch(30, 1), ...batch(30, 1)]), 'ArgumentError', 400, 400000));
  await step('bulk of eleven is refused', () => refused(
    () => bulk(client, 'create', batch(40, 11)), 'ArgumentError', 400, 400000));
  await step('bulk update', async () => {
    const without = await bulk(client, 'update', batch(0, 1));
    assert.deepEqual(without.errors.map((e) => e.errorCode), [409201]);
    const fetched = await body(client.getIndividualEnrollment('node-bulk-00'));
    const changed = { ...fetched, provisioningStatus: 'disabled' };
    assert.deepEqual(await bulk(client, 'updateIfMatchEtag', [changed]), { errors: [], isSuccessful: true });
    assert.equal((await body(client.getIndividualEnrollment('node-bulk-00'))).provisioningStatus, 'disabled');
    const stale = await bulk(client, 'updateIfMatchEtag', [changed]);
    assert.deepEqual(stale.errors.map((e) => e.errorCode), [412000]);
  });

  const found = await step('query by pages', async () => {
    const all = await pages(client.createIndividualEnrollmentQuery({ query: 'SELECT * FROM enrollments' }, 10));
    assert.deepEqual(all.map((p) => p.length), [10, 10, 6]);
    return all.flat();
  });
  assert.ok(found.every((e) => e.registrationState === undefined && e.attestation.symmetricKey === undefined));

  await step('query from a continuation', async () => {
    const first = client.createIndividualEnrollmentQuery({ query: '*' }, 20);
    await first.next();
    const second = client.createIndividualEnrollmentQuery({ query: '*' }, 20);
    const rest = (await second.next(first.continuationToken)).responseBody;
    assert.equal(rest.length, 6);
    assert.equal(second.hasMoreResults, false);
  });

  await step('with a token', async () => {
    const entra = connectWithToken(input.host, input.token);
    assert.equal((await body(entra.getIndividualEnrollment('node-tpm'))).registrationId, 'node-tpm');
    await refused(() => connectWithToken(input.host, 'wrong').getIndividualEnrollment('node-tpm'), 'UnauthorizedError', 401, 401000);
  });
  await step('wrong key is refused', () => {
    const wrong = input.connectionString.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`);
    return refused(() => connect(wrong).getIndividualEnrollment('node-tpm'), 'UnauthorizedError', 401, 401000);
  });

  await step('bulk delete', async () => {
    for (const [from, count] of [[0, 10], [10, 10], [20, 3]]) {
      assert.deepEqual(await bulk(client, 'delete', batch(from, count)), { errors: [], isSuccessful: true });
    }
  });
  await step('stale delete is refused', () => refused(
    () => client.deleteIndividualEnrollment(got), 'InvalidEtagError', 412, 412000));
  await step('delete by object', () => client.deleteIndividualEnrollment(kept));
  await step('delete by id', () => client.deleteIndividualEnrollment('node-tpm'));
  await step('get of a deleted one', () => refused(
    () => client.getIndividualEnrollment('node-x509'), 'Error', 404, 404201));
  await step('delete of a deleted one', () => refused(
    () => client.deleteIndividualEnrollment('node-x509'), 'Error', 404, 404201));

  return { found: found.map((e) => e.registrationId), key: keyed.attestation.symmetricKey.primaryKey };
});
