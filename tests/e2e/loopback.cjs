// For `node --require`: servers that would listen on every interface listen on loopback alone.
'use strict';
const { Server } = require('net');
const { listen } = Server.prototype;

Server.prototype.listen = function onLoopback(...given) {
  const [first] = given;
  if (first !== null && typeof first === 'object') {
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...given.slice(1));
  }
  const callback = given.find((each) => typeof each === 'function');
  return listen.call(this, { port: Number(first) || 0, host: '127.0.0.1' }, callback);
};
