// Registration records by azure-iot-provisioning-service.
// Input: connectionString, group, ids (all assigned through the group), hub.
'use strict';

const { assert, input, step, refused, body, main } = require('./common.cjs');
const { connect, pages } = require('./service-client.cjs');

main(async () => {
  const client = connect(input.connectionString);
  const [first, second] = input.ids;

  const state = await step('get', () => body(client.getDeviceRegistrationState(first)));
  assert.equal(state.registrationId, first);
  assert.equal(state.deviceId, first);
  assert.equal(state.status, 'assigned');
  assert.equal(state.substatus, 'initialAssignment');
  assert.equal(state.assignedHub, input.hub);
  assert.ok(state.etag && state.createdDateTimeUtc && state.lastUpdatedDateTimeUtc);

  const found = await step('query by pages', async () => {
    const all = await pages(client.createEnrollmentGroupDeviceRegistrationStateQuery({ query: '*' }, input.group, 2));
    assert.deepEqual(all.map((p) => p.length), [2, 2, 1]);
    return all.flat();
  });
  assert.deepEqual(found.find((r) => r.registrationId === first), state);

  await step('stale delete is refused', () => refused(
    () => client.deleteDeviceRegistrationState({ ...state, etag: 'c3RhbGU=' }), 'InvalidEtagError', 412, 412000));
  await step('delete by object', () => client.deleteDeviceRegistrationState(state));
  await step('delete by id', () => client.deleteDeviceRegistrationState(second));
  await step('get of a deleted one', () => refused(
    () => client.getDeviceRegistrationState(first), 'Error', 404, 404202));

  return { found: found.map((r) => r.registrationId) };
});
