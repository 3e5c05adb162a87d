// A contract whose answer tells the block it was read at: called with data it adds one to a counter and logs
// the new value; called without, it returns the counter. Written out by hand: no compiler needed.

const RUNTIME = [
  '36600f57', //             calldata? jump to 0x0f
  '60005460005260206000f3', // return the counter
  '5b', //                   0x0f:
  '600054600101', //         counter + 1
  '80600055', //             store it
  '60005260206000a0', //     log it
  '00',
].join('');

const length = (RUNTIME.length / 2).toString(16).padStart(2, '0');

/** Code that deploys the contract. */
export const DEPLOY = `0x60${length}600c60003960${length}6000f3${RUNTIME}`;

/** Data of a call that adds one. */
export const ADD = '0x01';
