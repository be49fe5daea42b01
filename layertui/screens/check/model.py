"""The findings of a check as the nodes of a tree, grouped by severity. It imports no UI."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layerstore import Finding, Severity
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape

TITLES = {
    Severity.DAMAGE: ("Damage", "damaged", "data is missing or wrong"),
    Severity.LEFTOVER: ("Leftovers", "leftover", "they use disk space and nothing needs them"),
    Severity.NOTE: ("Notes", "note", "no action needed"),
}
"""The groups in the order of the screen: the title, the noun to count findings with, and the meaning."""

_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def brief(finding: Finding) -> str:
    """Return the text of a finding with IDs cut to 12 characters. It is not escaped for the screen."""
    return _ID.sub(r"\1", finding.text)


@dataclass(frozen=True, slots=True)
class FindingList:
    """Groups and their findings in preorder, without empty groups."""

    nodes: tuple[Severity | Finding, ...]
    keys: tuple[str, ...]
    shape: TreeShape

    def finding(self, node: int) -> Finding | None:
        """Return the finding at a node, None for a group or no node."""
        found = self.nodes[node] if 0 <= node < len(self.nodes) else None
        return found if isinstance(found, Finding) else None

    def below(self, node: int) -> Sequence[int]:
        """Return the findings of a group, or only the node itself if it is a finding."""
        if not 0 <= node < len(self.nodes):
            return ()
        return [node] if self.finding(node) is not None else list(self.shape.children(node))


def build_findings(findings: Iterable[Finding]) -> FindingList:
    """Group findings by severity, in the order in which they were found."""
    groups: dict[Severity, list[Finding]] = {severity: [] for severity in TITLES}
    for finding in findings:
        groups[finding.severity].append(finding)
    nodes: list[Severity | Finding] = []
    keys: list[str] = []
    parents = array("l")
    times: dict[str, int] = {}
    for severity, group in groups.items():
        if not group:
            continue
        head = len(nodes)
        nodes.append(severity)
        keys.append(severity.value)
        parents.append(ROOT)
        for finding in group:
            key = "\0".join(finding.key)
            times[key] = times.get(key, 0) + 1
            nodes.append(finding)
            keys.append(f"{key}\0{times[key]}")
            parents.append(head)
    return FindingList(tuple(nodes), tuple(keys), build_shape(parents))
