'use strict';
// The parameters of serverless.yml, whole numbers as such: from the command line all is text, and osls
// takes no '-1' for an age. deploy/parameters.py has the rules.
const WHOLE = /^-?\d+$/;

module.exports = async ({ resolveVariable }) => {
  const params = await resolveVariable('self:params');
  const given = {};
  for (const name of Object.keys(params.default)) {
    const value = await resolveVariable(`param:${name}, null`);
    given[name] = WHOLE.test(value) ? Number(value) : value;
  }
  return given;
};
