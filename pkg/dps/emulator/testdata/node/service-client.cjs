// The clients of azure-iot-provisioning-service, as its samples make them.
'use strict';

const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');

// connect signs with the shared access key of the connection string.
const connect = (connectionString) => ProvisioningServiceClient.fromConnectionString(connectionString);

// connectWithToken takes a credential such as DefaultAzureCredential.
const connectWithToken = (host, token) => ProvisioningServiceClient.fromTokenCredential(host, {
  getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600_000 }),
});

// bulk hides that runBulkEnrollmentOperation never settles the promise that it
// returns, and so needs a callback.
const bulk = (client, mode, enrollments) => new Promise((resolve, reject) => {
  client.runBulkEnrollmentOperation({ mode, enrollments }, (err, result) => (err ? reject(err) : resolve(result)));
});

// pages reads a query to its end. Only the callback form of next goes on by
// itself; the promise form starts again unless it is given a token.
async function pages(query) {
  const all = [];
  while (query.hasMoreResults && all.length < 100) {
    all.push(await new Promise((resolve, reject) => {
      query.next((err, items) => (err ? reject(err) : resolve(items)));
    }));
  }
  return all;
}

module.exports = { connect, connectWithToken, bulk, pages };
