// Registers devices with azure-iot-provisioning-device, as its samples do.
'use strict';

const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Http } = require('azure-iot-provisioning-device-http');
const { Mqtt, MqttWs } = require('azure-iot-provisioning-device-mqtt');
const { X509Security } = require('azure-iot-security-x509');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { input, step, main } = require('./common.cjs');

const transports = { http: Http, mqtt: Mqtt, 'mqtt-ws': MqttWs };

const security = (device) => (device.key ?
  new SymmetricKeySecurityClient(device.id, device.key) :
  new X509Security(device.id, { cert: device.chain, key: device.privateKey }));

// outcome is what a program sees of a registration.
async function outcome(device) {
  const client = ProvisioningDeviceClient.create(input.host, input.idScope, new transports[input.transport](), security(device));
  if (device.payload) {
    client.setProvisioningPayload(device.payload);
  }
  try {
    return { result: await client.register() };
  } catch (err) {
    // The body is in the text over HTTP, and beside it over MQTT.
    return { error: { name: err.name, message: `${err.message} ${JSON.stringify(err.result || {})}` } };
  }
}

// Devices have nothing to do with each other, so they come all at once.
main(() => step('register', async () => {
  const outcomes = await Promise.all(input.devices.map(outcome));
  return { outcomes: Object.fromEntries(input.devices.map((device, i) => [device.name, outcomes[i]])) };
}));
