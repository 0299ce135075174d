"""docs/security.md has a reason for every action that the templates allow a function."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ACTION = re.compile(r"\b(?:dynamodb|ec2|kinesis|kms|logs|s3|sqs|sts|xray):[A-Z][A-Za-z]+")


def test_every_action_of_the_templates_is_explained() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    table = page.partition("\n## Permissions\n")[2].partition("\n\n| who | needs |")[0]
    templates = [path.read_text("utf-8") for path in (ROOT / "deploy").glob("*.yml")]
    allowed = {action for text in templates for action in ACTION.findall(text)}
    assert "sqs:ReceiveMessage" in allowed
    assert allowed - {"kms:ViaService"} - set(ACTION.findall(table)) == set()
