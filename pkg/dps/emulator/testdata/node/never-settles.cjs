// A script that waits for a promise that nobody settles: Node then ends with
// status 0 and no report. The test of the test wants this to be a failure.
'use strict';

const { main } = require('./common.cjs');

main(() => new Promise(() => {}));
