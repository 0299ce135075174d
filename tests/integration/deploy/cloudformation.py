"""Template: what CloudFormation would make of one, with its functions and conditions resolved."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
STACK = "batcher-dev"
STACK_ID_END = "0123456789ab"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": STACK,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/"
    f"6e0f9f0e-0000-11f0-8000-{STACK_ID_END}",
}
NOTHING = object()
"""AWS::NoValue: what has it is left out."""
ARNS = {
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Kinesis::Stream": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{{}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
}
NAMES = ("BucketName", "FunctionName", "LogGroupName", "QueueName")


@dataclass(frozen=True)
class Template:
    """A template with the parameters that it has by default, as osls deploys it."""

    path: Path

    @property
    def document(self) -> Any:  # noqa: ANN401  # JSON
        """Return it as it is."""
        return json.loads(self.path.read_text())

    @property
    def resources(self) -> dict[str, Any]:
        """Return every resource's type, properties and policies, resolved."""
        resolved: dict[str, Any] = self.resolve(self.document["Resources"])
        return resolved

    def of_type(self, kind: str) -> dict[str, Any]:
        """Return the properties of the resources of one type, by logical ID."""
        return {
            name: one["Properties"] for name, one in self.resources.items() if one["Type"] == kind
        }

    def statements(self, role: str) -> dict[str, dict[str, Any]]:
        """Return the statements of a role's own policy, by `Sid`, not of an added one."""
        policy, *_ = self.resources[role]["Properties"]["Policies"]
        return {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}

    def policy(self, role: str) -> str:
        """Return the document of a role's only policy, as IAM takes it."""
        (policy,) = self.resources[role]["Properties"]["Policies"]
        return json.dumps(policy["PolicyDocument"])

    def resolve(self, value: Any) -> Any:  # noqa: ANN401  # JSON
        """Return a value with every function called; AWS::NoValue leaves nothing behind."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._call(name, argument)
        entries = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in entries.items() if item is not NOTHING}

    def _ref(self, name: str) -> Any:  # noqa: ANN401  # as above
        if name == "AWS::NoValue":
            return NOTHING
        if name in PSEUDO:
            return PSEUDO[name]
        parameters = self.document.get("Parameters", {})
        return parameters[name]["Default"] if name in parameters else self._name(name)

    def _name(self, logical_id: str) -> str:
        properties = self.document["Resources"][logical_id].get("Properties", {})
        given = [properties[name] for name in NAMES if name in properties]
        return str(self.resolve(given[0])) if given else logical_id

    def _call(self, name: str, argument: Any) -> Any:  # noqa: ANN401, PLR0911  # one per function
        match name:
            case "Fn::GetAtt":
                return self._attribute(*argument)
            case "Fn::If":
                condition, yes, no = argument
                return self.resolve(yes if self._holds(condition) else no)
            case "Fn::Join":
                return argument[0].join(map(str, self.resolve(argument[1])))
            case "Fn::Select":
                index, items = argument
                return self.resolve(items)[int(index)]
            case "Fn::Split":
                separator, text = argument
                return str(self.resolve(text)).split(separator)
            case "Fn::Sub":
                text, given = (argument, {}) if isinstance(argument, str) else argument
                return self._filled(text, given)
            case "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.resolve(argument)[0]
        msg = f"{name} is not known here"
        raise NotImplementedError(msg)

    def _attribute(self, logical_id: str, attribute: str) -> str:
        name = self._name(logical_id)
        if attribute != "Arn":
            return name
        return ARNS[self.document["Resources"][logical_id]["Type"]].format(name)

    def _holds(self, condition: str) -> bool:
        return bool(self.resolve(self.document["Conditions"][condition]))

    def _filled(self, text: str, given: Mapping[str, Any]) -> str:
        def value_of(found: re.Match[str]) -> str:
            name = found.group(1)
            if name in given:
                return str(self.resolve(given[name]))
            logical_id, _, attribute = name.partition(".")
            return self._attribute(logical_id, attribute) if attribute else str(self._ref(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", value_of, text)
