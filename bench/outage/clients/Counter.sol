// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What the client flows deploy, call and listen to. Counter.json is this, compiled; `compile.mjs` says how.
contract Counter {
    uint256 public count;
    address public immutable owner;

    event Added(address indexed by, uint256 value, uint256 total);

    error TooMuch(uint256 value, uint256 limit);

    constructor(uint256 first) {
        count = first;
        owner = msg.sender;
    }

    function add(uint256 value) external payable {
        if (value > 100) revert TooMuch(value, 100);
        count += value;
        emit Added(msg.sender, value, count);
    }

    function refuse() external pure {
        revert("never");
    }
}
