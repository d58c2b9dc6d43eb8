// A script whose check fails.
'use strict';

const { assert, step, main } = require('./common.cjs');

main(async () => {
  await step('compare', () => assert.equal(1, 2));
});
